"""Which side of a watched connection is silent for longer than it should be; see replication/silence.py.

The clock is that of the capture, which goes on while nothing comes. A connection that a tap recorded needs none of this:
its recording says it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tap.recording.played import Played
from tap.replication.silence import Pulse, Silence


class Silences:
    """The silences of all connections of one capture."""

    def __init__(self) -> None:
        self._of: dict[Played, Silence] = {}
        self._pulses: dict[str, Pulse] = {}  # by master

    def tick(self, links: Sequence[Played], now: float) -> None:
        """To be called at least once a second. links: the open ones."""
        before, self._of = self._of, {}
        for link in links:
            if link.is_ours:
                continue
            silence = before.get(link)
            if silence is None:
                _, master = link.ends
                pulse = self._pulses.setdefault(master, Pulse())
                silence = Silence(link.conversation, link.tell, pulse, now)
            silence.follow(link.conversation)  # after a gap it is another one
            self._of[link] = silence
            silence.tick(now, reads_master=True, reads_replica=True, is_held=False)

    def of(self, link: Played) -> Silence | None:
        return self._of.get(link)
