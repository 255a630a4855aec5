"""Every role of a server, with taps between: middle of a chain, failed over, elected, in a cluster."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tap import Address, Config, LinkConfig
from tap.console.sentences import sentence
from tap.replication import events
from tap.replication.events import Event, Role, Side
from tap.servers.embedded import Server
from tests.conftest import need
from tests.relay.sentinel import sentinel
from tests.support import (
    WITHIN,
    E,
    Servers,
    TapThread,
    client,
    digest,
    fail_over,
    follow,
    info_of,
    is_up,
    level,
    master_offset,
    thinned,
    wait_until,
)


class Taps(TapThread):
    """One link before each server; by the server's name the port where replicas find it."""

    def __init__(self, **servers: Server) -> None:
        links = (LinkConfig(name=name, master=Address("127.0.0.1", one.port)) for name, one in servers.items())
        super().__init__(Config(links=tuple(links)))

    def port_of(self, name: str) -> int:
        return next(one.address.port for one in self.tap.listeners if one.config.name == name)

    def of(self, name: str, kind: type[E], replica: int | None = None) -> list[E]:
        """The events on the link of that name; optionally only those of the replica that announces that port."""
        return [
            told.event
            for told in tuple(self.told)
            if told.link == name
            and isinstance(told.event, kind)
            and (replica is None or told.replica.endswith(f":{replica}"))
        ]

    def first(self, name: str, kind: type[E], replica: int | None = None) -> E:
        return wait_until(lambda: self.of(name, kind, replica), what=f"{kind.__name__} on {name}")[0]

    def offsets(self, name: str) -> set[int | None]:
        """The offsets of the present replicas behind that tap."""
        links = [link for link in self.tap.links if link.name == name]
        return {link.conversation.offset for link in links if link.conversation.role is Role.REPLICA}

    def all_have(self, name: str, master: Server) -> None:
        wait_until(lambda: self.offsets(name) == {master_offset(master)}, what=f"the offsets on {name} are the master's")

    def story(self, name: str) -> str:
        """The journal's lines of one link."""
        return "\n".join(filter(None, (sentence(event) for event in self.of(name, Event))))


def write(master: Server, count: int = 50) -> None:
    with client(master).pipeline(transaction=True) as one:
        for number in range(count):
            one.set(f"key:{number}", "v" * number)
            one.rpush("list", number)
        one.execute()


def names_of(tap: Taps, name: str) -> set[str]:
    return {command for batch in tap.of(name, events.Commands) for command in batch.by_name}


# ---- chains ----


@pytest.mark.parametrize("name", ["redis-6.2", "redis-newest", "valkey-newest"])
def test_a_chain_with_a_tap_before_each_replica_has_one_offset(servers: Servers, name: str) -> None:
    top, middle, bottom = (servers.start(need(name), "repl-ping-replica-period", "1") for _ in range(3))
    with Taps(top=top, middle=middle) as tap:
        follow(middle, tap.port_of("top"))
        wait_until(lambda: is_up(middle))
        follow(bottom, tap.port_of("middle"))
        wait_until(lambda: is_up(bottom))
        write(top)
        with redis.Redis(port=top.port) as one:
            one.set("key", "value")
            assert one.execute_command("WAIT", 1, 10_000) == 1
        wait_until(lambda: {"PING", "REPLCONF"} <= names_of(tap, "middle"), what="PING and GETACK come from above")
        assert tap.first("middle", events.FullResync).replid == client(top).info("replication")["master_replid"]
        # the full resync of the middle one ends the link of the one below it
        client(middle).execute_command("REPLICAOF", "NO", "ONE")
        client(middle).set("lost", 1)
        level(middle, bottom)
        follow(middle, tap.port_of("top"))
        wait_until(lambda: len(tap.of("top", events.FullResync)) == 2)
        wait_until(lambda: len(tap.of("middle", events.FullResync)) >= 2 and is_up(bottom), what="so does the one below")
        closed = next(one for one in tap.of("middle", events.LinkClosed) if one.phase == "stream")
        assert closed.by is Side.MASTER
        second = tap.of("middle", events.FullResync)[-1]
        assert second.reason.code == "replication_id_unknown"
        assert second.replid == tap.of("top", events.FullResync)[-1].replid
        write(top, 10)
        wait_until(lambda: level(top, middle) == level(middle, bottom))
        tap.all_have("top", top)
        tap.all_have("middle", top)
        assert digest(top) == digest(middle) == digest(bottom)


