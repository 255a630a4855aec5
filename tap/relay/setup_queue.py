"""What connections cost before they relay a byte: accepts, dials and TLS handshakes, done one at a time in small turns.

The server's half of a TLS handshake costs one signature, 0.3 ms to 1 ms of the one thread that all links share; a plain
connection costs as much from accept to close. If a thousand clients connect at once, doing that work as it arrives would
stall every other link for a second. So each step waits in a queue. A turn of the loop does one step, or as many as fit
into LONG, and the queue has an account as a link does (see share.py): while other links have something to say, the queue
rests when it owes.

Addresses with a replica have a queue of their own, and three of its steps are done for each step of the other queue. So a
crowd from other addresses delays a known replica little, and a crowd from a known address does not keep new replicas out.

While a step waits, its socket is not read, so nothing piles up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter, thread_time

from tap.relay.share import COSTLY_PART, CREDIT, LONG, PART, LinkAccount, Thread

FIRST_FOR_ONE = 3  # steps for addresses with a replica, for one of others
CONNECTION = 0.001  # seconds that a connection takes of the thread in many small pieces, from accept to close

_Step = tuple[Callable[[], None], float]  # what to do, and the seconds to charge on top of what that takes


class SetupQueue:
    """The queues of one tap."""

    def __init__(
        self, thread: Thread, wall: Callable[[], float] = perf_counter, cpu: Callable[[], float] = thread_time
    ) -> None:
        self._account = LinkAccount(thread)
        self._wall, self._cpu = wall, cpu
        self._first: deque[_Step] = deque()
        self._others: deque[_Step] = deque()
        self._in_a_row = 0  # steps of the first queue while the other one waits
        self._next: asyncio.Handle | None = None

    def add(self, step: Callable[[], None], *, is_first: bool, costs: float = 0.0) -> None:
        """Call the step when its turn comes. costs: seconds of the thread that it leads to, besides its own."""
        (self._first if is_first else self._others).append((step, costs))
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._work)

    async def turn(self, *, is_first: bool) -> None:
        """Return when one more connection may begin."""
        begins = asyncio.Event()
        self.add(begins.set, is_first=is_first, costs=CONNECTION)
        await begins.wait()

    def _step(self) -> _Step:
        if self._first and not (self._others and self._in_a_row >= FIRST_FOR_ONE):
            self._in_a_row += 1
            return self._first.popleft()
        self._in_a_row = 0
        return self._others.popleft()

    def _work(self) -> None:
        if not self._first and not self._others:
            self._next = None
            return
        began, begin = self._wall(), self._cpu()
        took = charged = 0.0
        try:
            while took < LONG and (self._first or self._others):
                step, costs = self._step()
                charged += costs
                step()
                took = self._cpu() - begin + charged
        finally:
            self._next = None
            # Not active once the queue is empty: a link that has just been dialled does not rest because of that.
            is_beside = self._account.is_beside(began, is_active=bool(self._first or self._others))
            is_waited_for = self._account.is_waited_for(began, is_bulk=True)
            part = COSTLY_PART if is_waited_for else PART
            rest = self._account.rest(took, self._wall(), is_beside, part, CREDIT)
            if rest or self._first or self._others:  # a step that comes during the rest waits for its end
                self._next = asyncio.get_running_loop().call_later(rest, self._work)
