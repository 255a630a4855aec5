"""A verb that a signal ends: its work is cancelled once, cleans up, and the exit code is the signal's."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
import typer

from tap.cli.ending import endings, until_ended

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def hangup_is_heard() -> Iterator[None]:
    """Under nohup SIGHUP is ignored, in the tests, too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_nohup_is_respected() -> None:
    assert endings() == SIGNALS
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert endings() == SIGNALS[:2]


def test_work_that_ends_on_its_own_returns_its_result() -> None:
    async def work() -> str:
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    assert asyncio.run(until_ended(work(), "chaos")) == "chaos"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_cancels_the_work_and_decides_the_exit_code(number: signal.Signals) -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # a second one, of either kind, does not disturb the clean-up
            await asyncio.sleep(0.01)
            steps.append("cleaned up")

    with pytest.raises(typer.Exit) as ended:
        asyncio.run(until_ended(work(), "run"))
    assert ended.value.exit_code == 128 + number
    assert steps == ["cleaned up"]


def test_an_error_of_the_work_is_raised_unchanged() -> None:
    async def work() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        asyncio.run(until_ended(work(), "run"))


def test_a_cancellation_without_a_signal_is_not_an_exit() -> None:
    async def story() -> None:
        inside = asyncio.create_task(until_ended(asyncio.sleep(60), "run"))
        await asyncio.sleep(0)
        inside.cancel()
        await inside

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(story())
