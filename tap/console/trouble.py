"""Errors in the event loop itself, reported in lines that a person can act on."""

import asyncio
from collections.abc import Callable
from typing import Any

from tap.errors import words

QUIET_SECONDS = 10.0  # asyncio tries to accept again once a second, and each time fails hundreds of times


class LoopTrouble:
    """An exception handler for an event loop that reports each kind of error at most once in QUIET_SECONDS."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: dict[tuple[type, int | None], float] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, ValueError) and "_start_serving" in repr(context.get("handle")):
            return  # asyncio had run out of file descriptors and waited; by now the listening socket is closed
        kind = type(error), getattr(error, "errno", None)
        now = loop.time()
        if kind in self._said and now - self._said[kind] < QUIET_SECONDS:
            return
        self._said[kind] = now
        if isinstance(error, OSError) and "accept" in context["message"]:
            self._say(f"cannot accept another replica: {words(error)}")
        else:
            loop.default_exception_handler(context)
