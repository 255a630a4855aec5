"""A run that is cancelled: it ends, and cleans up to the end all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def to_the_end(cleaning: Coroutine[Any, Any, None]) -> None:
    """Wait for it, whatever happens; a cancellation that came meanwhile is raised behind it."""
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
