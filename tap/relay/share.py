"""How much of the event loop's time the peers of one link may take.

All links share one thread. What a read costs depends on the bytes, not only on their number: 256 KiB are one value and
take 0.1 ms, or 131,072 errors and take many times that, and meanwhile no other link passes anything on. So time is what
is bounded, by the two things that a link can choose: how much it reads at once, and when it reads again.

- Length. While a brief link has something to say, a read of another one should take TURN, else LONG. A link is brief
  unless it was read by BULK bytes at once a moment ago: whoever moves that much wants throughput, which small reads cost,
  and whoever does not waits for each answer. Where two of a few reads took longer, the next ones are smaller, in
  proportion. The limit found that way is doubled four times a second at the most, so that a peer which alternates between
  cheap and costly bytes gains nothing.
- Frequency. What a link's reads take is its debt, which time repays at the rate PART. A link that owes more than CREDIT
  rests until it owes nothing, if another link has something to say. So the others have two fifths of the thread between
  them, whatever one peer sends, and the system's scheduler sees a thread that sleeps, which it wakes at once.

A link has something to say if it was read within the last WINDOW: most of those that matter, as a client that waits
for its replica, are not readable for most of the time, and lose with each wait. A link that has the loop for itself never
rests, and reads whole buffers unless one takes longer than LONG. Of links that all have something to say all the time
none comes to rest for long, for more than half of the thread is another one's half as soon as there are two: while one is
read, the other one's debt is repaid.

A thread that the machine does not run looks like one that reads for long. So the size of reads follows processor time: a
long read is not believed at once, but the next ones are timed so, too, and only what is long by that counts. Asking for
it costs 0.3 us, and so it is not asked of peers that were never suspected. The debt follows time: whoever is read while
the thread does not run keeps others waiting all the same, and on a busy machine that is mostly who is read most.

The invariant: between two reads of a brief link lies, for each other link, at most one read, of about TURN or of the
smallest size, once the peer is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter, thread_time

# As much as one read can usefully take: larger ones gave no more throughput, smaller ones less.
BUFFER_SIZE = 256 * 1024
FIRST_READ = 8 * 1024  # bytes, until a peer has shown what its bytes cost
SMALLEST_READ = 1024  # of fewer bytes it is not they that cost: wake-ups do, and interrupts
TURN = 0.0001  # seconds of a read, beside a brief link
LONG = 0.001  # seconds of any other read
BULK = 16 * 1024  # bytes of a read, by which a link is not brief
BULK_SECONDS = 0.1  # after it; the turns of a hundred such links take a quarter of that
WINDOW = 0.005  # seconds for which a link that was read counts as one that has something to say
PART = 0.6  # seconds of the thread that a link has in a second, beside other links
CREDIT = 0.0005  # seconds of the thread: a rest behind each read would be below what the loop's timers can tell apart
MAX_REST = 0.05  # seconds
RELENT = 0.25  # seconds until the limit that a long read has set is doubled
WARNED = 16  # reads within which a second long one makes the next ones smaller
NO_CHANCE = 8  # times too long, and one is enough: an interrupt takes less
SUSPECTED = 32  # reads that are timed in processor time after a long one


class Turns:
    """Which of some links were read last, and when."""

    def __init__(self) -> None:
        self._last: object = None
        self._last_at = self._other_at = float("-inf")  # of the last one, and of the last one that was another

    def note(self, link: object, at: float) -> None:
        if link is not self._last:
            self._last, self._other_at = link, self._last_at
        self._last_at = at

    def another(self, link: object, at: float) -> bool:
        """Whether another one than this has something to say."""
        return at - (self._other_at if link is self._last else self._last_at) < WINDOW


class Thread:
    """Whose turn it was. turns: of all links; brief: of those alone."""

    __slots__ = ("brief", "turns")

    def __init__(self) -> None:
        self.turns = Turns()
        self.brief = Turns()


class Account:
    """How long one link's two legs have kept the thread, as far as time has not repaid it yet."""

    __slots__ = ("_at", "_brief_from", "_debt", "_thread")

    def __init__(self, thread: Thread) -> None:
        self._thread = thread
        self._brief_from = 0.0
        self._debt = 0.0  # seconds
        self._at = 0.0

    def is_beside(self, at: float) -> bool:
        """The link is read. Returns whether another one has something to say."""
        turns = self._thread.turns
        turns.note(self, at)
        return turns.another(self, at)

    def is_waited_for(self, at: float, read: int) -> bool:
        """It was read by so many bytes. Returns whether another one that is brief has something to say."""
        brief = self._thread.brief
        if read >= BULK:
            self._brief_from = at + BULK_SECONDS
        elif at >= self._brief_from:
            brief.note(self, at)
        return brief.another(self, at)

    def rest(self, took: float, now: float, is_beside: bool) -> float:
        """For how long to read no more after a read that took so long. Alone, the debt stays within the credit."""
        debt = max(0.0, self._debt - PART * (now - self._at)) + took
        self._at = now
        self._debt = debt if is_beside else min(CREDIT, debt)
        return min(MAX_REST, debt / PART) if debt > CREDIT and is_beside else 0.0


