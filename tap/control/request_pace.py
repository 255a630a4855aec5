"""How many requests the API answers in a second, so that clients which ask without a pause leave the loop to the links.

A request takes about a millisecond of the event loop that also relays, mostly in FastAPI. Of fifty clients that flood the
API every turn of the loop would answer fifty, and a link would wait for all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque

RATE = 300.0  # requests a second: at most about a third of the loop
BURST = 3  # that may follow one another at once, after a pause


class RequestPace:
    """Lets requests go on one by one, in the order in which they came."""

    def __init__(self, rate: float = RATE, burst: int = BURST) -> None:
        self._interval = 1 / rate
        self._burst = burst
        self._next = 0.0  # loop time at which the burst is whole again
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Return when the request may go on."""
        loop = asyncio.get_running_loop()
        if not self._waiting and self._take(loop.time()):
            return
        mine = loop.create_future()
        self._waiting.append(mine)
        self._arm(loop)
        await mine

    def _take(self, now: float) -> bool:
        earliest = max(self._next, now)
        if earliest - now > (self._burst - 1) * self._interval:  # exactly 0 where nothing has gone before
            return False
        self._next = earliest + self._interval
        return True

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            self._timer = loop.call_at(self._next - (self._burst - 1) * self._interval, self._release, loop)

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let one go on: several at once would be one long turn of the loop."""
        self._timer = None
        while self._waiting and self._waiting[0].done():  # its client has left
            self._waiting.popleft()
        if self._waiting and self._take(loop.time()):
            self._waiting.popleft().set_result(None)
        if self._waiting:
            self._arm(loop)
