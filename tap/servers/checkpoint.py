"""Where who talks to a server ends if that has been asked for."""

from __future__ import annotations

import asyncio


def checkpoint() -> None:
    """Raises CancelledError if that has been asked for, and was forgotten.

    redis-py (8.1, send_packed_command) sends within asyncio.wait_for(), which in Python 3.11 drops a cancellation that
    comes as the sending ends.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
