"""Writes in flight are no differences; what does differ is found under any load."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import redis

from tap.operate.comparison.comparison import Compared, diff
from tap.operate.comparison.details import Elements, counted, differing
from tap.operate.comparison.difference import Difference, Entry
from tap.operate.comparison.dumped import Dumps, digested
from tap.rdb.keys import Key
from tap.rdb.tokens import HASH, NONE
from tap.servers.client import Client
from tap.servers.embedded import Server
from tap.url import Url
from tests.conftest import need
from tests.operate.comparison.digesting import KEY
from tests.support import ROOT, Servers, client, follow, is_up, level, versions, wait_until

KEYS = 200


@contextmanager
def written(server: Server) -> Iterator[None]:
    """While keys of every type are written, as fast as they can be."""
    over = threading.Event()

    def write() -> None:
        dice = random.Random(7)
        asked = client(server)
        while not over.is_set():
            with asked.pipeline(transaction=False) as some:
                for _ in range(20):
                    number = dice.randrange(KEYS)
                    some.set(f"s:{number}", dice.random(), pxat=10**13)
                    some.hset(f"h:{number}", f"f{dice.randrange(20)}", dice.random())
                    some.rpush(f"l:{number}", dice.random())
                    some.ltrim(f"l:{number}", -20, -1)
                    some.zincrby(f"z:{number}", dice.random(), dice.randrange(20))
                    some.delete(f"t:{dice.randrange(KEYS)}")
                    some.sadd(f"t:{number}", dice.randrange(100))
                    some.xadd(f"x:{number}", {"a": dice.random()}, maxlen=10)
                some.execute()
            over.wait(0.005)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def compared(a: Server, b: Server, **more: object) -> tuple[Compared, dict[bytes, Difference]]:
    found: list[Difference] = []
    done = diff(a.url, b.url, found=found.append, **more)  # type: ignore[arg-type]
    return done, {one.key: one for one in found}


@pytest.mark.long
@pytest.mark.parametrize("server_name", versions(quick=["redis-8.0"]))
def test_a_pair_under_load_does_not_differ_and_what_is_planted_is_found(servers: Servers, server_name: str) -> None:
    scan = server_name == "redis-8.0"
    options = () if server_name == "redis-6.2" else ("repl-diskless-load", "disabled")
    master, replica = servers.start(need(server_name)), servers.start(server_name, *options)
    filling = client(master)
    for number in range(KEYS):
        filling.set(f"s:{number}", 0)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    more = {"scan": scan, "key": "*", "expiry_within": 1.0}
    pxat = server_name != "redis-6.2"
    with written(master) if pxat else nullcontext():
        done, found = compared(master, replica, **more)
        assert found == {}
        asked = client(replica)
        asked.config_set("slave-read-only", "no")
        asked.set("only:b", 1)
        asked.hset("planted", "f", 1)
        client(master).hset("planted", mapping={"f": 2, "g": 3})
        done, found = compared(master, replica, **more)
        assert {key for key, one in found.items() if one.db >= 0} >= {b"only:b"}
        assert set(found) <= {b"only:b", b"planted"}
    level(master, replica)
    asked.hset("planted", "f", 9)
    asked.expire("planted", 1000)
    asked.delete("s:3")
    asked.delete("s:4")
    asked.sadd("s:4", "x")
    done, found = compared(master, replica, **more)
    assert {key: one.how for key, one in found.items()} == {
        b"only:b": "only_in_b", b"planted": "value", b"s:3": "only_in_a", b"s:4": "type",
    }  # fmt: skip
    assert found[b"planted"].elements == 1
    assert found[b"planted"].expiry_differs
    assert done.equal is False
    assert done.lacking == ()


@pytest.mark.parametrize("server_name", versions(quick=["redis-6.2"]))
def test_a_consumer_that_reads_again_what_is_pending_makes_no_difference(servers: Servers, server_name: str) -> None:
    """A master counts that delivery, and does not replicate it."""
    master, replica = servers.start(need(server_name)), servers.start(server_name)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    with client(master) as asked:
        for number in range(1, 10):
            asked.xadd("stream", {"field": number}, id=f"{number}-1")
        asked.xgroup_create("stream", "group", "0")
        asked.xreadgroup("group", "consumer", {"stream": ">"}, count=5)
        asked.xreadgroup("group", "consumer", {"stream": "0"}, count=3)
        level(master, replica)
        done, found = compared(master, replica, key="stream")
        assert (found, done.equal) == ({}, True)
        asked.xack("stream", "group", "1-1")
        level(master, replica)
        client(replica).config_set("slave-read-only", "no")
        client(replica).xack("stream", "group", "2-1")
        _, found = compared(master, replica, key="stream")
        assert set(found) == {b"stream"}


def test_two_masters_are_compared_without_waiting_for_offsets(servers: Servers, any_server: str) -> None:
    a, b = servers.start(any_server), servers.start(any_server)
    for server in (a, b):
        client(server).set("same", 1)
        client(server).set("other", server.port)
    done, found = compared(a, b)
    assert list(found) == [b"other"]
    assert (done.a.keys, done.b.keys, done.differing) == (2, 2, 1)


def test_a_replica_that_stands_still_leaves_its_keys_undecided(
    servers: Servers, any_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap.operate.comparison.second_look.REACH_SECONDS", 0.1)
    master, replica = servers.start(any_server), servers.start(any_server)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    level(master, replica)
    client(master).execute_command("CLIENT", "KILL", "TYPE", "replica")
    client(replica).config_set("masterauth", "wrong")
    client(master).config_set("requirepass", "pw")
    redis.Redis(master.host, master.port, password="pw").execute_command("CLIENT", "KILL", "TYPE", "replica")
    redis.Redis(master.host, master.port, password="pw").set("behind", 1)
    wait_until(lambda: not is_up(replica))
    done = diff(f"redis://:pw@{master.address}", replica.url, scan=True)
    assert (done.differing, done.equal) == (0, None)
    late = f"not replicated in time: {replica.address} was [0-9]+ bytes behind {master.address}"
    assert re.fullmatch(f"1 key differed and could not be decided: .*, or {late}", done.lacking[0])


RIGHTS = "+psync +replconf +ping +select +info +memory +watch +multi +exec +dump +pttl +pexpiretime +time"


def test_a_user_needs_the_rights_that_the_page_names_and_no_others(servers: Servers) -> None:
    a, b = servers.start(need("redis-7.0")), servers.start(need("redis-7.0"))
    for server in (a, b):
        client(server).set("k", server.port)
        client(server).execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", *RIGHTS.split())
    assert all(right in (ROOT / "docs" / "operate.md").read_text() for right in RIGHTS.split())
    redis.Redis(a.host, a.port, db=3).set("third", 1)
    done = diff(*(f"redis://reader:pw@{server.address}" for server in (a, b)))
    assert done.by_how == {"value": 1, "only_in_a": 1}


# ---- values by DUMP ----


def test_a_dump_is_read_as_the_value_that_it_is(servers: Servers, server_name: str) -> None:
    server = servers.start(server_name)
    asked = client(server)
    asked.hset("h", mapping={"f": "v" * 100})
    asked.set("s", "x" * 300_000, ex=1000)

    async def read() -> tuple[list[bytes], dict[tuple[int, bytes], Entry]]:
        async with Client(Url.parse(server.url)) as one:
            async with Dumps(one) as reading:
                dumps = await reading.read(0, [b"h", b"gone", b"s"])
            return [dump.key for dump in dumps], digested(dumps, KEY, expiries=True)

    names, entries = asyncio.run(read())
    assert names == [b"h", b"s"]
    assert entries[0, b"h"].type == "hash"
    assert entries[0, b"h"].expiry == NONE
    assert abs(entries[0, b"s"].expiry - 1000 * (asked.time()[0] + 1000)) < 20_000


@pytest.mark.parametrize("may_ask", [True, False])
def test_large_values_are_asked_for_one_at_a_time(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, may_ask: bool
) -> None:
    monkeypatch.setattr("tap.operate.comparison.dumped.GROUP_BYTES", 10_000)
    server = servers.start(need("redis-7.0"))
    for number, size in enumerate((10, 10, 20_000, 30_000, 10)):
        client(server).set(f"k{number}", "x" * size)
    client(server).execute_command(
        "ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", *([] if may_ask else ["-memory"])
    )

    async def read() -> list[list[bytes]]:
        keys = [b"k%d" % number for number in range(5)]
        async with Client(Url.parse(f"redis://reader:pw@{server.address}")) as one, Dumps(one) as dumps:
            return [[dump.key for dump in group] async for group in dumps.groups(0, keys)]

    together = [[b"k0", b"k1"], [b"k2"], [b"k3"], [b"k4"]]
    assert asyncio.run(read()) == (together if may_ask else [[b"k0", b"k1", b"k2", b"k3", b"k4"]])


# ---- elements ----


@pytest.mark.parametrize(
    ("a", "b", "in_order", "number"),
    [
        ({b"f": b"1", b"g": b"2"}, {b"f": b"1", b"g": b"3"}, False, 1),
        ({b"f": b"1"}, {b"g": b"1"}, False, 2),
        ({b"0": b"a", b"1": b"b"}, {b"0": b"x", b"1": b"a", b"2": b"b"}, True, 1),
        ({b"0": b"a", b"1": b"b"}, {b"0": b"b", b"1": b"a"}, True, 2),
    ],
)
def test_elements_that_differ_are_counted(
    a: dict[bytes, bytes], b: dict[bytes, bytes], in_order: bool, number: int
) -> None:
    assert differing(a, b, in_order=in_order) == number


def test_what_is_not_known_of_elements_is_not_counted() -> None:
    entry = Entry(HASH, NONE, 0, 1, b"")
    one = Difference(0, b"k", "value", entry, entry)
    assert counted(one, None, {}) is one
    assert counted(one, {b"f": b"1"}, {b"f": b"1"}) is one
    assert counted(one, {b"f": b"1"}, {}).elements == 1


def test_values_of_too_many_elements_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap.operate.comparison.details.MOST", 3)
    key = Key()
    elements = Elements({(0, key.key)})
    assert elements.only(key)
    elements.begin_key(key)
    for number in range(5):
        elements.set_member(b"%d" % number)
    elements.end_key(key)
    assert elements.by_key == {}
    assert not elements.only(key)
