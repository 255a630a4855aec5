"""A task that is cancelled ends, and cleans up completely before it does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


def checkpoint() -> None:
    """Raise CancelledError if this task was asked to end and goes on all the same.

    redis-py (8.1, send_packed_command) sends within asyncio.wait_for(), which in Python 3.11 drops a cancellation that
    arrives as the sending ends.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


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
