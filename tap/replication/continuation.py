"""A partial resync that has been granted, until it is known how much the replica had missed.

The master sends all of that at once, and then what is written to it now; nothing marks the border. If it pauses,
everything until then counts, and that is exact. If it never does, new writes come all the time, as they did before: then
the time that the replica was away, at the rate of before, is the best estimate.
"""

from __future__ import annotations

from tap.replication.events import Ack


class Continuation:
    """previous, previous_link: see events.PartialResync. start, end: of the line that granted it.

    last_ack: the acknowledgement to report after it.
    """

    PAUSE_TICKS = 3  # longer than a round trip, in which the master may wait for room to send
    MAX_TICKS = 15
    MAX_HELD_TICKS = 100  # a replica that reads nothing for so long may never again

    def __init__(
        self, previous: str | None, previous_link: str | None, start: int, end: int, least: int, expected: int | None
    ) -> None:
        """least: bytes that the replica certainly had missed. expected: by the rate of before, None if it is unknown."""
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
        self._received = -1  # at the last tick

    def is_measured(self, received: int, held_back: bool) -> bool:
        """Called at each tick; held_back: the master could not send."""
        if held_back:
            self._held_ticks += 1
            return self._held_ticks == self.MAX_HELD_TICKS
        self._ticks += 1
        self._quiet_ticks = self._quiet_ticks + 1 if received == self._received else 0
        self._received = received
        return self._quiet_ticks == self.PAUSE_TICKS or self._ticks == self.MAX_TICKS

    def missed(self, received: int) -> int:
        """Bytes that the replica had missed, as far as that is known."""
        if self._quiet_ticks < self.PAUSE_TICKS and self._expected is not None:
            received = min(received, self._expected)
        return max(self._least, received)
