"""Stories whose waiting takes no time: the clock jumps to the next due thing as soon as nothing is left to do.

Sockets inside of the story are served before the clock moves, so what is sent has arrived before anybody's patience ends.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


class _Clock(selectors.DefaultSelector):
    """threads: at work; only the real clock can wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or self.threads:
            return super().select(None if timeout is None else min(timeout, 0.001))
        ready = super().select(0)
        if not ready:
            self.now += max(0.0, timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: _Clock) -> None:
        super().__init__(clock)
        self._clock = clock

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        self._clock.threads += 1
        running = super().run_in_executor(executor, func, *args)
        running.add_done_callback(self._done)
        return running

    def _done(self, _: object) -> None:
        self._clock.threads -= 1


def at_once(story: Coroutine[Any, Any, T]) -> T:
    """Returns the result of the story. Meanwhile all clocks of this process that cannot be set show its time."""
    clock = _Clock()
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        patch.setattr(time, "monotonic", lambda: clock.now)
        return runner.run(story)
