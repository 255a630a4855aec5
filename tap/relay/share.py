"""How much of the event loop's time the peer of one connection may take.

All links share one thread. What a read costs depends on the bytes, not only on their number: 256 KiB are one value and
take 0.1 ms, or 131,072 errors and take two seconds, and meanwhile no other link passes anything on. So the time is what
is bounded, by the two things that a link can choose: how much it reads at once, and when it reads again.

- A read that took longer than LONG makes the next ones smaller, in proportion, and so a peer costs about LONG a turn. It
  is read in larger pieces again once its reads are short; the limit that it had reached is doubled only once a second, so
  that a peer which alternates between cheap and costly bytes gains nothing.
- After a long read the leg rests for twice the time, if another link was read since its last one: so the others have two
  thirds of the loop's time between them, whatever one peer sends. A link that has the loop for itself never rests.

A thread that the machine does not run looks like one that reads for long, so a long read is not believed at once: the
next ones are timed in the processor time of this thread, and only what is long by that counts. Asking for it costs
0.3 us more, and so it is not asked of peers that were never suspected.

The invariant: between two reads of a link lies, for each other link, at most one read, of about LONG or of the smallest
size, once the peer is known. Bulk traffic is not touched: 256 KiB take less than LONG.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, thread_time

# As much as one read can usefully take: larger ones gave no more throughput, smaller ones less.
BUFFER_SIZE = 256 * 1024
FIRST_READ = 8 * 1024  # bytes, until a peer has shown what its bytes cost
SMALLEST_READ = 1024
LONG = 0.0005  # seconds
REST = 2.0  # times what the read took
MAX_REST = 0.05  # seconds
RELENT = 1.0  # seconds until the limit that a long read has set is doubled
SUSPECTED = 32  # reads that are timed in processor time after a long one


class Turns:
    """Counts, over all links of a tap, how often another link was read than the time before."""

    def __init__(self) -> None:
        self.count = 0
        self._last: object = None

    def read(self, link: object) -> int:
        """This link was. Returns the count."""
        if link is not self._last:
            self._last = link
            self.count += 1
        return self.count


class Share:
    """Of one leg. size: bytes to read at once. clock: what to time the next read with."""

    __slots__ = ("_cpu", "_doubles", "_limit", "_suspected", "_turn", "_turns", "_wall", "clock", "size")

    def __init__(
        self, turns: Turns, wall: Callable[[], float] = perf_counter, cpu: Callable[[], float] = thread_time
    ) -> None:
        self.size = FIRST_READ
        self.clock = wall
        self._wall, self._cpu = wall, cpu
        self._suspected = 0  # so many of the next reads
        self._limit = BUFFER_SIZE
        self._doubles = 0.0  # when the limit does
        self._turns = turns
        self._turn = 0  # at the last read

    def used(self, link: object, read: int, took: float) -> float:
        """The link has read that many bytes in that many seconds of the clock. Returns for how long it is to rest."""
        before, self._turn = self._turn, self._turns.read(link)
        if took > LONG:
            was_suspected, self._suspected = self._suspected, SUSPECTED
            self.clock = self._cpu
            if not was_suspected:
                return 0.0
            self._limit = self.size = max(SMALLEST_READ, min(self.size // 2, int(read * LONG / took)))
            self._doubles = self._wall() + RELENT
            return min(MAX_REST, REST * took) if self._turn - before > 1 else 0.0
        if self._suspected:
            if self._limit == BUFFER_SIZE:
                self._suspected -= 1
                if not self._suspected:
                    self.clock = self._wall
            elif (now := self._wall()) >= self._doubles:
                self._limit = min(BUFFER_SIZE, 2 * self._limit)
                self._doubles = now + RELENT
        if read == self.size < BUFFER_SIZE:
            self.size = min(self._limit, 2 * self.size)
        return 0.0
