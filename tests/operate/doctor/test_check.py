"""The registry: every finding has all that a person needs, and the worst comes first."""

from __future__ import annotations

import shlex
from dataclasses import replace

from tap.operate.doctor import examination
from tap.operate.doctor.check import CHECKS, Evidence, findings, from_config, from_info
from tap.operate.doctor.sentinel_hello import Hello
from tap.url import Address, Url
from tests.operate.doctor.pairs import DOWN, found, info, pair


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert examination.judge(pair()).healthy is True
    assert found(pair()) == {}
    assert len(CHECKS) > 25


def test_the_worst_comes_first() -> None:
    facts = pair(replica=DOWN, of_master={"save": ""}, of_replica={"replica-priority": "0"})
    order = [one.severity for one in findings(facts)]
    assert order == sorted(order, key=["broken", "warning", "note"].index)
    assert set(order) == {"broken", "warning", "note"}


def test_evidence_names_its_source_and_leaves_out_what_is_not_known() -> None:
    server = pair(of_master={"bind": None}).master
    assert from_info(server, "role", "nothing") == (Evidence("role", "master", "INFO of 10.0.0.5:6379"),)
    assert from_config(server, "save", "bind", "masterauth") == (
        Evidence("save", "3600 1", "CONFIG of 10.0.0.5:6379"),
        Evidence("masterauth", '""', "CONFIG of 10.0.0.5:6379"),
    )


def test_a_replica_that_cannot_be_asked_is_judged_no_further() -> None:
    facts = pair()
    (one,) = facts.replicas
    gone = type(one)(type(one.server)(one.server.url, failure="Connection refused"))
    assert set(found(pair(replicas=(gone,)))) == {"replica_unreachable"}


def test_no_address_of_a_server_can_add_a_command_to_what_is_pasted() -> None:
    """Replicas and Sentinels choose what they are called."""
    evil = Address("10.0.0.7;touch x $(touch y)", 26379)
    facts = pair(replica={**DOWN, "master_host": evil.host}, hellos=(Hello(evil, "1", "orders", Address("h", 1), 1),))
    (one,) = facts.replicas
    server = replace(
        one.server, url=Url(evil), config={**one.server.config, "save": ""}, cluster={"cluster_state": "fail"}
    )
    lag = f"ip={evil.host},port=6380,state=online,offset=0,lag=99"
    samples = tuple(replace(sample, info=info({**sample.info.fields, "slave0": lag})) for sample in facts.samples)
    done = findings(replace(facts, replicas=(replace(one, server=server),), samples=samples))
    lines = [line for finding in done for line in finding.remedy if evil.host in line]
    assert {"cluster_down", "sentinel_has_another_master", "replica_silent", "link_down"} <= {one.code for one in done}
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line, comments=False)
        assert [word for word in words if ";" in word or "$" in word] in (
            [evil.host],
            [f"{evil}"],
            [f"* -::* {evil.host}"],
        ), line
