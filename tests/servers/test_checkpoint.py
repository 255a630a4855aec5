"""A cancellation that a library swallowed is raised again at the checkpoint."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tap.servers.checkpoint import checkpoint


def test_without_a_cancellation_nothing_happens() -> None:
    async def story() -> str:
        checkpoint()
        return "went on"

    assert asyncio.run(story()) == "went on"


def test_a_swallowed_cancellation_ends_the_task_at_the_checkpoint() -> None:
    reached: list[str] = []

    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        reached.append("swallowed")
        checkpoint()
        reached.append("went on")

    async def story() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(story())
    assert reached == ["swallowed"]
