"""Clean up completely in a task that is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def to_the_end(cleaning: Coroutine[Any, Any, None]) -> None:
    """Await the cleaning in a task of its own, then raise any cancellation that arrived meanwhile."""
    task = asyncio.ensure_future(cleaning)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
