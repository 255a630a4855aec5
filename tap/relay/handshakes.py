"""TLS handshakes of all connections, one after the other in small turns.

A ClientHello costs the server a signature: 0.3 ms to 1 ms of the one thread that all links share. A thousand clients that
send theirs at once, and nothing after it, would hold up every other link for a second. So a step of a handshake is not
done when its bytes come, but waits in a queue. A turn of the loop does one step, or as many as fit into LONG, and the
queue has an account as a link does (see share.py): while other links have something to say, it rests when it owes.
Addresses with a replica have a queue of their own, of which three steps are done for one of the other queue: a crowd from
other addresses delays them little, and a crowd from one of theirs keeps no new replica out.

While a step waits, its socket is not read, so nothing piles up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter, thread_time

from tap.relay.share import LONG, PART, Account, Thread

FIRST_FOR_ONE = 3  # steps for addresses with a replica, for one of others


class Handshakes:
    """Of one tap."""

    def __init__(
        self, thread: Thread, wall: Callable[[], float] = perf_counter, cpu: Callable[[], float] = thread_time
    ) -> None:
        self._account = Account(thread)
        self._wall, self._cpu = wall, cpu
        self._first: deque[Callable[[], None]] = deque()
        self._others: deque[Callable[[], None]] = deque()
        self._in_a_row = 0  # steps of the first queue while the other one waits
        self._next: asyncio.Handle | None = None

    def add(self, step: Callable[[], None], *, is_first: bool) -> None:
        """Call the step when its turn comes."""
        (self._first if is_first else self._others).append(step)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._work)

    def _step(self) -> Callable[[], None]:
        if self._first and not (self._others and self._in_a_row >= FIRST_FOR_ONE):
            self._in_a_row += 1
            return self._first.popleft()
        self._in_a_row = 0
        return self._others.popleft()

    def _work(self) -> None:
        began, begin = self._wall(), self._cpu()
        took = 0.0
        try:
            while took < LONG and (self._first or self._others):
                self._step()()
                took = self._cpu() - begin
        finally:
            self._next = None
            rest = self._account.rest(took, self._wall(), self._account.is_beside(began), PART)
            if self._first or self._others:
                self._next = asyncio.get_running_loop().call_later(rest, self._work)
