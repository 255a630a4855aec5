"""Pairs of our own whose servers are stand-ins."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from tap.errors import EnvironmentFailure
from tap.scenario import pair
from tests.servers.standin import StandIn


class Process:
    """In place of tap.servers.embedded.Server: a stand-in, which starts in a thread and ends at once as a process does.

    done: what was done to all of them. fails: the name of one that does not start.
    """

    done: ClassVar[list[tuple[str, str]]] = []
    fails: ClassVar[str] = ""
    made: ClassVar[list[Process]] = []

    def __init__(self, program: Any, *words: str, name: str, host: str) -> None:
        self.program, self.options, self.name, self.host = program, words, name, host
        self.version = "Redis 7.0.15"
        self.port = 0
        self.log = f"log of the {name}"
        self.exit_code: int | None = None
        self.one = StandIn(password=dict(zip(words[::2], words[1::2], strict=True)).get("requirepass", ""))
        self.one.host = host
        self._loop = asyncio.get_running_loop()
        type(self).made.append(self)

    def start(self) -> Process:
        self.done.append((self.name, "start"))
        if self.fails == self.name:
            raise EnvironmentFailure(f"{self.program} does not start")
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    async def _start(self) -> None:
        options = dict(zip(self.options[::2], self.options[1::2], strict=True))
        self.one.begin(options)
        await self.one.open()
        self.port = self.one.port

    def stop(self) -> None:
        self.done.append((self.name, "stop"))
        self._loop.call_soon_threadsafe(self.one.kill)

    def kill(self) -> None:
        self.done.append((self.name, "kill"))
        self.one.kill()

    def close(self) -> None:
        self.done.append((self.name, "close"))


@contextlib.contextmanager
def processes(fails: str = "") -> Iterator[type[Process]]:
    """Meanwhile own pairs consist of stand-ins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair, "Server", Process)
        patch.setattr(Process, "done", [])
        patch.setattr(Process, "made", [])
        patch.setattr(Process, "fails", fails)
        yield Process
