"""Re-raise a cancellation that redis-py swallowed."""

from __future__ import annotations

import asyncio


def checkpoint() -> None:
    """Raise CancelledError if this task was asked to end and goes on all the same.

    redis-py (8.1, send_packed_command) sends within asyncio.wait_for(), which in Python 3.11 drops a cancellation that
    arrives as the sending ends.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
