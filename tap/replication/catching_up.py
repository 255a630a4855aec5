"""How much a replica lacked when its partial resync was granted, and when it had all of that.

The master first sends all that the replica lacks, and then new writes; nothing marks the border. Before this is known,
nothing is reported as if it were; what the connections show are bounds:

    at least   what this master had already written when the replica asked, as another connection had shown, or this
               replica's former one; 0 if none had
    at most    what had come when the master paused, because it sends all that it has. Or what another connection to the
               master has brought, once it brings more than it had a moment after the grant. Or what the master says
               that it has written, if it was asked after the grant

    +CONTINUE |======== lacked ========|~ written meanwhile ~|      PAUSE_TICKS without a byte
              0                     at least?             at most

Equal bounds are exact. A burst right after the grant is not: a client's write may have come a millisecond later. A master
that writes without a pause gives no upper bound on its only connection; nothing is reported then, until it pauses.

No byte proves anything while the tap does not read the master: held_back. And a master that is itself stopped before it
has sent everything cannot be told from one that pauses. A pause is measured on ticks, so the bytes themselves cost
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

ELSEWHERE_SECONDS = 0.1  # longer than what was written before the grant is under way on another connection


@dataclass(frozen=True, slots=True)
class Lacked:
    """at_least, at_most: bounds of what the replica lacked, in bytes. bytes: exactly; None if the bounds differ.

    seconds: from the grant until at_most bytes had passed. known_from: see events.CaughtUp.
    """

    bytes: int | None
    at_least: int
    at_most: int
    seconds: float
    known_from: str


class CatchingUp:
    """From the grant until the replica is known to have been passed all that it lacked.

    at_least: bytes that it certainly lacked.
    """

    PAUSE_TICKS = 3  # longer than a round trip, because the master may wait that long for room to send

    def __init__(self, granted_at: float, at_least: int) -> None:
        self.at_least = at_least
        self._granted_at = granted_at
        self._shown: int | None = None  # by another connection, ELSEWHERE_SECONDS after the grant
        self._written: int | None = None  # by the master soon after the grant, as that connection showed
        self._known_from = "link"
        self._received = -1  # bytes of the stream at the last tick
        self._quiet_ticks = 0

    def told(self, written: int, asked: float) -> None:
        """The master says that it has written this many bytes after the grant's offset; asked: when it was asked."""
        if self._written is None and asked >= self._granted_at:
            self._written, self._known_from = written, "master"

    def measured(
        self, received: int, passed_at: float | None, at: float, *, held_back: bool, written: int | None
    ) -> Lacked | None:
        """What the replica lacked, if that is known now and has all passed. To be called at each tick.

        received: bytes of the stream so far. passed_at: when the last of them came; None if none has. held_back: the
        master could not send. written: bytes that the master has written after the grant's offset, as another connection
        to it shows now; None if none does.
        """
        if self._written is None and written is not None and at - self._granted_at >= ELSEWHERE_SECONDS:
            self._shown = written if self._shown is None else self._shown
            if written > self._shown:  # bytes come in order: by now it has shown all that was written before the grant
                self._written = written
        if self._written is not None and self.at_least <= self._written <= received:
            return self._lacked(self._written, at - self._granted_at, self._known_from)
        self._quiet_ticks = self._quiet_ticks + 1 if received == self._received and not held_back else 0
        self._received = received
        if self._quiet_ticks < self.PAUSE_TICKS or received < self.at_least:
            return None
        seconds = 0.0 if passed_at is None else max(0.0, passed_at - self._granted_at)
        return self._lacked(received, seconds, "wire")

    def _lacked(self, at_most: int, seconds: float, known_from: str) -> Lacked:
        return Lacked(at_most if at_most == self.at_least else None, self.at_least, at_most, seconds, known_from)
