"""Refusals: which replicas are kept out, and how. tests/relay/ has what happens to their connections."""

from __future__ import annotations

import pytest

from tap.errors import ConfigError
from tap.faults import Plan, parse
from tap.replication.events import Event
from tests.faults.lab import PING, Lab


def plan(*specs: str) -> Plan:
    told: list[Event] = []
    made = Plan(1, told.append, lambda: 0.0, links=("main", "other"))
    for spec in specs:
        made.add(spec)
    return made


@pytest.mark.parametrize(
    ("spec", "how"), [("refuse", "refuse"), ("refuse close", "close"), ("refuse blackhole", "blackhole")]
)
def test_a_replica_is_kept_out_in_three_ways(spec: str, how: str) -> None:
    assert parse(spec).what.keeps_out == how
    made = plan(spec)
    assert made.refusal("main") is made.armed[0]
    assert (made.closes("main") is None) == (how != "refuse")


def test_only_the_replicas_of_its_link_are_kept_out() -> None:
    made = plan("refuse close link=other")
    assert (made.refusal("main"), made.refusal("other")) == (None, made.armed[0])


def test_other_faults_keep_no_replica_out() -> None:
    assert plan("cut", "stall", "drop acks").refusal("main") is None


def test_an_admitted_connection_is_not_affected() -> None:
    lab = Lab("refuse close probability=0.5")
    lab.replica(PING)
    assert lab.at_master == PING
    assert lab.faults.is_idle


@pytest.mark.parametrize("more", ["from=master", "channel=main", "at=rdb", "command=SET"])
def test_parameters_that_only_open_connections_have_are_refused(more: str) -> None:
    with pytest.raises(ConfigError, match="unknown parameter"):
        parse(f"refuse close {more}")
