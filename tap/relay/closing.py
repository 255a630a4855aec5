"""How a connection ends once it is to end: draining, FIN or RST, and the cause that LinkClosed names.

When it is to end, and how one half stays open while the other is closed, is decided in connection.py.

The first cause is the cause. One end brings about others: a FIN that is forwarded is answered by FIN, a cut makes both
peers hang up. So the first call of note() decides what LinkClosed says, and later ones change nothing.

An end must not cost bytes that the peer was sent. There are three ways:

- drain: both legs close after their unsent bytes, for as long as drain_timeout allows.
- FIN: the leg says goodbye (see leg.py) and closes once the peer has answered.
- RST: it destroys what the peer's kernel has not acknowledged. A fault that cuts with RST promises the exact byte of the
  cut, so RST waits until everything before it has been acknowledged. A peer that acknowledges nothing for RESET_SECONDS
  does without.
"""

from __future__ import annotations

import asyncio

from tap.relay.leg import Leg
from tap.replication.conversation import Conversation
from tap.replication.events import LinkClosed, Side
from tap.replication.phase import Phase

RESET_SECONDS = 5.0  # without progress, before RST is sent all the same
RESET_POLL = 0.001


class Closing:
    """The end of one connection.

    by, how, text: see events.LinkClosed; those of the first note(), else of an orderly end from the tap's side.
    """

    def __init__(self, replica: Leg, master: Leg) -> None:
        self.by, self.how, self.text = Side.TAP, "fin", ""
        self._noted: float | None = None  # loop time of the first note()
        self._replica, self._master = replica, master
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.TimerHandle | None = None

    @property
    def is_noted(self) -> bool:
        """Whether the end has a cause."""
        return self._noted is not None

    def note(self, by: Side, how: str, text: str) -> None:
        """Something ends the connection. Only the first cause counts."""
        if not self.is_noted:
            self._noted = self._loop.time()
            self.by, self.how, self.text = by, how, text

    def limit(self, within: float) -> None:
        """End at once after *within* seconds, unless stop() comes first."""
        if self._draining is None:
            self._draining = self._loop.call_later(within, self.abort)

    def drain(self, within: float) -> None:
        """End both sides once their unsent bytes are sent, at the latest after *within* seconds."""
        self.limit(within)
        self._replica.close()
        self._master.close()

    def reset(self, leg: Leg) -> None:
        """Send RST once the peer has acknowledged everything that was sent to it."""
        self._reset(leg, leg.unsent, self._loop.time() + RESET_SECONDS)

    def _reset(self, leg: Leg, left: int, give_up: float) -> None:
        """left: unacknowledged bytes at the last look. give_up: loop time."""
        unsent, now = leg.unsent, self._loop.time()
        if unsent < left:
            give_up = now + RESET_SECONDS
        if unsent and now < give_up:
            leg.hold("cut")
            self._loop.call_later(RESET_POLL, self._reset, leg, unsent, give_up)
        else:
            leg.reset()

    def abort(self) -> None:
        """End both sides at once."""
        self._replica.abort()
        self._master.abort()

    def event(self, conversation: Conversation, phase: Phase, offset: int | None) -> LinkClosed:
        """What to say of the end. phase, offset: at that moment."""
        return LinkClosed(
            by=self.by,
            how=self.how,
            text=self.text,
            role=conversation.role,
            phase=phase.value,
            offset=offset,
            bytes_from_master=conversation.from_master,
            bytes_from_replica=conversation.from_replica,
            master_silence=self._silence(self._master),
            replica_silence=self._silence(self._replica),
        )

    def _silence(self, leg: Leg) -> float | None:
        end = self._loop.time() if self._noted is None else self._noted
        return None if leg.heard is None else max(0.0, end - leg.heard)

    def stop(self) -> None:
        """Both sides have ended."""
        if self._draining is not None:
            self._draining.cancel()
