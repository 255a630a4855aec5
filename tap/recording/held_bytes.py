"""Withholds the bytes of a played connection from a recording until the connection is known to replicate.

Those of other clients are dropped unseen. What is withheld is the beginning of a connection, which has to be short: once
its conversation no longer needs it, or it is too long, the recording of the connection begins later, in a known state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tap.recording.playing import BytesSink, Connected, Playing
from tap.replication.events import Side
from tap.replication.phase import Phase

MAX_HELD = 2**16  # bytes of a connection
MAX_ORDINARY = 2**12  # the same while it looks like that of another client, of which there may be thousands
MAX_NOTED = 16  # commands that may carry passwords; only the last one can be incomplete when recording begins


class HeldBytes:
    """Stands between a played connection and the sink of its bytes, if the player has sinks."""

    def __init__(self, link: Connected, player: Playing) -> None:
        self._link = link
        self._player = player
        self._opened = player.now
        self._sink: BytesSink | None = None
        # Time, side, position and bytes of everything so far, while that is from the first byte on.
        self._held: list[tuple[int, Side, int, bytes]] | None = None
        if player.sinks is not None and link.connection.from_start:
            self._held = []
        self._size = 0
        self._noted: deque[tuple[bytes, int, int]] = deque(maxlen=MAX_NOTED)

    def begin(self, release: Callable[[], None]) -> None:
        """The connection replicates: open its sink, *release* the events withheld, and pass on the bytes withheld."""
        held, self._held = self._held, None
        if self._link.conversation.is_unmatched:  # a reader could not tell what the first bytes answer
            held = None
        if self._player.sinks is not None and not self._link.is_ours:
            self._sink = self._player.sinks(self._link, None if held is None else self._opened)
        release()
        if self._sink is None:
            return
        self._sink.begin()
        for note in self._noted:
            self._sink.note(*note)
        for at, side, begin, data in held or ():
            self._sink.read(side, begin, data, at)

    def note(self, name: bytes, position: int, words: int) -> None:
        """See Stream: notices_secret."""
        if self._sink is None:
            self._noted.append((name, position, words))
        else:
            self._sink.note(name, position, words)

    def received(self, side: Side, data: bytes) -> None:
        """The conversation has read these bytes."""
        if self._sink is None and self._held is None:
            return
        conversation = self._link.conversation
        end = conversation.from_master if side is Side.MASTER else conversation.from_replica
        if self._sink is not None:
            self._sink.read(side, end - len(data), data, None)
            return
        assert self._held is not None
        self._size += len(data)
        is_ordinary = conversation.phase is Phase.ORDINARY
        most = MAX_ORDINARY if is_ordinary else MAX_HELD
        if self._size > most or not (is_ordinary or conversation.is_beginning):
            self._held = None
        else:
            self._held.append((self._player.now, side, end - len(data), bytes(data)))

    def goes_on(self) -> None:
        """The link has another conversation, which stands where the master's next byte will be."""
        if self._sink is not None:
            self._sink.goes_on(self._link.conversation)

    def ended(self, side: Side, how: str) -> None:
        """The side has ended. how: as in events.LinkClosed."""
        if self._sink is not None:
            self._sink.end(side, how)

    def close(self, from_master: int, from_replica: int) -> None:
        """Nothing more of the connection comes. from_master, from_replica: how many bytes it had."""
        if self._sink is not None:
            self._sink.close(from_master, from_replica)

    def forget(self) -> None:
        """The sides of the connection are unknown again."""
        self._held = None
        self._noted.clear()