class Share:
    """Of one leg. size: bytes to read at once."""

    __slots__ = (
        "_account",
        "_began",
        "_cpu",
        "_cpu_began",
        "_doubles",
        "_limit",
        "_suspected",
        "_wall",
        "_warned",
        "is_waited_for",
        "size",
    )

    def __init__(
        self, account: Account, wall: Callable[[], float] = perf_counter, cpu: Callable[[], float] = thread_time
    ) -> None:
        self.size = FIRST_READ
        self.is_waited_for = False
        self._account = account
        self._wall, self._cpu = wall, cpu
        self._began = self._cpu_began = 0.0
        self._suspected = 0  # so many of the next reads
        self._warned = 0  # for so many of the next reads
        self._limit = BUFFER_SIZE  # bytes of a read beside a brief link
        self._doubles = 0.0  # when the limit does

    @property
    def most(self) -> float:
        """Bytes to pass on in one turn, whoever reads them."""
        return self._limit if self.is_waited_for else math.inf

    def begin(self) -> None:
        """The leg is about to read."""
        self._began = self._wall()
        if self._suspected:
            self._cpu_began = self._cpu()

    def used(self, read: int) -> float:
        """It has passed that many bytes on. Returns for how long it is to rest.

        More bytes than its size were not read, but passed on by the kernel.
        """
        now = self._wall()
        took = now - self._began
        account = self._account
        is_beside = account.is_beside(self._began)
        self.is_waited_for = is_waited_for = account.is_waited_for(self._began, read)
        size, most = self.size, TURN if is_waited_for else LONG
        if not is_beside and took <= LONG and read < size and self._limit == BUFFER_SIZE and not self._suspected:
            return 0.0  # the fast way: nothing to limit, and alone nothing to owe that counts
        if took > most:
            cost = self._cpu() - self._cpu_began if self._suspected else most
            self._suspected = SUSPECTED
            took = max(cost, min(took, CREDIT))  # of the time in which the thread did not run no more counts
        else:
            cost = took
        if cost > most and read >= SMALLEST_READ:
            if self._warned or cost > NO_CHANCE * most:
                self._limit = min(BUFFER_SIZE, max(SMALLEST_READ, int(read * TURN / cost)))
                self._doubles = now + RELENT
            self._warned = WARNED
        else:
            if self._warned:
                self._warned -= 1
            if self._limit < BUFFER_SIZE:
                if now >= self._doubles:
                    self._limit = min(BUFFER_SIZE, 2 * self._limit)
                    self._doubles = now + RELENT
            elif self._suspected:
                self._suspected -= 1
        if read >= size and cost < most:
            size = min(BUFFER_SIZE, 2 * size)
        if not is_waited_for and self._limit > SMALLEST_READ:
            self.size = min(size, int(self._limit * (LONG / TURN)))
        else:
            self.size = min(size, self._limit)
        return account.rest(took, now, is_beside)
