"""Persistence, min-replicas, memory, clocks and reads: each situation, and the nearest one that is right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tap.operate.doctor.check import Severity
from tests.operate.doctor.pairs import DOWN, found, pair

WRONG: list[tuple[str, Severity, dict[str, Any], str]] = [
    ("master_without_persistence", "warning", {"of_master": {"save": ""}}, "CONFIG SET save '3600 1 300 100 60 10000'"),
    ("replica_without_persistence", "note", {"of_replica": {"save": ""}}, "CONFIG SET save"),
    ("rdb_save_failed", "broken", {"master": {"rdb_last_bgsave_status": "err"}}, "BGSAVE"),
    ("rdb_save_failed", "broken", {"replica": {"rdb_last_bgsave_status": "err"}}, "-p 6380 BGSAVE"),
    ("aof_write_failed", "broken", {"master": {"aof_last_write_status": "err"}}, "CONFIG GET dir"),
    (
        "min_replicas_not_met",
        "broken",
        {"master": {"min_slaves_good_slaves": 1}, "of_master": {"min-replicas-to-write": "2"}},
        "CONFIG SET min-replicas-to-write 1",
    ),
    (
        "min_replicas_exactly_met",
        "note",
        {"master": {"min_slaves_good_slaves": 2}, "of_master": {"min-replicas-to-write": "2"}},
        "",
    ),
    (
        "min_replicas_lag_too_short",
        "warning",
        {
            "master": {"min_slaves_good_slaves": 3},
            "of_master": {"min-replicas-to-write": "2", "min-replicas-max-lag": "1"},
        },
        "CONFIG SET min-replicas-max-lag 10",
    ),
    ("replica_memory_smaller", "warning", {"of_replica": {"maxmemory": "1048576"}}, "CONFIG SET maxmemory 0"),
    (
        "replica_memory_smaller",
        "warning",
        {"of_replica": {"maxmemory": str(10**9)}, "of_master": {"maxmemory": str(2 * 10**9)}},
        "CONFIG SET maxmemory 2000000000",
    ),
    ("replica_writable", "warning", {"of_replica": {"replica-read-only": "no"}}, "replica-read-only yes"),
    ("stale_reads", "warning", {"replica": DOWN}, "replica-serve-stale-data no"),
    (
        "reads_refused",
        "warning",
        {"replica": DOWN, "of_replica": {"replica-serve-stale-data": "no"}},
        "replica-serve-stale-data yes",
    ),
    ("never_promoted", "note", {"of_replica": {"replica-priority": "0"}}, ""),
    (
        "swapdb_needs_memory",
        "warning",
        {"replica": {"total_system_memory": 15 * 2**20}, "of_replica": {"repl-diskless-load": "swapdb"}},
        "repl-diskless-load disabled",
    ),
]


@pytest.mark.parametrize(("code", "severity", "situation", "remedy"), WRONG)
def test_a_situation_is_found(code: str, severity: Severity, situation: dict[str, Any], remedy: str) -> None:
    one = found(pair(**situation))[code]
    assert one.severity == severity
    assert remedy in "\n".join(one.remedy)
    assert one.evidence


RIGHT: list[tuple[str, dict[str, Any]]] = [
    ("master_without_persistence", {"of_master": {"save": "", "appendonly": "yes"}}),
    ("master_without_persistence", {"of_master": {"save": None}}),
    ("replica_without_persistence", {"of_replica": {"appendonly": "yes", "save": ""}}),
    ("min_replicas_not_met", {"master": {"min_slaves_good_slaves": 0}}),
    ("min_replicas_lag_too_short", {"of_master": {"min-replicas-max-lag": "1"}}),
    ("replica_memory_smaller", {"of_replica": {"maxmemory": str(10 * 2**20)}}),
    ("stale_reads", {}),
    ("reads_refused", {"of_replica": {"replica-serve-stale-data": "no"}}),
    (
        "swapdb_needs_memory",
        {"replica": {"total_system_memory": 20 * 2**20}, "of_replica": {"repl-diskless-load": "swapdb"}},
    ),
]


@pytest.mark.parametrize(("code", "situation"), RIGHT)
def test_the_nearest_situation_that_is_right_is_not_found(code: str, situation: dict[str, Any]) -> None:
    assert code not in found(pair(**situation))


@pytest.mark.parametrize(("clock", "within", "is_found"), [(1.4, 0.1, True), (-1.4, 0.1, True), (1.05, 0.1, False)])
def test_clocks_differ_only_by_more_than_the_measurement_may_be_wrong(
    clock: float, within: float, is_found: bool
) -> None:
    facts = pair()
    (one,) = facts.replicas
    facts = replace(facts, replicas=(replace(one, server=replace(one.server, clock=clock, clock_within=within)),))
    assert ("clocks_differ" in found(facts)) == is_found
    unread = replace(facts, master=replace(facts.master, clock=None))
    assert "clocks_differ" not in found(unread)


def test_a_replica_that_evicts_is_said_to() -> None:
    facts = pair(of_replica={"maxmemory": "1048576", "replica-ignore-maxmemory": "no"})
    assert "it evicts keys that the master has" in found(facts)["replica_memory_smaller"].text
