"""Pairs of real servers for the tests of this room."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from tap.scenario import Result, load, run
from tap.scenario.pair import Pair, own_pair
from tests.support import programs

T = TypeVar("T")
NOTHING = "title = 'nothing'\nsteps = []\nexpect = { converged = true }"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text if "title" in text else f"title = 'mine'\n{text}")
    return path


def on_pair(server: str, tmp_path: Path, job: Callable[[Pair], Awaitable[T]], text: str = NOTHING) -> T:
    """The result of the job on two servers that do not follow each other."""

    async def story() -> T:
        async with own_pair(programs()[server], load(written(tmp_path, text))) as pair:
            return await job(pair)

    return asyncio.run(story())


def result_of(server: str, tmp_path: Path, text: str, seed: int = 1) -> Result:
    """The scenario, run on that server."""
    path = written(tmp_path, text)
    return on_pair(server, tmp_path, lambda pair: run(load(path), pair, seed=seed), text)


def unmet(result: Result) -> list[str]:
    return [verdict.name for verdict in result.verdicts if not verdict.met]
