# cython: boundscheck=False, wraparound=False
"""How much of the event loop's time one link may take.

All links share one thread. The cost of a read depends on its content as well as its size: 256 KiB may be a single value
that takes 0.1 ms to handle, or 131,072 errors that take many times that. While a read is handled, no other link passes
anything on. So each link is limited in time, by the two things the tap can choose: how many bytes to read at once, and
when to read again.

- Read size. While a brief link is active, a read of any other link should take no longer than TURN; otherwise, no longer
  than LONG. When two reads within WARNED take longer, the following reads shrink in proportion. The limit found this way
  doubles at most four times a second, so a peer gains nothing by alternating cheap and costly bytes.
- Rest. The time that a link's reads take is its debt, which it repays at the rate PART as time passes. A link that owes
  more than CREDIT while a brief link is active, or more than BULK_CREDIT while other links are, is not read until it
  owes nothing. So however much one peer sends, the other links have two fifths of the thread, and bulk links whose
  bytes come in bursts pass them on without a rest in the middle, which would cost more than the read. A link with
  costly bytes repays at the lower rate COSTLY_PART while a brief link is active, which leaves most of the thread to the
  brief one; a plain bulk transfer keeps the full rate. Resting also keeps the thread from using up its time slice, so
  the scheduler wakes it promptly.

A link is active if it was read within the last WINDOW. The links that matter most, such as a replica whose client sits in
WAIT, are idle most of the time, and every delay slows them down. A link is brief unless it recently moved data in bulk:
either a read of at least BULK bytes, or a read that filled a limit below that. Bulk links want throughput, which small
reads reduce; brief links wait for each answer.

A link that is alone never rests, and reads whole buffers unless one takes longer than LONG. Links that are all active all
the time hardly rest either: with two or more of them, each gets at most half of the thread, which is less than PART, and
repays its debt while the others are read.

A thread that the machine does not schedule looks like one that spends long on a read. So read sizes follow the thread's
CPU time: a long read only makes the next reads suspect; those are timed by CPU time as well, and only they can shrink the
limit. Asking for CPU time costs 0.3 us, so it is not done for links that were never suspected. Debt follows wall-clock
time: a link whose read is interrupted delays the others all the same, and on a busy machine that is mostly the link that
is read most.

The invariant: once a peer is known, between two reads of a brief link there is at most one read of each other link, and
that read takes about TURN or has the smallest size.

A read costs about 0.15 us here when compiled (share.pxd has the C types), and 1 us otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter, thread_time

import cython

COMPILED: bool = cython.compiled

# Larger reads gave no more throughput, smaller ones gave less.
BUFFER_SIZE = 256 * 1024
FIRST_READ = 8 * 1024  # bytes, until a peer has shown what its bytes cost
SMALLEST_READ = 1024  # bytes; below this, wake-ups and interrupts cost more than the bytes
TURN = 0.0001  # seconds that a read may take while a brief link is active
LONG = 0.001  # seconds that any other read may take
BULK = 16 * 1024  # bytes; a link with a read of this size is not brief
BULK_SECONDS = 0.1  # for which it is not brief; one turn of a hundred such links takes a quarter of that
WINDOW = 0.005  # seconds after a read for which a link counts as active
PART = 0.6  # of the thread's time, for one link while others are active
COSTLY_PART = 0.3  # the same, for a link with costly bytes while a brief link is active
COSTLY = 64 * 1024  # bytes; a limit below this means costly bytes, of more than 1.5 ns each
CREDIT = 0.0005  # seconds of debt without a rest; resting after each read would be too short for the loop's timers
BULK_CREDIT = 0.005  # the same, while no brief link is active: bulk links gain nothing from each other's rests
MAX_REST = 0.05  # seconds
RELENT = 0.25  # seconds between two doublings of a limit
WARNED = 16  # reads within which a second long one sets a limit
NO_CHANCE = 8  # a read this many times too long sets a limit at once; interrupts take less
SUSPECTED = 32  # reads timed in CPU time after a long one


_TURN, _LONG, _WINDOW, _BULK = TURN, LONG, WINDOW, BULK  # C numbers when compiled


class Turns:
    """Which two links of a group were read last, and when."""

    def __init__(self) -> None:
        self._last: object = None
        self._last_at = self._other_at = float("-inf")  # of the last link, and of the last other link

    def note(self, link: object, at: float) -> None:
        if link is not self._last:
            self._last, self._other_at = link, self._last_at
        self._last_at = at

    def another(self, link: object, at: float) -> bool:
        """Whether a link other than this one is active."""
        return at - (self._other_at if link is self._last else self._last_at) < _WINDOW


class Thread:
    """The links that share one thread. turns: of all links; brief: of the brief ones alone."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.brief = Turns()


