"""An event loop whose clock jumps, for tests of timing: ten seconds between two events take no time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.support import WITHIN

T = TypeVar("T")


class JumpingLoop(asyncio.SelectorEventLoop):
    """It never waits: when nothing is left to do, the clock jumps to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0
        selector: Any = vars(self)["_selector"]
        self._select: Callable[[float | None], list[Any]] = selector.select
        selector.select = self._selected

    def time(self) -> float:
        return self._now

    def _selected(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            found = self._select(WITHIN)
            assert found, "all wait, and for nothing"
            return found
        found = self._select(0)
        if not found:
            self._now += timeout
        return found


def acted(story: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(story)
