"""The registry: every finding has all that a person needs, and the worst comes first."""

from __future__ import annotations

from tap.operate.doctor import examination
from tap.operate.doctor.check import CHECKS, Evidence, findings, from_config, from_info
from tests.operate.doctor.pairs import DOWN, found, pair


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