def test_a_replica_that_has_lost_its_own_master_refuses_and_the_tap_reports_it(servers: Servers, any_server: str) -> None:
    top, middle, bottom = (servers.start(any_server) for _ in range(3))
    top.stop()
    follow(middle, top.port)
    with Taps(middle=middle) as tap:
        follow(bottom, tap.port_of("middle"))
        refused = tap.first("middle", events.ResyncRefused)
        assert refused.reply == "-NOMASTERLINK Can't SYNC while not connected with my master"
        top.start()
        wait_until(lambda: is_up(middle) and is_up(bottom))
        write(top)
        wait_until(lambda: level(top, middle) == level(middle, bottom))
        tap.all_have("middle", top)


# ---- failover ----


def announce(server: Server, port: int) -> None:
    """Announce the address of the tap before it."""
    client(server).config_set("replica-announce-ip", "127.0.0.1")
    client(server).config_set("replica-announce-port", port)


def taken_over(link: str) -> str:
    return f"this master has taken over from that of link {link}"


def wait_until_is(role: str, server: Server) -> None:
    wait_until(lambda: info_of(server)["role"] == role, what=f"{server.name} is a {role}")


@pytest.mark.parametrize("name", ["redis-6.2", "redis-newest", "valkey-newest"])
def test_failover_to_hands_over_through_the_taps(servers: Servers, name: str) -> None:
    a, b, other = (servers.start(need(name)) for _ in range(3))
    with Taps(a=a, b=b) as tap:
        announce(b, tap.port_of("b"))
        for replica in (b, other):
            follow(replica, tap.port_of("a"))
        wait_until(lambda: is_up(b) and is_up(other))
        write(a)
        level(a, b, other)
        before = client(a).info("replication")["master_replid"]
        client(a).execute_command("FAILOVER", "TO", "127.0.0.1", tap.port_of("b"), "TIMEOUT", 5000)
        wait_until_is("slave", a)
        wait_until(lambda: is_up(a))
        asked = tap.first("b", events.PsyncRequested)
        assert (asked.replid, asked.failover) == (before, True)
        granted = tap.first("b", events.PartialResync)
        assert granted.previous_replid == before
        assert granted.replid == client(b).info("replication")["master_replid"]
        follow(other, tap.port_of("b"))
        write(b, 10)
        level(b, a, other)
        tap.all_have("b", b)
        assert not tap.of("b", events.FullResync)
        assert digest(a) == digest(b) == digest(other)
        said = tap.story("b")
        assert granted.replid is not None
        assert f"from offset {asked.offset} (PSYNC), failing over" in said
        assert f"goes on with {granted.replid[:8]}… (until now {before[:8]}…: {taken_over('a')}) after offset" in said


@pytest.mark.parametrize("name", ["redis-6.2", "valkey-newest"])
def test_a_master_returns_with_the_second_replication_id_and_after_a_promotion_without(
    servers: Servers, name: str
) -> None:
    old, new = (servers.start(need(name), "repl-ping-replica-period", "3600") for _ in range(2))
    with Taps(old=old, new=new) as tap:
        follow(new, tap.port_of("old"))
        wait_until(lambda: is_up(new))
        write(old)
        held = level(old, new)
        first = tap.first("old", events.FullResync).replid
        client(new).execute_command("REPLICAOF", "NO", "ONE")
        write(new, 5)
        follow(old, tap.port_of("new"))
        partial = tap.first("new", events.PartialResync)
        assert (partial.previous_replid, partial.previous_link, partial.offset) == (first, "old", held)
        assert client(new).info("replication")["master_replid2"] == first
        caught_up = tap.first("new", events.CaughtUp)
        assert (caught_up.at_least, caught_up.at_most) == (0, master_offset(new) - held)
        # a replica that was a master in between has a history of its own
        client(old).execute_command("REPLICAOF", "NO", "ONE")
        follow(old, tap.port_of("new"))
        full = tap.first("new", events.FullResync)
        assert full.reason.code == "replication_id_unknown"
        assert "own_history" in full.reason.causes
        wait_until(lambda: is_up(old))
        write(new, 5)
        level(new, old)
        tap.all_have("new", new)
        assert digest(old) == digest(new)


# ---- Sentinel ----


