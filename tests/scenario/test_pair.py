"""Pairs of stand-ins: a given one gets back what it had, one of our own is started, ended, and gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tap.config.link_config import listening
from tap.errors import ConfigError, EnvironmentFailure
from tap.scenario.load import Scenario
from tap.scenario.pair import (
    Node,
    Pair,
    agree_on_tls,
    given_pair,
    introduced,
    own_pair,
    set_options,
    started,
)
from tap.url import Address, Url
from tests.scenario.atonce import at_once
from tests.scenario.processes import processes
from tests.servers.standin import StandIn, following, stand_ins

T = TypeVar("T")


def with_node(job: Callable[[Node, StandIn], Awaitable[T]], *made: Any, **more: Any) -> T:
    async def story() -> T:
        async with stand_ins(server := StandIn(*made, **more)):
            node = Node("master", server.url)
            try:
                return await job(node, server)
            finally:
                await node.client.close()

    return at_once(story())


# ---- a node ----


def test_a_node_asks_its_server_in_the_db_of_its_url() -> None:
    async def job(node: Node, server: StandIn) -> None:
        assert (node.address, node.db, node.ports) == (server.url.address, 0, {server.port})
        assert (await node.client.replication()).role == "master"
        other = Node("replica", Url(server.url.address, db=2))
        assert other.db == 2
        await other.client.ask("SET", "a", "1")
        await other.client.close()
        assert {db: list(keys) for db, keys in server.data.items() if keys} == {2: [b"a"]}

    with_node(job)


def test_a_server_that_is_gone_may_give_no_answer() -> None:
    async def job(node: Node, server: StandIn) -> None:
        found = await node.maybe_replication()
        assert found is not None
        assert found.role == "master"
        server.refuses["INFO"] = "LOADING Redis is loading the dataset in memory"
        assert await node.maybe_replication() is None
        server.kill()
        assert await node.maybe_replication() is None
        assert node.exit_code is None

    with_node(job)


def test_a_node_follows_a_master_or_none() -> None:
    async def job(node: Node, server: StandIn) -> None:
        await node.follow(Address("127.0.0.1", 1))
        assert server.master == ("127.0.0.1", 1)
        await node.follow(None)
        assert server.heard[-2:] == [("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")]

    with_node(job)


def test_options_are_restored_within_farewell_time() -> None:
    async def job(node: Node, server: StandIn) -> float:
        await node.options.set("maxmemory", "5")
        await node.options.set("repl-timeout", "7")
        server.silent = True
        began = asyncio.get_running_loop().time()
        assert len(await node.options.restore()) == 2
        return asyncio.get_running_loop().time() - began

    assert with_node(job) == pytest.approx(0.6, abs=0.05)


# ---- identification ----


@pytest.mark.parametrize(
    ("name", "version", "said"), [("redis", "7.0.15", "Redis 7.0.15"), ("valkey", "8.1.1", "Valkey 8.1.1")]
)
def test_a_server_is_known_by_its_version_and_port(name: str, version: str, said: str) -> None:
    async def job(node: Node, server: StandIn) -> None:
        server.tells = {"tcp_port": 7777}
        assert (await introduced(node)).role == "master"
        assert node.version == said
        assert node.ports == {server.port, 7777}

    with_node(job, name, version)


@pytest.mark.parametrize(
    "tells",
    [
        {"redis_version": None},
        {"role": None},
        {"role": "slave", "master_port": 1},
        {"role": "slave", "master_host": "a"},
        {"tcp_port": "many"},
    ],
)
def test_a_server_that_lacks_common_fields_is_refused(tells: dict[str, Any]) -> None:
    async def job(node: Node, server: StandIn) -> str:
        server.tells = tells
        with pytest.raises(EnvironmentFailure) as raised:
            await introduced(node)
        assert str(node.address) in str(raised.value)
        return str(raised.value).replace(str(node.address), "X")

    assert with_node(job) == "the master at X is not Redis or Valkey, by its INFO"


def test_a_port_need_not_be_given_and_a_replica_names_its_master() -> None:
    async def job(node: Node, server: StandIn) -> None:
        server.tells = {"tcp_port": None, "role": "slave", "master_host": "a", "master_port": 1}
        assert (await introduced(node)).master == Address("a", 1)
        assert node.ports == {server.port, 0}

    with_node(job)


def test_a_server_that_does_not_answer_is_named_with_the_reason() -> None:
    async def job(node: Node, server: StandIn) -> None:
        server.refuses["INFO"] = "NOPERM no permission"
        with pytest.raises(EnvironmentFailure, match=r"the master at 127\.0\.0\.1:\d+ does not answer: .*no permission"):
            await introduced(node)
        await node.client.close()
        server.kill()
        with pytest.raises(EnvironmentFailure, match=r"does not answer: .*[Rr]efused"):
            await introduced(node)

    with_node(job)


# ---- a given pair ----


def given(
    job: Callable[[Pair, StandIn, StandIn], Awaitable[T]], prepare: Callable[[StandIn, StandIn], Any] | None = None,
    *, follows: bool = True,
) -> T:  # fmt: skip
    async def story() -> T:
        master, replica = StandIn(), StandIn()
        async with stand_ins(master, replica):
            if follows:
                await following(replica, master)
            if prepare is not None:
                prepare(master, replica)
            async with given_pair(Node("master", master.url), Node("replica", replica.url)) as pair:
                assert pair.given
                found = await job(pair, master, replica)
            assert all(not node.client._by_db for node in pair.nodes)
            return found

    return at_once(story())


async def nothing(pair: Pair, master: StandIn, replica: StandIn) -> tuple[StandIn, StandIn]:
    replica.heard.clear()
    return master, replica


def test_at_the_end_the_replica_follows_its_former_master() -> None:
    async def job(pair: Pair, master: StandIn, replica: StandIn) -> tuple[StandIn, StandIn]:
        await pair.replica.follow(Address("127.0.0.1", 1))
        await pair.master.options.set("maxmemory", "5")
        await pair.replica.options.set("repl-timeout", "5")
        return await nothing(pair, master, replica)

    master, replica = given(job)
    assert replica.master == ("127.0.0.1", master.port)
    assert replica.heard == [("CONFIG", "SET", "repl-timeout", "60"), ("REPLICAOF", "127.0.0.1", str(master.port))]
    assert master.options["maxmemory"] == "0"
    assert master.counts["full"] == 1


def test_a_former_master_becomes_one_again() -> None:
    _, replica = given(nothing, follows=False)
    assert replica.heard == [("REPLICAOF", "NO", "ONE")]


def test_after_damage_the_replica_forgets_first_so_that_it_is_synced_in_full() -> None:
    async def job(pair: Pair, master: StandIn, replica: StandIn) -> StandIn:
        replica.heard.clear()
        pair.damaged = True
        return replica

    replica = given(job)
    assert [words[1] for words in replica.heard] == ["NO", "127.0.0.1"]


def test_a_pair_that_no_longer_answers_is_left_in_time() -> None:
    async def story() -> float:
        master, replica = StandIn(), StandIn()
        async with stand_ins(master, replica):
            async with given_pair(Node("master", master.url), Node("replica", replica.url)) as pair:
                await pair.replica.options.set("maxmemory", "5")
                pair.damaged = True
                replica.silent = master.silent = True
                began = asyncio.get_running_loop().time()
            return asyncio.get_running_loop().time() - began

    assert at_once(story()) == pytest.approx(0.9, abs=0.05)


def test_a_pair_that_is_gone_is_left() -> None:
    async def job(pair: Pair, master: StandIn, replica: StandIn) -> None:
        pair.damaged = True
        replica.kill()

    given(job)


def test_an_error_inside_is_raised_and_everything_restored() -> None:
    heard: list[Any] = []

    async def job(pair: Pair, master: StandIn, replica: StandIn) -> None:
        replica.heard = heard
        raise ValueError("dirty")

    with pytest.raises(ValueError, match="dirty"):
        given(job)
    assert heard[-1][0] == "REPLICAOF"


HOLDS = "--replica: this server does not follow that master and holds data"


@pytest.mark.parametrize(
    ("prepare", "follows", "refused"),
    [
        (lambda master, replica: None, True, ""),
        (lambda master, replica: None, False, ""),
        (lambda master, replica: replica.data[0].update(mine=[]), True, ""),  # the master's
        (lambda master, replica: replica.data[0].update(mine=[]), False, HOLDS),
        (lambda master, replica: (replica.data[0].update(mine=[]), replica.tells.update(master_replid="x")), True, HOLDS),
        (lambda master, replica: replica.tells.update(master_replid="x"), True, ""),
        (lambda master, replica: (replica.data[0].update(mine=[]), replica.tells.update(master_replid=master.replid)),
         False, HOLDS),
        (lambda master, replica: master.tells.update(role="slave", master_host="a", master_port=1), True,
         "--master: this server is a replica; give the URL of its master"),
        (lambda master, replica: master.kill(), False, "the master at"),
        (lambda master, replica: replica.kill(), False, "the replica at"),
    ],
)  # fmt: skip
def test_a_replica_that_would_lose_its_own_data_is_refused(
    prepare: Callable[[StandIn, StandIn], Any], follows: bool, refused: str
) -> None:
    if not refused:
        given(nothing, prepare, follows=follows)
        return
    with pytest.raises((ConfigError, EnvironmentFailure)) as raised:
        given(nothing, prepare, follows=follows)
    assert str(raised.value).startswith(refused)


def test_a_refused_pair_is_left_without_a_connection() -> None:
    async def story() -> None:
        master, replica = StandIn(), StandIn()
        replica.data[0][b"mine"] = []
        async with stand_ins(master, replica):
            nodes = Node("master", master.url), Node("replica", replica.url)
            with pytest.raises(ConfigError):
                async with given_pair(*nodes):
                    pass
            assert [node.client._by_db for node in nodes] == [{}, {}]
            assert replica.heard == [("INFO", "server"), ("INFO", "replication"), ("INFO", "keyspace")]

    at_once(story())


def test_options_of_a_running_server_are_set_or_refused() -> None:
    async def job(node: Node, server: StandIn) -> list[str]:
        await set_options(node, {"maxmemory": "5", "repl-timeout": "9"})
        assert (server.options["maxmemory"], server.options["repl-timeout"]) == ("5", "9")
        said = []
        for option in ("databases", "requirepass"):
            with pytest.raises(ConfigError) as raised:
                await set_options(node, {option: "sesame"})
            said.append(str(raised.value))
        return said

    plain, secret = with_node(job)
    assert plain == (
        "databases sesame cannot be set on the running master: Unknown option or number of arguments for CONFIG SET - "
        "'databases'; leave --master and --replica out to run it on servers of our own"
    )
    assert secret.startswith("requirepass *** cannot be set on the running master")


@pytest.mark.parametrize(
    ("speaks_tls", "listen", "wanted"),
    [
        ("no", "127.0.0.1:0", "no"),
        ("yes", "127.0.0.1:0", "set"),
        ("yes", "localhost:0", "set"),
        ("yes", "[::1]:0", "set"),
        ("yes", "rediss://10.0.0.1:0?cert=tap.pem", "yes"),
        ("no", "10.0.0.1:0", "no"),
        ("yes", "10.0.0.1:0", "the replica speaks TLS to its master (tls-replication yes), and so must the tap: "),
        ("yes", "redis.example:0", "the replica speaks TLS to its master"),
        ("no", "rediss://127.0.0.1:0?cert=tap.pem",
         "--listen rediss://: the replica does not speak TLS to its master (tls-replication no); write HOST:PORT"),
    ],
)  # fmt: skip
def test_the_replica_speaks_as_the_tap_listens(speaks_tls: str, listen: str, wanted: str) -> None:
    async def job(node: Node, server: StandIn) -> None:
        server.options["tls-replication"] = speaks_tls
        if wanted in ("yes", "no", "set"):
            await agree_on_tls(node, listening(listen))
            is_set = ("CONFIG", "SET", "tls-replication", "no") in server.heard
            assert is_set is (wanted == "set")
            assert server.options["tls-replication"] == ("no" if wanted == "set" else speaks_tls)
            return
        with pytest.raises(ConfigError) as raised:
            await agree_on_tls(node, listening(listen))
        assert str(raised.value).startswith(wanted)

    with_node(job)


# ---- servers of our own ----


def own(
    job: Callable[[Pair, Any], Awaitable[T]], fails: str = "", **scenario: Any
) -> tuple[T | None, list[Any], list[Any]]:
    """The outcome, what was done to both servers, and both servers."""

    async def story() -> T:
        async with own_pair(Path("server"), Scenario(title="a", steps=(), expect={"link_up": True}, **scenario)) as pair:  # type: ignore[arg-type]
            return await job(pair, made)

    with processes(fails) as kind:
        made = kind.made
        found: T | None = None
        try:
            found = at_once(story())
        except EnvironmentFailure:
            assert fails
        return found, kind.done, made


def test_two_servers_are_started_with_the_options_of_the_scenario_and_gone_after_it() -> None:
    async def job(pair: Pair, made: Any) -> Pair:
        assert (await pair.master.client.replication()).role == "master"
        assert (await pair.replica.client.info("server")).server.version
        assert not pair.given
        assert pair.version == "Redis 7.0.15"
        assert pair.logs() == {"master": "log of the master", "replica": "log of the replica"}
        return pair

    pair, done, made = own(
        job, both={"requirepass": "sesame", "a": 1}, master={"a": 2}, replica={"repl-ping-replica-period": 5}
    )
    assert pair is not None
    assert [one.program for one in made] == [Path("server")] * 2
    assert [dict(zip(one.options[::2], one.options[1::2], strict=True)) for one in made] == [
        {"repl-ping-replica-period": "1", "requirepass": "sesame", "a": "2"},
        {"repl-ping-replica-period": "5", "requirepass": "sesame", "a": "1"},
    ]
    assert made[0].host == made[1].host == pair.master.address.host
    assert pair.node("master") is pair.master
    assert pair.node("replica") is pair.replica
    assert [one for one in done if one[1] != "start"] == [
        ("master", "kill"), ("master", "close"), ("replica", "kill"), ("replica", "close")
    ]  # fmt: skip
    assert not pair.master.client._by_db


@pytest.mark.parametrize("fails", ["master", "replica"])
def test_servers_that_do_not_start_are_gone_all_the_same(fails: str) -> None:
    async def job(pair: Pair, made: Any) -> None:
        raise AssertionError

    _, done, made = own(job, fails)
    assert [what for what in done if what[1] == "close"] == [(one.name, "close") for one in made]
    assert made[-1].name == fails


def test_a_pair_ends_at_once() -> None:
    async def job(pair: Pair, made: Any) -> list[Any]:
        pair.end()
        return [await node.maybe_replication() for node in pair.nodes]

    found, _, _ = own(job)
    assert found == [None, None]


def test_master_and_replica_can_change_places() -> None:
    async def job(pair: Pair, made: Any) -> None:
        master, replica = pair.nodes
        pair.swap()
        assert pair.nodes == (replica, master)
        assert pair.node("master") is replica
        assert list(pair.logs()) == ["replica", "master"]

    own(job)


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_a_replica_comes_back_as_a_replica_and_a_master_as_a_master(how: str) -> None:
    async def job(pair: Pair, made: Any) -> None:
        await pair.replica.follow(pair.master.address)
        for node in pair.nodes:
            port = node.server.port if node.server else 0
            if how == "kill":
                await node.kill()
                assert not node.client._by_db
                assert await node.maybe_replication() is None
                await node.start()
            else:
                await node.restart()
            assert node.server is not None
            assert node.server.port == port
        replica, master = pair.replica.server, pair.master.server
        assert replica is not None
        assert master is not None
        where = f"{pair.master.address.host} {pair.master.address.port}"
        assert replica.options[-2:] == ("replicaof", where)
        assert "replicaof" not in master.options
        assert (await pair.replica.client.replication()).role == "slave"
        await pair.replica.follow(None)
        await getattr(pair.replica, how)()
        assert "replicaof" not in replica.options
        assert replica.options[:2] == ("repl-ping-replica-period", "1")

    _, done, made = own(job)
    named = [words[0] for one in made for words in one.one.heard if words[0] == "SHUTDOWN"]
    assert named == (["SHUTDOWN"] * 3 if how == "restart" else [])
    assert [one for one in done if one[1] == "stop"] == (
        [("master", "stop"), ("replica", "stop"), ("replica", "stop")] if how == "restart" else []
    )
    if how == "restart":
        assert ("SHUTDOWN", "SAVE") in made[0].one.heard


def test_an_exit_code_is_that_of_the_process() -> None:
    async def job(pair: Pair, made: Any) -> None:
        assert pair.master.exit_code is None
        made[0].exit_code = 3
        assert pair.master.exit_code == 3

    own(job)


def test_a_cancelled_start_is_allowed_to_come_up() -> None:
    async def story(fails: bool) -> list[str]:
        begun, go = threading.Event(), threading.Event()
        done: list[str] = []

        class Slow:
            def start(self) -> None:
                begun.set()
                go.wait(10)
                done.append("up")
                if fails:
                    raise EnvironmentFailure("not")

        server: Any = Slow()
        task = asyncio.create_task(started(server))
        while not begun.is_set():
            await asyncio.sleep(0)
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return done

    assert asyncio.run(story(False)) == ["up"]
    assert asyncio.run(story(True)) == ["up"]
