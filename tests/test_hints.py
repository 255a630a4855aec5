"""What a user would try first works, or is answered with what to write instead."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import tap
import tap.events
from tap import Address, Config, LinkConfig, Tap, events
from tap.errors import ConfigError, EnvironmentFailure
from tap.replay import ReplayMaster
from tap.servers import Server
from tests.support import Servers, client, follow, level, programs, wait_inside

MASTER = "127.0.0.1:1"
REASON = events.Reason(code="first_sync", text="it is new")
FULL = events.FullResync(start=0, end=1, replid="a" * 40, offset=7, reason=REASON)


def test_the_vocabulary_is_a_module() -> None:
    assert tap.events is events
    code = "import tap.events; from tap.events import FullResync; import tap; assert tap.events.FullResync is FullResync"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("links", AttributeError, "module 'tap' has no 'links': a running Tap has links: async with tap.Tap("),
        ("Tpa", AttributeError, "module 'tap' has no 'Tpa'. Did you mean 'Tap'?"),
        ("Server", ImportError, "Server is in tap.servers: from tap.servers import Server"),
        ("FullResync", ImportError, "FullResync is in tap.events: from tap.events import FullResync"),
    ],
)
def test_a_name_that_is_elsewhere_is_said(name: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        getattr(tap, name)
    assert str(caught.value).startswith(says)
    assert tap.servers is sys.modules["tap.servers"]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Tap(6379), "127.0.0.1:6379 127.0.0.1:0"),
        (lambda: Tap(Address("h", 1)), "h:1 127.0.0.1:0"),
        (lambda: Tap(master="h:1", listen=6400), "h:1 127.0.0.1:6400"),
        (lambda: Tap("h:1", listen="127.0.0.1:6400", name="orders", seed=7), "h:1 127.0.0.1:6400"),
        (lambda: Tap("rediss://h:1?insecure=yes"), "h:1 127.0.0.1:0"),
        (lambda: Tap(links={"a": "h:1", "b": "*:2->h:3"}, connect_timeout="3s"), "h:1 127.0.0.1:0, h:3 *:2"),
        (lambda: Tap(Config(links={"a": Address("h", 1)})), "h:1 127.0.0.1:0"),
        (lambda: Tap(Config(links={"a": {"master": "h:1", "listen": ":2"}})), "h:1 127.0.0.1:2"),
        (lambda: Tap(Config(links={"a": LinkConfig(master="h:1")})), "h:1 127.0.0.1:0"),
        (lambda: Tap(Config(links=LinkConfig(master="h:1"))), "h:1 127.0.0.1:0"),
        (lambda: Tap(Config(links=[LinkConfig(master="h:1"), "b=:2->h:3"])), "h:1 127.0.0.1:0, h:3 127.0.0.1:2"),
        (lambda: Tap(Config(links="h:1")), "h:1 127.0.0.1:0"),
    ],
)
def test_a_tap_may_be_asked_for_in_many_ways(made: Callable[[], Tap], says: str) -> None:
    assert ", ".join(f"{link.master} {link.listen}" for link in made().config.links) == says


def test_text_is_read_as_on_the_command_line(tmp_path: Path) -> None:
    config = Config(
        links={"orders": "h:1"},
        duration="10m",
        connect_timeout="500ms",
        faults="delay 20ms",
        mask="capa:eof",
        record_to=str(tmp_path / "x.pcapng"),
        record_rotate="1gb",
        statsd="h",
        keylog="secrets.log",
    )
    assert config.links[0].name == "orders"
    assert (config.duration, config.connect_timeout, config.drain_timeout) == (600, 0.5, 60)
    assert (config.faults, config.mask, config.record_rotate) == (("delay 20ms",), ("capa:eof",), ("1gb",))
    assert (config.record_to, config.statsd, config.keylog) == (
        tmp_path / "x.pcapng",
        Address("h", 8125),
        Path("secrets.log"),
    )
    assert LinkConfig(master="h:1", tls=True, cacert="ca.pem").cacert == Path("ca.pem")


@pytest.mark.parametrize(
    ("made", "kind", "says"),
    [
        (lambda: Tap(), TypeError, "a Tap needs a master: Tap('127.0.0.1:6379')"),
        (lambda: Tap(MASTER, port=6400), TypeError, "a Tap has no option 'port'. Write listen='127.0.0.1:6400'."),
        (lambda: Tap(MASTER, commands=True), TypeError, "a Tap has no option 'commands'. Write every_command=True."),
        (lambda: Tap(MASTER, lisen=1), TypeError, "a Tap has no option 'lisen'. Did you mean 'listen'? It has: master,"),
        (lambda: Tap(MASTER, master=MASTER), TypeError, "a Tap is given its master once"),
        (lambda: Tap(links=MASTER, tls=True), TypeError, "tls: of one link; with links=..., each has its own"),
        (lambda: Tap(Config(links=MASTER), seed=7), TypeError, "a Tap takes a Config or options: put seed into"),
        (lambda: Tap({"master": MASTER}), ConfigError, "write HOST:PORT, as '127.0.0.1:6379'"),  # type: ignore[arg-type]
        (lambda: Tap(MASTER, seed="7"), ConfigError, "seed '7': a whole number is expected"),
        (lambda: Config(master=MASTER), TypeError, "a Config has no option 'master'. Write links='127.0.0.1:6379'."),  # type: ignore[call-arg]
        (lambda: Config(MASTER), TypeError, "a Config takes keywords only, as Config(links="),  # type: ignore[call-arg]
        (lambda: LinkConfig(lisen=1), TypeError, "a LinkConfig has no option 'lisen'. Did you mean 'listen'?"),  # type: ignore[call-arg]
        (lambda: Config(links={"a b": MASTER}), ConfigError, "'a b' is not a name for a link"),
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
def test_what_cannot_be_is_a_sentence(made: Callable[[], object], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        made()
    assert says in str(caught.value)


async def in_a_tap(story: Callable[[Tap], Any]) -> Any:
    async with Tap(MASTER) as one:
        one.bus.publish("main", 1, "10.0.0.7:6379", FULL)
        return await story(one)


@pytest.mark.parametrize(
    "wait",
    [
        lambda one: one.wait_for("full_resync"),
        lambda one: one.wait_for(events.FullResync, 1),
        lambda one: one.wait_for((events.PartialResync, events.FullResync), within="1s"),
        lambda one: one.wait_for("full_resync", where={"reason.code": "first_*", "offset": 7}),
        lambda one: one.wait_for(events.FullResync, where=lambda event: event.offset == 7, link="main"),
    ],
)
def test_an_event_may_be_waited_for_in_many_ways(wait: Callable[[Tap], Any]) -> None:
    assert asyncio.run(in_a_tap(wait)) is FULL


@pytest.mark.parametrize(
    ("wait", "kind", "says"),
    [
        (
            lambda one: one.wait_for("partial_resync", within=0.01),
            TimeoutError,
            "no partial_resync within 0.01 s; told meanwhile: 1 x listening, 1 x full_resync",
        ),
        (lambda one: one.wait_for("partial_resinc"), ConfigError, "Did you mean 'partial_resync'?"),
        (lambda one: one.wait_for(events), ConfigError, "is not a kind of event: write its class, as events.FullResync"),
        (lambda one: one.wait_for(FULL), ConfigError, "is not a kind of event"),
        (
            lambda one: one.wait_for("full_resync", timeout=1),
            TypeError,
            "wait_for() has no option 'timeout'. Write",
        ),
        (lambda one: one.wait_for("full_resync", within="1 hour"), ConfigError, "'1 hour' is not a time"),
        (lambda one: one.wait_for("full_resync", link="orders"), ConfigError, "no link is named 'orders'; known: main."),
        (
            lambda one: one.wait_for("full_resync", where={"reason.cod": "x"}),
            ConfigError,
            "full_resync.reason has no field 'cod'; known: code, text. Did you mean 'code'?",
        ),
        (lambda one: one.wait_for("full_resync", where="first_sync"), ConfigError, "write fields and their values"),
        (
            lambda one: one.wait_for(events.Command),
            ConfigError,
            "command is told only where that is asked for: Tap(",
        ),
        (lambda one: one.__aenter__(), ConfigError, "this Tap has begun before: make another one"),
    ],
)
def test_a_wait_that_cannot_end_is_a_sentence(wait: Callable[[Tap], Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        asyncio.run(in_a_tap(wait))
    assert says in str(caught.value)


def test_a_tap_that_has_not_begun_is_not_waited_for() -> None:
    with pytest.raises(ConfigError, match="a Tap tells nothing before 'async with Tap"):
        asyncio.run(Tap(MASTER).wait_for("full_resync"))


def test_a_condition_that_fails_ends_the_wait(caplog: pytest.LogCaptureFixture) -> None:
    async def story(one: Tap) -> None:
        await one.wait_for(events.FullResync)
        asyncio.get_running_loop().call_soon(one.bus.publish, "main", 1, "", FULL)
        await one.wait_for(events.FullResync, where=lambda event: event.told)  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="'FullResync' object has no attribute 'told'"):
        asyncio.run(in_a_tap(story))
    assert not caplog.records


def test_a_link_says_how_it_stands(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)

    async def story() -> None:
        async with Tap(master.address) as one:
            await asyncio.to_thread(follow, replica, one.port)
            await one.wait_for("stream_started")
            client(master).set("key", "value")
            offset = await asyncio.to_thread(level, master, replica)
            (link,) = one.links
            await wait_inside(lambda: link.acked is not None and link.acked >= offset)
            assert (link.name, link.number, link.role, link.phase, link.lag_bytes) == ("main", 1, "replica", "stream", 0)
            assert link.replid == client(master).info("replication")["master_replid"]
            assert link.offset == link.acked
            assert repr(link) == f"<Link 1 of main: 127.0.0.1:{replica.port}, stream, offset {link.offset}>"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("arguments", "more", "options"),
    [
        ((None, "repl-backlog-size", "1mb"), {}, {"repl-backlog-size": "1mb"}),
        (("repl-backlog-size", "1mb"), {}, {"repl-backlog-size": "1mb"}),
        ((None, "--repl-backlog-size", "1mb", "--hz 50"), {}, {"repl-backlog-size": "1mb", "hz": "50"}),
        ((None, "hz", 50), {"repl_diskless_sync": False, "port": 7777}, {"hz": "50", "repl-diskless-sync": "no"}),
        ((None, "repl-diskless-sync-delay", 2), {}, {"repl-diskless-sync-delay": "2"}),
    ],
)
def test_options_of_a_server_are_understood(
    arguments: tuple[Any, ...], more: dict[str, Any], options: dict[str, str]
) -> None:
    try:
        server = Server(*arguments, **more)
    except EnvironmentFailure:
        pytest.skip("no server on PATH, and none in a wheel")
    given = dict(zip(server.options[::2], server.options[1::2], strict=True))
    assert given | options == given
    assert given["repl-diskless-sync-delay"] == options.get("repl-diskless-sync-delay", "0")
    assert server.port == more.get("port", 0)


@pytest.mark.parametrize(
    ("made", "kind", "says"),
    [
        (lambda program: Server(program, "--hz"), ConfigError, "option 'hz' has no value: they come in pairs"),
        (lambda program: Server(program, "hz", "50", "save"), ConfigError, "option 'save' has no value"),
        (lambda program: Server(program, ["hz", 50]), ConfigError, "['hz', 50] is not an option of a server"),  # type: ignore[arg-type]
        (
            lambda program: Server(program).pid,
            EnvironmentFailure,
            "the server does not run: write 'with Server() as",
        ),
        (lambda program: Server("/no/redis-server"), EnvironmentFailure, "/no/redis-server does not run"),
        (lambda program: Server("no-such-server"), EnvironmentFailure, "no no-such-server on PATH"),
    ],
)
def test_options_that_are_none_are_a_sentence(
    any_server: str, made: Callable[[Path], object], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind) as caught:
        made(programs()[any_server])
    assert says in str(caught.value)


def test_a_server_may_be_started_in_an_event_loop_too(any_server: str) -> None:
    async def story() -> None:
        async with Server(programs()[any_server], name="master") as server:
            assert client(server).ping()
            assert server.url == f"redis://127.0.0.1:{server.port}"

    asyncio.run(story())
