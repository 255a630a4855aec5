"""A cancellation ends a run, even one that a library swallowed, and does not cut the clean-up short."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from tap.console import demo_story
from tap.scenario.stage import until
from tap.servers.cancellation import checkpoint, to_the_end
from tests.support import WITHIN


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


def test_cleaning_continues_when_cancelled_and_the_cancellation_follows_it() -> None:
    done: list[str] = []
    turns = 10  # of the event loop: more than a cancellation takes to arrive

    async def cleaning() -> None:
        for _ in range(4 * turns):
            await asyncio.sleep(0)
        done.append("clean")

    async def story() -> None:
        task = asyncio.create_task(to_the_end(cleaning()))
        for _ in range(2):
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
    assert done == ["clean"]


def test_errors_of_the_cleaning_are_raised() -> None:
    async def cleaning() -> None:
        raise ValueError("dirty")

    with pytest.raises(ValueError, match="dirty"):
        asyncio.run(to_the_end(cleaning()))


@pytest.mark.parametrize(
    "waits", [lambda condition: until(condition, WITHIN), demo_story._until], ids=["a scenario", "the demo"]
)
def test_a_dropped_cancellation_still_ends_the_waiting(
    waits: Callable[[Callable[[], Awaitable[bool]]], Coroutine[Any, Any, None]],
) -> None:
    async def drops() -> bool:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(WITHIN)
        return False

    async def story() -> None:
        task = asyncio.create_task(waits(drops))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
