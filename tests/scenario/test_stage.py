"""The state of a pair at a moment, by its servers and the tap."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tap.scenario.stage import OffsetSample, Stage, applied_by, until
from tests.scenario.nodes import Node
from tests.servers.infos import replication, slave

# ---- the state of a pair ----


def stage(master: Node, replica: Node, *, has_stream: bool = True) -> Stage:
    one: Any = object.__new__(Stage)
    one.pair = SimpleNamespace(master=master, replica=replica)
    one.outages = SimpleNamespace(has_stream=has_stream)
    one.offsets = {}
    made: Stage = one
    return made


def of_master(offset: int, acked: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"master_replid": "a", "master_repl_offset": offset, "connected_slaves": 0}
    if acked is not None:
        found["slave0"] = slave(6380, acked)
    return found


def of_replica(offset: int, link: str = "up") -> dict[str, Any]:
    return {"slave_repl_offset": offset, "master_link_status": link}


@pytest.mark.parametrize(
    ("applied", "link", "has_stream", "level"),
    [(100, "up", True, True), (101, "up", True, True), (99, "up", True, False), (100, "down", True, False),
     (100, "up", False, False)],
)  # fmt: skip
def test_level_means_everything_applied_and_the_link_up(applied: int, link: str, has_stream: bool, level: bool) -> None:
    one = stage(Node("master", of_master(100)), Node("replica", of_replica(applied, link)), has_stream=has_stream)
    assert asyncio.run(one.is_level()) == level


def test_a_pair_that_cannot_be_asked_is_not_level() -> None:
    assert not asyncio.run(stage(Node("master", {}), Node("replica", of_replica(1))).is_level())
    assert not asyncio.run(stage(Node("master", of_master(0)), Node("replica", {})).is_level())


@pytest.mark.parametrize(
    ("info", "has_stream", "link"),
    [
        (of_replica(1), True, "up"),
        (of_replica(1), False, "down"),  # the tap has lost it, the replica has not noticed yet
        (of_replica(1, "down"), True, "down"),
        ({"role": "master"}, True, "unknown"),
        ({}, True, "unknown"),
    ],
)
def test_a_link_is_up_if_the_replica_and_the_tap_say_so(info: dict[str, Any], has_stream: bool, link: str) -> None:
    assert asyncio.run(stage(Node("master", {}), Node("replica", info), has_stream=has_stream).link()) == link


def test_a_sample_has_the_masters_offset_before_and_after() -> None:
    master = Node("master", of_master(100, 80), of_master(120, 90))
    one = stage(master, Node("replica", of_replica(95)))
    sample = asyncio.run(one.sample())
    assert one.offsets == {"a": [100, 120]}
    assert sample == OffsetSample(before=100, applied=95, after=120, acked=90, link="up")
    assert asyncio.run(stage(Node("master", {}), Node("replica", of_replica(95))).sample()) is None
    assert asyncio.run(stage(Node("master", of_master(1)), Node("replica", {})).sample()) is None


def test_servers_give_offsets() -> None:
    one = stage(Node("master", of_master(7)), Node("replica", {}))
    assert asyncio.run(one.master_offset()) == 7
    assert applied_by(replication(of_replica(5))) == 5
    assert applied_by(replication({})) == -1
    assert applied_by(None) == -1


def test_a_condition_is_polled_until_it_is_met_or_its_time_is_over() -> None:
    answers = [False, False, True, False]

    async def question() -> bool:
        return answers.pop(0)

    asyncio.run(until(question, 10.0))
    assert answers == [False]

    async def never() -> bool:
        return False

    with pytest.raises(TimeoutError):
        asyncio.run(until(never, 0.05))
