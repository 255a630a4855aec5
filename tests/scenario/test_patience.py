"""Limits that count only seconds in which something could happen."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tap.scenario import patience
from tap.scenario.patience import MOST, Patience, limit
from tests.scenario.atonce import at_once


def test_a_limit_ends_work_that_takes_longer() -> None:
    async def story() -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with limit(0.25):
                await asyncio.sleep(30)
        async with limit(30):
            pass
        return time.monotonic() - began

    assert 0.25 <= asyncio.run(story()) < 30


def test_a_machine_that_stands_still_reaches_no_limit() -> None:
    async def story() -> bool:
        done = asyncio.Event()
        async with limit(3 * MOST):
            time.sleep(4 * MOST)  # noqa: ASYNC251 - nobody runs meanwhile
            asyncio.get_running_loop().call_later(0.05, done.set)
            await done.wait()
        return done.is_set()

    assert asyncio.run(story())


def test_of_a_long_turn_only_the_first_moment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: at)
    clock = Patience()
    at += MOST / 2
    assert clock.now == pytest.approx(MOST / 2)
    at += 3600
    assert clock.now == pytest.approx(1.5 * MOST)


def test_once_left_a_limit_looks_at_no_clock_any_more() -> None:
    """Neither late, where it would end what is no longer its own, nor once more."""
    problems: list[object] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
        async with limit(0.25):
            await asyncio.sleep(0.15)
        with pytest.raises(KeyError):
            async with limit(0.05):
                raise KeyError
        await asyncio.sleep(1)

    at_once(story())
    assert problems == []


@pytest.mark.parametrize("looks", [0.5, 1, 2.5, 3])
def test_a_limit_ends_at_its_time_however_that_falls_between_two_looks(
    looks: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STEP", 0.125)  # such numbers add up exactly

    async def story() -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with limit(looks * 0.125):
                await asyncio.sleep(100)
        return time.monotonic() - began

    assert at_once(story()) == looks * 0.125


def test_a_cancellation_passes() -> None:
    async def story() -> bool:
        async def waits() -> None:
            async with limit(30):
                await asyncio.sleep(30)

        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(story())