class Load:
    """A client that writes all the time to the present master."""

    def __init__(self, master: Callable[[], int]) -> None:
        self.written = 0
        self._master = master
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def _run(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(redis.RedisError), redis.Redis(port=self._master(), socket_timeout=1) as one:
                while not self._ended.wait(0.001):
                    one.set(f"key:{self.written}", "v" * (self.written % 100))
                    self.written += 1

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(WITHIN)


@pytest.mark.parametrize("name", thinned(["valkey-newest", "redis-newest"], 2))
def test_sentinel_fails_over_under_load_and_the_taps_tell_the_story(servers: Servers, name: str, tmp_path: Path) -> None:
    """Sentinel, the writer and the others know each server by the tap before it."""
    nodes = {which: servers.start(need(name)) for which in ("a", "b", "c")}
    with Taps(**nodes) as tap:
        ports = {which: tap.port_of(which) for which in nodes}
        for which, server in nodes.items():
            announce(server, ports[which])
        for replica in ("b", "c"):
            follow(nodes[replica], ports["a"])
        wait_until(lambda: is_up(nodes["b"]) and is_up(nodes["c"]))
        with sentinel(name, tmp_path, ports["a"]) as watch:
            watch.ask("DEBUG", "info-period", "300", "ping-period", "200", "publish-period", "300")
            both = {f"127.0.0.1:{ports[replica]}": "slave" for replica in ("b", "c")}
            wait_until(lambda: watch.replicas == both, what="Sentinel reaches both replicas through their taps")
            with Load(lambda: int(watch.master.rpartition(":")[2])) as load:
                wait_until(lambda: load.written > 100)
                first = client(nodes["a"]).info("replication")["master_replid"]
                nodes["a"].kill()
                wait_until(lambda: watch.master in both, what="Sentinel promotes one of them")
                watch.ask("SET", "pair", "down-after-milliseconds", "60000")  # no second one, however slow we are
                new = next(which for which in ("b", "c") if watch.master.endswith(f":{ports[which]}"))
                other = "c" if new == "b" else "b"
                partial = tap.first(new, events.PartialResync, ports[other])
                before = load.written
                wait_until(lambda: load.written > before + 100, what="the writer has found the new master")
                nodes["a"].start()
                announce(nodes["a"], ports["a"])
                full = tap.first(new, events.FullResync, ports["a"])
            level(nodes[new], nodes["a"], nodes[other])
            tap.all_have(new, nodes[new])
            assert len({digest(server) for server in nodes.values()}) == 1
        second = client(nodes[new]).info("replication")["master_replid"]
        assert (partial.previous_replid, partial.replid) == (first, second)
        assert (full.replid, full.reason.code) == (second, "replication_id_unknown")
        assert all(one.replid == first for one in tap.of("a", events.FullResync))
        assert {one.by for one in tap.of("a", events.LinkClosed) if one.phase == "stream"} == {Side.MASTER}
        assert "a connection of Sentinel" in tap.story(new)
        said = tap.story(new)
        assert f"goes on with {second[:8]}… (until now {first[:8]}…: {taken_over('a')}) after offset" in said
        assert f"FULL RESYNC, {second[:8]}…" in said
        assert "the replica was a master until now" in said


# ---- Cluster ----


def nodes_of(server: Server) -> str:
    return str(client(server).execute_command("CLUSTER NODES"))


def meet(one: Server, other: Server) -> None:
    client(one).execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, other.port + 10000)


def id_of(server: Server) -> str:
    return client(server).execute_command("CLUSTER", "MYID").decode()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["redis-newest", "valkey-newest"])
def test_a_replica_of_a_cluster_dials_the_announced_port_and_so_the_tap(servers: Servers, name: str) -> None:
    master, replica = (servers.start(need(name), "cluster-enabled", "yes") for _ in range(2))
    with Taps(shard=master, other=replica) as tap:
        for link, server in (("shard", master), ("other", replica)):
            client(server).config_set("cluster-announce-port", tap.port_of(link))
        client(master).execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        meet(replica, master)
        wait_until(lambda: f":{tap.port_of('shard')}" in nodes_of(replica), what="the replica knows the announced port")
        client(replica).execute_command("CLUSTER", "REPLICATE", id_of(master))
        wait_until(lambda: is_up(replica))
        wait_until(lambda: client(master).execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        client(master).set("key", "value")
        level(master, replica)
        tap.cut()
        client(master).set("key", "another value")
        wait_until(lambda: tap.of("shard", events.PartialResync))
        level(master, replica)
        tap.all_have("shard", master)
        assert client(replica).info("replication")["master_port"] == tap.port_of("shard")
        first = client(master).info("replication")["master_replid"]
        fail_over(client(replica))
        partial = tap.first("other", events.PartialResync)
        assert (partial.previous_replid, partial.previous_link) == (first, "shard")
        wait_until_is("slave", master)
        client(replica).set("key", "a third value")
        level(replica, master)
        tap.all_have("other", replica)
        assert not tap.of("other", events.FullResync)
        assert digest(master) == digest(replica)


def test_a_slot_migration_through_the_tap_is_named_and_arrives(servers: Servers) -> None:
    """Valkey 9: the source node dials the announced port of the target."""
    options = ("cluster-enabled", "yes")
    source, target = servers.start(need("valkey-newest"), *options), servers.start("valkey-newest", *options)
    with Taps(target=target) as tap:
        client(target).config_set("cluster-announce-port", tap.port_of("target"))
        client(source).execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8000)
        client(target).execute_command("CLUSTER", "ADDSLOTSRANGE", 8001, 16383)
        meet(source, target)
        wait_until(lambda: f":{tap.port_of('target')}" in nodes_of(source))
        for server in (source, target):
            wait_until(lambda server=server: client(server).execute_command("CLUSTER INFO")["cluster_state"] == "ok")  # type: ignore[misc]
        writer = client(source)
        for number in range(200):
            writer.set(f"{{06S}}{number}", "v" * 1000)  # slot 0
        client(source).execute_command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 100, "NODE", id_of(target))
        wait_until(lambda: client(target).dbsize() == 200 and client(source).dbsize() == 0)
        identified = tap.first("target", events.Identified)
        assert identified.role is Role.SLOT_MIGRATION
        assert identified.text.startswith("a slot migration of Valkey, from the node that dialled")
        closed = tap.first("target", events.LinkClosed)
        assert (closed.role, closed.how) == (Role.SLOT_MIGRATION, "fin")
        assert closed.bytes_from_replica > 200_000
        assert not tap.of("target", events.Opaque)


