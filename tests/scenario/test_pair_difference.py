"""Two data sets, compared on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tap.scenario.pair import Pair
from tap.scenario.pair_difference import PairDifference, compare
from tap.scenario.workload import Workload
from tests.scenario.support import on_pair


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


def test_only_the_first_differences_are_named(any_server: str, tmp_path: Path) -> None:
    async def job(pair: Pair) -> PairDifference:
        await pair.master.client.ask_all([("SET", f"key:{number}", "x") for number in range(50)])
        return await compare(pair.master, pair.replica, debug=False)

    found = on_pair(any_server, tmp_path, job)
    assert len(found.keys) == 10
    assert str(found).endswith("...")
