"""Time limits that do not expire while the machine stands still.

If no process got to run for a while, a replica that is not back yet proves nothing. So a limit does not count the seconds
that have passed, but those in which the event loop was running: of a long turn of the loop, only the first moment counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

STEP = 0.1  # seconds between two looks at the clock
MOST = 2 * STEP  # seconds of one turn that count


class Patience:
    """A clock of the seconds that count, starting at 0. It must be read often."""

    def __init__(self) -> None:
        self._now = 0.0
        self._looked = time.monotonic()

    @property
    def now(self) -> float:
        at = time.monotonic()
        self._now += min(at - self._looked, MOST)
        self._looked = at
        return self._now


@contextlib.asynccontextmanager
async def limit(within: float) -> AsyncIterator[None]:
    """As asyncio.timeout(), but in seconds that count."""
    loop = asyncio.get_running_loop()
    clock = Patience()
    next_look: asyncio.TimerHandle
    async with asyncio.timeout(None) as timeout:

        def look() -> None:
            nonlocal next_look
            left = within - clock.now
            if left <= 0:
                timeout.reschedule(loop.time())
            else:
                next_look = loop.call_later(min(STEP, left), look)

        next_look = loop.call_later(min(STEP, within), look)
        try:
            yield
        finally:
            next_look.cancel()
