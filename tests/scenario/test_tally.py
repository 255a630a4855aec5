"""What servers count of resyncs, over all their processes, and how a pair stands at a moment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Unreachable

from tap.scenario.stage import Sample, Stage, applied_by, until
from tap.scenario.tally import Tally


class Node:
    def __init__(self, name: str, *infos: dict[str, Any]) -> None:
        self.name = name
        self.infos = list(infos)
        self.ports = {6380}

    async def info(self, section: str) -> dict[str, Any]:
        found = self.infos.pop(0) if len(self.infos) > 1 else self.infos[0]
        if not found:
            raise Unreachable("gone")
        return found

    async def maybe_info(self, section: str) -> dict[str, Any]:
        try:
            return await self.info(section)
        except Unreachable:
            return {}


def stats(full: int, partial: int) -> dict[str, Any]:
    return {"sync_full": str(full), "sync_partial_ok": str(partial), "sync_partial_err": "9"}


def test_what_is_counted_is_counted_from_the_beginning_and_over_restarts() -> None:
    async def story() -> None:
        one: Any = Node("master", stats(5, 3), stats(6, 3), stats(7, 4), stats(2, 1), stats(4, 1))
        other: Any = Node("replica", stats(0, 9))
        tally = Tally()
        await tally.begin([one, other])
        assert await tally.grown(one) == (1, 0)
        await tally.remember(one)  # at 7 and 4: it is about to end
        assert await tally.grown(one) == (2 + 2, 1 + 1)
        assert await tally.grown(one) == (2 + 4, 1 + 1)
        assert await tally.grown(other) == (0, 0)

    asyncio.run(story())


def test_a_process_that_ends_twice_is_remembered_twice() -> None:
    async def story() -> None:
        one: Any = Node("master", stats(1, 1), stats(3, 1), stats(4, 2), stats(1, 0))
        tally = Tally()
        await tally.begin([one])
        await tally.remember(one)
        await tally.remember(one)
        assert await tally.grown(one) == (2 + 4 + 1, 0 + 2 + 0)

    asyncio.run(story())


# ---- how a pair stands ----


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
        found |= {"slave0": {"ip": "127.0.0.1", "port": 6380, "state": "online", "offset": acked, "lag": 0}}
    return found


def of_replica(offset: int, link: str = "up") -> dict[str, Any]:
    return {"slave_repl_offset": offset, "master_link_status": link}


@pytest.mark.parametrize(
    ("applied", "link", "has_stream", "level"),
    [(100, "up", True, True), (101, "up", True, True), (99, "up", True, False), (100, "down", True, False),
     (100, "up", False, False)],
)  # fmt: skip
def test_level_is_to_have_applied_all_with_the_link_up(applied: int, link: str, has_stream: bool, level: bool) -> None:
    one = stage(Node("master", of_master(100)), Node("replica", of_replica(applied, link)), has_stream=has_stream)
    assert asyncio.run(one.is_level()) == level


def test_whoever_cannot_be_asked_is_not_level() -> None:
    assert not asyncio.run(stage(Node("master", {}), Node("replica", of_replica(1))).is_level())
    assert not asyncio.run(stage(Node("master", of_master(0)), Node("replica", {})).is_level())


@pytest.mark.parametrize(
    ("info", "has_stream", "link"),
    [
        (of_replica(1), True, "up"),
        (of_replica(1), False, "down"),  # the tap has lost it, the replica has not heard of that
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
    assert sample == Sample(before=100, applied=95, after=120, acked=90, link="up")
    assert asyncio.run(stage(Node("master", {}), Node("replica", of_replica(95))).sample()) is None
    assert asyncio.run(stage(Node("master", of_master(1)), Node("replica", {})).sample()) is None


def test_offsets_that_servers_tell() -> None:
    one = stage(Node("master", of_master(7)), Node("replica", {}))
    assert asyncio.run(one.master_offset()) == 7
    assert applied_by(of_replica(5)) == 5
    assert applied_by({}) == -1


def test_a_question_is_asked_until_it_is_met_or_its_time_is_over() -> None:
    answers = [False, False, True, False]

    async def question() -> bool:
        return answers.pop(0)

    asyncio.run(until(question, 10.0))
    assert answers == [False]

    async def never() -> bool:
        return False

    with pytest.raises(TimeoutError):
        asyncio.run(until(never, 0.05))
