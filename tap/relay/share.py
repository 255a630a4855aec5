"""How much of the event loop's time the peers of one link may take.

All links share one thread. What a read costs depends on the bytes, not only on their number: 256 KiB are one value and
take 0.1 ms, or 131,072 errors and take many times that, and meanwhile no other link passes anything on. So time is what
is bounded, by the two things that a link can choose: how much it reads at once, and when it reads again.

- Length. While another link has something to say, a read should take TURN, else LONG. One that took longer makes the
  next ones smaller, in proportion. The limit found that way is doubled once a second at the most, so that a peer which
  alternates between cheap and costly bytes gains nothing.
- Frequency. What a link's reads take is its debt, which time repays at the rate PART. A link that owes more than CREDIT
  rests until it owes nothing, if another link has something to say. So the others have two fifths of the thread between
  them, whatever one peer sends, and the system's scheduler sees a thread that sleeps, which it wakes at once.

Another link has something to say if it was read within the last WINDOW: most of those that matter, as a client that waits
for its replica, are not readable for most of the time, and lose with each wait. A link that has the loop for itself never
rests, and reads whole buffers. Of links that all have something to say all the time none comes to rest for long, for more
than half of the thread is another one's half as soon as there are two: while one is read, the other one's debt is repaid.

A thread that the machine does not run looks like one that reads for long, so a long read is not believed at once: the
next ones are timed in the processor time of this thread, and only what is long by that counts. Asking for it costs
0.3 us more, and so it is not asked of peers that were never suspected.

The invariant: between two reads of a link lies, for each other link, at most one read, of about TURN or of the smallest
size, once the peer is known.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, thread_time

# As much as one read can usefully take: larger ones gave no more throughput, smaller ones less.
BUFFER_SIZE = 256 * 1024
FIRST_READ = 8 * 1024  # bytes, until a peer has shown what its bytes cost
SMALLEST_READ = 256
TURN = 0.0001  # seconds of a read, beside other links
LONG = 0.0005  # seconds of a read, alone
WINDOW = 0.005  # seconds for which a link that was read counts as one that has something to say
PART = 0.6  # seconds of the thread that a link has in a second, beside other links
CREDIT = 0.0005  # seconds of the thread: a rest behind each read would be below what the loop's timers can tell apart
MAX_REST = 0.05  # seconds
RELENT = 1.0  # seconds until the limit that a long read has set is doubled
SUSPECTED = 32  # reads that are timed in processor time after a long one


class Turns:
    """Which links of a tap were read last, and when."""

    def __init__(self) -> None:
        self._last: object = None
        self._last_at = self._other_at = float("-inf")  # of the last one, and of the last one that was another

    def read(self, link: object, at: float) -> bool:
        """The link was read. Returns whether another one has something to say."""
        if link is not self._last:
            self._last, self._other_at = link, self._last_at
        self._last_at = at
        return at - self._other_at < WINDOW


class Account:
    """What the reads of one link's two legs have taken of the thread, and time has not repaid yet."""

    __slots__ = ("_at", "_debt", "turns")

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self._debt = 0.0  # seconds
        self._at = 0.0

    def owes(self, took: float, at: float, is_beside: bool) -> float:
        """After a read that took so many seconds until then. Alone, a link comes to owe no more than its credit."""
        debt = max(0.0, self._debt - PART * (at - self._at)) + took
        self._at = at
        self._debt = debt if is_beside else min(CREDIT, debt)
        return debt


class Share:
    """Of one leg. size: bytes to read at once. clock: what to time the next read with.

    is_beside: whether another link had something to say at the last one.
    """

    __slots__ = ("_account", "_cpu", "_doubles", "_limit", "_suspected", "_wall", "clock", "is_beside", "size")

    def __init__(
        self, account: Account, wall: Callable[[], float] = perf_counter, cpu: Callable[[], float] = thread_time
    ) -> None:
        self.size = FIRST_READ
        self.clock = wall
        self.is_beside = False
        self._account = account
        self._wall, self._cpu = wall, cpu
        self._suspected = 0  # so many of the next reads
        self._limit = BUFFER_SIZE  # bytes of a read beside other links
        self._doubles = 0.0  # when the limit does

    def used(self, read: int, begin: float, end: float) -> float:
        """The leg has passed on that many bytes between two times of the clock. Returns for how long it is to rest.

        More bytes than its size were not read, but passed on by the kernel.
        """
        took = end - begin
        now = end if self.clock is self._wall else self._wall()
        account = self._account
        self.is_beside = is_beside = account.turns.read(account, now - took)
        grows = read >= self.size
        if took > (TURN if is_beside else LONG):
            grows = False
            if self._suspected:
                self._limit = min(BUFFER_SIZE, max(1, int(read * TURN / took)))
                self._doubles = now + RELENT
            else:
                took = TURN
            self._suspected = SUSPECTED
            self.clock = self._cpu
        elif self._suspected:
            if self._limit == BUFFER_SIZE:
                self._suspected -= 1
                if not self._suspected:
                    self.clock = self._wall
            elif now >= self._doubles:
                self._limit = min(BUFFER_SIZE, 2 * self._limit)
                self._doubles = now + RELENT
        if grows or self._suspected:
            limit = self._limit if is_beside else min(BUFFER_SIZE, int(self._limit * (LONG / TURN)))
            self.size = max(SMALLEST_READ, min(limit, 2 * self.size if grows else self.size))
        debt = account.owes(took, now, is_beside)
        return min(MAX_REST, debt / PART) if debt > CREDIT and is_beside else 0.0
