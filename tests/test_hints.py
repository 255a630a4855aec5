"""What a user would try first works, or is answered with what to write instead."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import tap
import tap.events
from tap import Config, LinkConfig, Tap
from tap.config.option import declared
from tap.errors import ConfigError
from tap.replay import ReplayMaster

MASTER = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("links", AttributeError, "module 'tap' has no 'links': a running Tap has links: async with tap.Tap("),
        ("Tpa", AttributeError, "module 'tap' has no 'Tpa'. Did you mean 'Tap'?"),
        ("Server", AttributeError, "Server is in tap.servers: from tap.servers import Server"),
        ("FullResync", AttributeError, "FullResync is in tap.events: from tap.events import FullResync"),
    ],
)
def test_a_name_from_elsewhere_is_explained(name: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        getattr(tap, name)
    assert str(caught.value).startswith(says)
    assert tap.servers is sys.modules["tap.servers"]


@pytest.mark.parametrize(
    ("made", "kind", "says"),
    [
        (lambda: Tap(), TypeError, "a Tap needs a master: Tap('127.0.0.1:6379')"),
        (lambda: Tap(MASTER, port=6400), TypeError, "a Tap has no option 'port'. Write listen='127.0.0.1:6400'."),  # type: ignore[call-arg]
        (lambda: Tap(MASTER, commands=True), TypeError, "a Tap has no option 'commands'. Write every_command=True."),  # type: ignore[call-arg]
        (lambda: Tap(MASTER, lisen=1), TypeError, "a Tap has no option 'lisen'. Did you mean 'listen'? It has: master,"),  # type: ignore[call-arg]
        (lambda: Tap(MASTER, master=MASTER), TypeError, "a Tap is given its master once"),
        (lambda: Tap(links=MASTER, tls=True), TypeError, "tls: of one link; with links=..., each has its own"),
        (lambda: Tap(Config(links=MASTER), seed=7), TypeError, "a Tap takes a Config or options: put seed into"),
        (lambda: Tap({"master": MASTER}), ConfigError, "write HOST:PORT, as '127.0.0.1:6379'"),  # type: ignore[arg-type]
        (lambda: Tap(MASTER, seed="7"), ConfigError, "seed '7': a whole number is expected"),  # type: ignore[arg-type]
        (lambda: Config(master=MASTER), TypeError, "a Config has no option 'master'. Write links='127.0.0.1:6379'."),  # type: ignore[call-arg]
        (lambda: Config(MASTER), TypeError, "a Config takes keywords only, as Config(links="),  # type: ignore[call-arg]
        (lambda: LinkConfig(lisen=1), TypeError, "a LinkConfig has no option 'lisen'. Did you mean 'listen'?"),  # type: ignore[call-arg]
        (lambda: Config(links={"a b": MASTER}), ConfigError, "'a b' is not a name for a link"),
        (lambda: Config(links={"redis://:sesame@h": MASTER}), ConfigError, "this is not a name for a link"),
        (lambda: Config(links=[MASTER, 5]), ConfigError, "a link is not of type int: write LinkConfig("),  # type: ignore[list-item]
        (lambda: Tap(MASTER).port, ConfigError, "a Tap listens inside 'async with Tap(...) as tap'"),
        (lambda: Tap(MASTER).start(), AttributeError, "a Tap has no 'start': write 'async with Tap("),  # type: ignore[attr-defined]
        (lambda: Tap(MASTER).events, AttributeError, "tap.bus.subscribe(function) hears each"),  # type: ignore[attr-defined]
        (lambda: Tap(MASTER).wiat_for, AttributeError, "no 'wiat_for'. Did you mean 'wait_for'?"),  # type: ignore[attr-defined]
        (lambda: Tap(MASTER).faults.add("cut"), ConfigError, "faults are added while the tap runs"),
        (lambda: Tap(MASTER).faults.add(["cut"]), ConfigError, "['cut'] is not a fault: write one at a time"),  # type: ignore[arg-type]
        (lambda: Tap(MASTER).bus.subscribe(7), ConfigError, "7 cannot be called: an observer is a function"),  # type: ignore[arg-type]
        (lambda: Tap(MASTER).bus.subscribe(asyncio.sleep), ConfigError, "sleep is async, and an observer is called"),  # type: ignore[arg-type]
        (lambda: Tap(MASTER).bus.subscribe(partial(asyncio.sleep)), ConfigError, "is async, and an observer is called"),  # type: ignore[arg-type]
        (lambda: Tap(MASTER).__enter__(), TypeError, "write 'async with Tap(...)' in an async def"),
        (lambda: ReplayMaster("x").__enter__(), TypeError, "write 'async with ReplayMaster(...)' in an async def"),
        (lambda: ReplayMaster(), ConfigError, "a recording is missing: ReplayMaster('today.pcapng')"),
        (lambda: ReplayMaster("x", speed="fast"), ConfigError, "speed fast: write how many times as fast"),  # type: ignore[arg-type]
    ],
)
def test_impossible_arguments_are_a_sentence(made: Callable[[], object], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        made()
    assert says in str(caught.value)


def test_a_name_of_the_command_line_or_of_a_file_is_answered_with_that_of_python() -> None:
    for one in (*declared(LinkConfig), *declared(Config)):
        for name in {one.flags[0].removeprefix("--").replace("-", "_"), one.key} - {one.name}:
            options: dict[str, Any] = {name: True}
            with pytest.raises(TypeError, match=f"a Tap has no option {name!r}. Write {one.name}="):
                Tap(MASTER, **options)