class LinkAccount:
    """The time that one link's two legs have taken of the thread and not yet repaid."""

    def __init__(self, thread: Thread) -> None:
        self._thread = thread
        self._brief_from = 0.0
        self._debt = 0.0  # seconds
        self._at = 0.0

    def is_beside(self, at: float, is_active: bool = True) -> bool:
        """Note that the link was read, unless it is not active. Returns whether another link is."""
        turns = self._thread.turns
        if is_active:
            turns.note(self, at)
        return turns.another(self, at)

    def is_waited_for(self, at: float, is_bulk: bool) -> bool:
        """Note whether the link was read in bulk. Returns whether another link that is brief is active."""
        brief = self._thread.brief
        if is_bulk:
            self._brief_from = at + BULK_SECONDS
        elif at >= self._brief_from:
            brief.note(self, at)
        return brief.another(self, at)

    def rest(self, took: float, now: float, is_beside: bool, part: float, credit: float) -> float:
        """Seconds to rest after a read that took *took* seconds. The debt of a link that is alone stays within CREDIT.

        part: the rate of repayment. credit: debt without a rest.
        """
        debt = max(0.0, self._debt - part * (now - self._at)) + took
        self._at = now
        self._debt = debt if is_beside else min(CREDIT, debt)
        return min(MAX_REST, debt / part) if debt > credit and is_beside else 0.0


class LegShare:
    """The limits of one leg. size: bytes to read at once. is_waited_for: whether another link that is brief is active."""

    def __init__(
        self, account: LinkAccount, wall: Callable[[], float] = perf_counter, cpu: Callable[[], float] = thread_time
    ) -> None:
        self.size = FIRST_READ
        self.is_waited_for = False
        self._account = account
        self._wall, self._cpu = wall, cpu
        self._began = self._cpu_began = 0.0
        self._suspected = 0  # reads still to be timed in CPU time
        self._warned = 0  # reads for which a long one still sets a limit
        self._limit = BUFFER_SIZE  # bytes of a read while a brief link is active
        self._doubles = 0.0  # when the limit does

    @property
    def most(self) -> float:
        """Bytes to pass on in one turn, whether read here or spliced by the kernel."""
        return self._limit if self.is_waited_for else math.inf

    def begin(self) -> int:
        """Start timing a read. Returns the most bytes to read."""
        self._began = self._wall()
        if self._suspected:
            self._cpu_began = self._cpu()
        return self.size

    def used(self, read: cython.Py_ssize_t) -> float:
        """Account for a read of which *read* bytes were passed on. Returns the seconds to rest.

        read: more than the size if the kernel passed some on unread.
        """
        now = self._wall()
        took = now - self._began
        account = self._account
        is_beside = account.is_beside(self._began)
        self.is_waited_for = is_waited_for = account.is_waited_for(
            self._began, read >= _BULK or (read >= self.size and self._limit < _BULK)
        )
        size, most = self.size, _TURN if is_waited_for else _LONG
        if not is_beside and took <= _LONG and read < size and self._limit == BUFFER_SIZE and not self._suspected:
            return 0.0  # the fast way: nothing to limit, and no debt that counts
        if took > most:
            cost = self._cpu() - self._cpu_began if self._suspected else most
            self._suspected = SUSPECTED
            took = max(cost, min(took, CREDIT))  # time in which the thread did not run counts up to CREDIT
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
            size = min(BUFFER_SIZE, (4 if 4 * cost < most else 2) * size)
        if not is_waited_for and self._limit > SMALLEST_READ:
            self.size = min(size, int(self._limit * (LONG / TURN)))
        else:
            self.size = min(size, self._limit)
        is_costly = is_waited_for and self._limit < COSTLY
        return account.rest(
            took, now, is_beside, COSTLY_PART if is_costly else PART, CREDIT if is_waited_for else BULK_CREDIT
        )
