"""Roles, chains, histories, resyncs and lag."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tap.operate.doctor.check import Severity
from tap.operate.doctor.pair_facts import Dial, PairFacts
from tap.url import Address
from tests.operate.doctor.pairs import MASTER, found, info, pair

MB = 2**20
UPPER = {"role": "slave", "master_host": "10.0.0.4", "master_port": 6379}
FAR = "ip=10.0.0.7,port=6381,state=online,offset=0,lag=0"
NEAR = "ip=10.0.0.7,port=6381,state=online,offset=990,lag=0"
SYNCING = "ip=10.0.0.7,port=6381,state=send_bulk,offset=0,lag=0"

WRONG: list[tuple[str, Severity, dict[str, Any]]] = [
    ("master_is_replica", "note", {"master": {**UPPER, "master_link_status": "up"}}),
    ("master_is_replica", "broken", {"master": {**UPPER, "master_link_status": "down"}}),
    ("no_replicas", "note", {"master": {"connected_slaves": 0, "slave0": None}, "replicas": ()}),
    ("loading", "warning", {"replica": {"loading": 1}}),
    ("other_history", "broken", {"replica": {"master_replid": "b" * 40}}),
    ("sub_replicas", "note", {"replica": {"slave0": NEAR}}),
    ("sub_replica_distant", "warning", {"replica": {"slave0": FAR, "slave_repl_offset": 2 * MB}}),
    ("sub_replica_distant", "warning", {"replica": {"slave0": SYNCING}}),
]


@pytest.mark.parametrize(("code", "severity", "situation"), WRONG)
def test_a_situation_is_found(code: str, severity: Severity, situation: dict[str, Any]) -> None:
    assert found(pair(**situation))[code].severity == severity
    assert found(pair(**situation))[code].evidence


@pytest.mark.parametrize(
    ("code", "situation"),
    [
        ("no_replicas", {}),
        ("no_replicas", {"replicas": ()}),  # some are connected
        ("other_history", {"replica": {"master_replid": "b" * 40, "master_link_status": "down"}}),
        (
            "other_history",
            {"replica": {"master_replid": "b" * 40}, "dial": Dial(Address("10.0.0.5", MASTER), run_id="e")},
        ),
        ("sub_replica_distant", {"replica": {"slave0": FAR, "slave_repl_offset": MB}}),
    ],
)
def test_the_nearest_situation_that_is_right_is_not_found(code: str, situation: dict[str, Any]) -> None:
    assert code not in found(pair(**situation))


def counted(*counts: int) -> PairFacts:
    """sync_full of samples."""
    facts = pair(written=[0] * len(counts))
    samples = tuple(
        replace(one, info=info({**one.info.fields, "sync_full": count, "sync_partial_ok": 0, "sync_partial_err": 0}))
        for one, count in zip(facts.samples, counts, strict=True)
    )
    return replace(facts, samples=samples)


def test_full_resyncs_are_a_loop_from_the_second_on() -> None:
    assert found(counted(3, 3)) == {}
    assert found(counted(3)) == {}
    assert found(counted(3, 0)) == {}  # it restarted, or CONFIG RESETSTAT
    assert found(counted(3, 3, 4))["full_resync_seen"].severity == "warning"
    loop = found(counted(3, 4, 6))["full_resync_loop"]
    assert loop.severity == "broken"
    assert loop.evidence[0].value == "3 -> 6"
    assert loop.text == "3 full resyncs began within 2 s: a loop"


def test_as_many_full_resyncs_as_replicas_may_be_one_of_each() -> None:
    facts = counted(3, 3, 5)
    for replicas, is_sure in ((1, True), (2, False)):
        more = {**facts.samples[1].info.fields, "connected_slaves": replicas}
        samples = (facts.samples[0], replace(facts.samples[1], info=info(more)), facts.samples[2])
        text = found(replace(facts, samples=samples))["full_resync_loop"].text
        assert text.endswith(": a loop" if is_sure else "unless each of the master's 2 replicas needed one at most")


def acknowledged(*lines: tuple[int, int, int | None]) -> PairFacts:
    """The master's offset, the replica's, and the seconds since its ACK."""
    facts = pair(written=[0] * len(lines))
    samples = []
    for one, (master, replica, lag) in zip(facts.samples, lines, strict=True):
        line = f"ip=10.0.0.5,port=6380,state=online,offset={replica}" + ("" if lag is None else f",lag={lag}")
        fields = {**one.info.fields, "master_repl_offset": master, "slave0": line}
        samples.append(replace(one, info=info(fields)))
    return replace(facts, samples=tuple(samples))


def test_a_lag_that_grows_is_found_and_one_that_shrinks_is_not() -> None:
    assert found(acknowledged((MB, 0, 0), (3 * MB, MB, 0)))["lag_grows"].severity == "warning"
    assert found(acknowledged((3 * MB, 0, 0), (3 * MB, MB, 0))) == {}
    assert found(acknowledged((0, 0, 0), (MB, 0, 0))) == {}
    assert found(acknowledged((0, 0, 0), (MB + 1, 0, None)))["lag_grows"].evidence[2].value == "None"


def test_a_replica_that_acknowledges_nothing_is_broken() -> None:
    one = found(acknowledged((0, 0, 10), (3 * MB, 0, 11)))
    assert "lag_grows" not in one
    assert one["replica_silent"].severity == "broken"
    assert one["replica_silent"].server == "10.0.0.5:6380"
    assert "redis-cli -h 10.0.0.5 -p 6380 SLOWLOG GET 10" in one["replica_silent"].remedy[0]
    assert found(pair(samples=())) == {}
