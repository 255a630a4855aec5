"""Two data sets, compared on real servers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tap.scenario.pair import Pair
from tap.scenario.pair_difference import PairDifference, compare
from tap.scenario.workload import Workload
from tests.scenario.support import on_pair
from tests.support import thinned


@pytest.mark.parametrize("debug", [True, False])
def test_equal_data_are_equal(any_server: str, tmp_path: Path, debug: bool) -> None:
    async def job(pair: Pair) -> PairDifference:
        workload = Workload(pair.master, seed=3, rate=1)
        await workload.preload(100_000)
        await pair.replica.follow(pair.master.address)
        while (await pair.replica.client.replication()).master_link_status != "up":
            pass
        return await compare(pair.master, pair.replica, debug=debug)

    assert on_pair(any_server, tmp_path, job) == PairDifference(equal=True, by="digest" if debug else "keys")


@pytest.mark.parametrize("debug", [True, False])
def test_keys_that_differ_are_named(any_server: str, tmp_path: Path, debug: bool) -> None:
    async def job(pair: Pair) -> PairDifference:
        for node, value in ((pair.master, "1"), (pair.replica, "2")):
            ask = node.client.ask
            await ask("SET", "same", "x")
            await ask("SET", "value", value)
            await ask("RPUSH", "encoded", *(["x"] * 3))
            await ask("SET", f"only:{value}", "x")
            await ask("SET", "expiring", "x", "EX", 100 if value == "1" else 5000)
            await ask("SADD", "set", *"abc" if value == "1" else "cba", db=3)
            await ask("HSET", "hash", "a" * 100, value, db=3)
        await pair.master.client.ask("SADD", "type", "1")
        await pair.replica.client.ask("SET", "type", "1")
        return await compare(pair.master, pair.replica, debug=debug)

    found = on_pair(any_server, tmp_path, job)
    assert not found.equal
    assert sorted(found.keys) == [
        "db 0: expiring (another expiry)",
        "db 0: only:1 (only on the master)",
        "db 0: only:2 (only on the replica)",
        "db 0: type (of another type)",
        "db 0: value (another value)",
        "db 3: hash (another value)",
    ]


@pytest.mark.parametrize("debug", thinned([True, False], 2))
def test_streams_differ_by_their_groups_too(server_name: str, tmp_path: Path, debug: bool) -> None:
    """Of two independent servers, so that nothing but what the commands say makes them equal."""

    async def job(pair: Pair) -> PairDifference:
        for node in (pair.master, pair.replica):
            ask = node.client.ask
            for key in ("same", "group", "last", "pending", "consumer"):
                await ask("XADD", key, "1-1", "field", "value")
                await ask("XADD", key, "1-2", "field", "value")
                await ask("XGROUP", "CREATE", key, "readers", "0")
                await ask("XREADGROUP", "GROUP", "readers", "one", "COUNT", 1, "STREAMS", key, ">")
        ask = pair.replica.client.ask
        await ask("XGROUP", "CREATE", "group", "others", "0")
        await ask("XGROUP", "SETID", "last", "readers", "1-2")
        await ask("XACK", "pending", "readers", "1-1")
        await ask("XCLAIM", "consumer", "readers", "two", 0, "1-1")
        await ask("XGROUP", "DELCONSUMER", "pending", "readers", "one")
        return await compare(pair.master, pair.replica, debug=debug)

    found = on_pair(server_name, tmp_path, job)
    assert sorted(found.keys) == [
        f"db 0: {key} (other consumer groups)" for key in ("consumer", "group", "last", "pending")
    ]


@pytest.mark.parametrize("debug", [True, False])
def test_a_replica_has_the_groups_of_its_master(server_name: str, tmp_path: Path, debug: bool) -> None:
    async def job(pair: Pair) -> PairDifference:
        ask = pair.master.client.ask
        await ask("XADD", "before", "1-1", "field", "value")
        await ask("XGROUP", "CREATE", "before", "readers", "0")
        await ask("XREADGROUP", "GROUP", "readers", "one", "STREAMS", "before", ">")
        await pair.replica.follow(pair.master.address)
        await settled(pair)
        for number in range(1, 30):
            await ask("XADD", "after", f"{number}-1", "field", "value")
        for group in ("readers", "others"):
            await ask("XGROUP", "CREATE", "after", group, "0")
        for _ in range(4):
            await ask("XREADGROUP", "GROUP", "readers", "one", "COUNT", 3, "STREAMS", "after", ">")
        await ask("XREADGROUP", "GROUP", "readers", "two", "COUNT", 3, "NOACK", "STREAMS", "after", ">")
        await ask("XREADGROUP", "GROUP", "others", "three", "COUNT", 5, "STREAMS", "after", ">")
        await ask("XREADGROUP", "GROUP", "readers", "one", "COUNT", 2, "STREAMS", "after", "0")
        await ask("XACK", "after", "readers", "2-1")
        await ask("XCLAIM", "after", "readers", "two", 0, "3-1", "4-1")
        await ask("XAUTOCLAIM", "after", "others", "four", 0, "0", "COUNT", 2)
        await ask("XDEL", "after", "5-1")
        await ask("XTRIM", "after", "MAXLEN", 20)
        await ask("XGROUP", "DELCONSUMER", "after", "others", "three")
        await settled(pair)
        return await compare(pair.master, pair.replica, debug=debug)

    async def settled(pair: Pair) -> None:
        async with asyncio.timeout(30):
            while True:
                ours, theirs = [await node.client.replication() for node in (pair.master, pair.replica)]
                if theirs.master_link_status == "up" and theirs.slave_repl_offset == ours.master_repl_offset:
                    return

    assert on_pair(server_name, tmp_path, job) == PairDifference(equal=True, by="digest" if debug else "keys")


def test_only_the_first_differences_are_named(any_server: str, tmp_path: Path) -> None:
    async def job(pair: Pair) -> PairDifference:
        await pair.master.client.ask_all([("SET", f"key:{number}", "x") for number in range(50)])
        return await compare(pair.master, pair.replica, debug=False)

    found = on_pair(any_server, tmp_path, job)
    assert len(found.keys) == 10
    assert str(found).endswith("...")