def test_migrating_keys_are_named_too(servers: Servers, any_server: str) -> None:
    source, target = servers.start(any_server, "cluster-enabled", "yes"), servers.start(any_server)
    client(source).execute_command("CLUSTER", "ADDSLOTS", *range(16384))
    wait_until(lambda: client(source).execute_command("CLUSTER INFO")["cluster_state"] == "ok")
    client(source).set("key", "v" * 100_000)
    with Taps(target=target) as tap:
        client(source).execute_command("MIGRATE", "127.0.0.1", tap.port_of("target"), "key", 0, 5000)
        assert client(target).get("key") == b"v" * 100_000
        identified = tap.first("target", events.Identified)
        assert identified.role is Role.SLOT_MIGRATION
        assert identified.text.startswith("a slot migration, keys that MIGRATE moves here")


# ---- clients ----


def cli(server: Server, *arguments: str, given: bytes = b"") -> bytes:
    program = server.program.with_name(server.program.name.replace("server", "cli"))
    return subprocess.run([program, *arguments], input=given, capture_output=True, check=True, timeout=WITHIN).stdout


def test_the_command_line_client_pipes_through_the_tap(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    commands = b"".join(b"*3\r\n$3\r\nSET\r\n$6\r\n%06d\r\n$4\r\n\r\n\x00v\r\n" % number for number in range(20_000))
    with Taps(master=master) as tap:
        follow(replica, tap.port_of("master"))
        wait_until(lambda: is_up(replica))
        said = cli(master, "-p", str(tap.port_of("master")), "--pipe", given=commands)
        assert b"errors: 0, replies: 20000" in said
        level(master, replica)
        tap.all_have("master", master)
        assert digest(master) == digest(replica)


@pytest.mark.parametrize("name", ["redis-7.0", "valkey-newest"])
def test_an_rdb_of_functions_holds_no_key(servers: Servers, name: str, tmp_path: Path) -> None:
    """REPLCONF rdb-only and rdb-filter-only functions."""
    master = servers.start(need(name))
    write(master)
    library = "#!lua name=shop\nredis.register_function('one', function() return 1 end)"
    client(master).execute_command("FUNCTION", "LOAD", library)
    file = tmp_path / "functions.rdb"
    with Taps(master=master) as tap:
        cli(master, "-p", str(tap.port_of("master")), "--functions-rdb", str(file))
        finished = tap.first("master", events.RdbFinished)
        assert (finished.keys, finished.functions, finished.bytes) == (0, 1, file.stat().st_size)
        assert tap.first("master", events.Identified).role is Role.RDB_CLIENT
        asked = [one.request[1:] for one in tap.of("master", events.Handshake)]
        assert ("rdb-filter-only", "functions") in asked
        assert ("rdb-only", "1") in asked
        wait_until(lambda: tap.of("master", events.LinkClosed))
        assert not tap.of("master", events.Opaque)


@pytest.mark.parametrize("name", ["redis-newest", "valkey-newest"])
def test_waitaof_is_answered_through_the_tap_with_the_fsynced_offset(servers: Servers, name: str) -> None:
    master = servers.start(need(name))
    replica = servers.start(name)
    client(replica).config_set("appendonly", "yes")
    with Taps(master=master) as tap:
        follow(replica, tap.port_of("master"))
        wait_until(lambda: is_up(replica))
        with redis.Redis(port=master.port) as one:
            one.set("key", "value")
            asked = master_offset(master)
            assert one.execute_command("WAIT", 1, 10_000) == 1
            assert one.execute_command("WAITAOF", 0, 1, 10_000) == [0, 1]
        wait_until(lambda: any((ack.fsynced or 0) >= asked for ack in tap.of("master", events.Ack)), what="FACK is told")
        wait_until(lambda: "REPLCONF" in names_of(tap, "master"), what="GETACK is told")
        level(master, replica)
        tap.all_have("master", master)
