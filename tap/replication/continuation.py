"""A granted partial resync, until it is known how much the replica had missed.

The master first sends all that the replica missed, and then new writes; nothing marks the border. If the master
pauses, everything before the pause was missed, and that is exact. If the master never pauses, it is written to all the
time, probably as fast as before the replica left: the best estimate is then the time of the replica's absence
multiplied by the rate before it.
"""

from __future__ import annotations

from tap.replication.events import Ack


class Continuation:
    """previous, previous_link: see events.PartialResync. start, end: the bytes of the line that granted the resync.

    last_ack: the acknowledgement to report after the resync.
    """

    PAUSE_TICKS = 3  # longer than a round trip, because the master may wait that long for room to send
    MAX_TICKS = 15
    MAX_HELD_TICKS = 100  # a replica that reads nothing for this long may never read again

    def __init__(
        self, previous: str | None, previous_link: str | None, start: int, end: int, least: int, expected: int | None
    ) -> None:
        """least: bytes that the replica certainly missed. expected: the estimate from the rate, None if unknown."""
        self.previous = previous
        self.previous_link = previous_link
        self.start = start
        self.end = end
        self.last_ack: Ack | None = None
        self._least = least
        self._expected = expected
        self._ticks = 0
        self._quiet_ticks = 0
        self._held_ticks = 0
        self._received = -1  # bytes of the stream at the last tick

    def is_measured(self, received: int, held_back: bool) -> bool:
        """Whether the missed bytes are now known as well as they ever will be. To be called at each tick.

        received: bytes of the stream so far. held_back: the master could not send.
        """
        if held_back:
            self._held_ticks += 1
            return self._held_ticks == self.MAX_HELD_TICKS
        self._ticks += 1
        self._quiet_ticks = self._quiet_ticks + 1 if received == self._received else 0
        self._received = received
        return self._quiet_ticks == self.PAUSE_TICKS or self._ticks == self.MAX_TICKS

    def missed(self, received: int) -> int:
        """The number of bytes that the replica had missed, as far as that is known."""
        if self._quiet_ticks < self.PAUSE_TICKS and self._expected is not None:
            received = min(received, self._expected)
        return max(self._least, received)
