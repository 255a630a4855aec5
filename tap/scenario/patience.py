"""Limits on waiting that a machine which stands still does not reach.

Where nobody got to run for a while, a replica that is not back yet has shown nothing. So what counts towards a limit are
not the seconds that have gone, but those in which the event loop went round: of a longer turn only the first moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

STEP = 0.1  # seconds between two looks at the clock
MOST = 2 * STEP  # of a turn, that count


class Patience:
    """A clock of seconds that count, from 0 on; to be looked at often."""

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
    """As asyncio.timeout(), in seconds that count."""
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
