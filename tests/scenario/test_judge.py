"""Verdicts on evidence, without any server."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from tap.scenario.compare import Difference
from tap.scenario.judge import Counters, Evidence, verdicts
from tap.scenario.load import Expect
from tap.scenario.result import FaultSeen, Resync, StepTaken, Verdict

FULL = Resync("full", 1.0, "first_sync", "it has no history", 0, 1000)
PARTIAL = Resync("partial", 2.0, "", "", 100, 10)
EQUAL = Difference(equal=True, by="digest")
DIFFERENT = Difference(equal=False, by="keys", keys=("db 0: a (another value)",))


def healthy(*resyncs: Resync, **more: Any) -> Evidence:
    """Evidence of a run in which all went well."""
    full = sum(one.kind == "full" for one in resyncs)
    counters = Counters(full, len(resyncs) - full, full, len(resyncs) - full)
    found: dict[str, Any] = {"resyncs": list(resyncs), "counters": counters, "link": "up", "difference": EQUAL, **more}
    return Evidence(**found)


def failed(found: Evidence, **expected: Any) -> list[str]:
    """Names of the verdicts that are not met."""
    return [verdict.name for verdict in verdicts(Expect(**expected), found) if not verdict.met]


def test_without_expectations_the_link_is_up_the_data_are_equal_and_both_run() -> None:
    assert failed(healthy()) == []
    assert failed(healthy(link="down")) == ["link_up"]
    assert failed(healthy(difference=DIFFERENT)) == ["converged"]
    assert failed(healthy(difference=None, why="busy")) == ["converged"]
    assert failed(healthy(exited={"replica": 1})) == ["processes"]


@pytest.mark.parametrize(
    ("resyncs", "met"),
    [
        ((), {"none"}),
        ((PARTIAL,), {"partial"}),
        ((PARTIAL, PARTIAL), {"partial"}),
        ((FULL,), {"full"}),
        ((PARTIAL, FULL), {"full"}),
        ((FULL, PARTIAL), set()),
    ],
)
def test_what_brought_the_replica_back(resyncs: tuple[Resync, ...], met: set[str]) -> None:
    assert {kind for kind in ("none", "partial", "full") if not failed(healthy(*resyncs), resync=kind)} == met


def test_the_masters_counters_have_to_agree_with_the_tap() -> None:
    missed = healthy(PARTIAL, counters=Counters(1, 0, 0, 1))
    assert failed(missed, resync="partial") == ["counters", "resync"]
    said = next(verdict for verdict in verdicts(Expect(), missed) if verdict.name == "counters")
    assert said.found == "the master counts sync_full +1, sync_partial_ok +0; the tap saw 0 full, 1 partial"
    assert failed(healthy(PARTIAL, counters=None), resync="partial") == ["resync"]


@pytest.mark.parametrize(("kind", "resyncs"), [("none", ()), ("partial", (PARTIAL,)), ("full", (FULL,))])
def test_nothing_is_believed_of_resyncs_that_the_masters_info_does_not_confirm(
    kind: Literal["none", "partial", "full"], resyncs: tuple[Resync, ...]
) -> None:
    assert failed(healthy(*resyncs), resync=kind) == []
    unread = healthy(*resyncs, counters=None)
    assert failed(unread, resync=kind) == ["resync"]
    (said,) = [one.found for one in verdicts(Expect(resync=kind), unread) if one.name == "resync"]
    assert said.endswith("the master's INFO could not be read")
    for full, partial in ((1, 0), (0, 1), (1, 1), (0, 0)):
        counted = healthy(*resyncs, counters=Counters(full, partial, full, partial))
        confirmed = {"none": full == partial == 0, "partial": not full and partial > 0, "full": full > 0}[kind]
        assert (failed(counted, resync=kind) == []) == confirmed


def test_a_request_whose_answer_was_cut_may_have_been_counted() -> None:
    assert Counters(2, 0, 1, 0, unanswered=1).agree
    assert not Counters(3, 0, 1, 0, unanswered=1).agree
    assert not Counters(0, 0, 1, 0, unanswered=1).agree


def test_valkeys_dual_channel_counts_a_partial_resync_besides() -> None:
    assert Counters(1, 1, 1, 0, two_connections=1).agree
    assert not Counters(1, 2, 1, 0, two_connections=1).agree


def test_the_reason_of_the_last_full_resync() -> None:
    assert failed(healthy(FULL), reason=["first_sync"]) == []
    assert failed(healthy(FULL), reason=["legacy_sync", "first_sync"]) == []
    assert failed(healthy(FULL), reason=["legacy_sync"]) == ["reason"]
    assert failed(healthy(PARTIAL), reason=["first_sync"]) == ["reason"]


def test_as_many_full_resyncs_as_allowed_by_either_count() -> None:
    assert failed(healthy(FULL, FULL), max_full=2) == []
    assert failed(healthy(FULL, FULL), max_full=1) == ["max_full"]
    assert failed(healthy(FULL, counters=Counters(2, 0, 1, 0, unanswered=1)), max_full=1) == ["max_full"]


def test_a_fault_that_never_fired_and_a_step_that_failed_are_never_met() -> None:
    never = FaultSeen("cut-1", "cut at=rdb", 0, (), 0)
    assert failed(healthy(faults=[never])) == ["fault"]
    late = StepTaken("wait for level", 1.0, 3.0, "not within 3 s")
    assert failed(healthy(steps=[late])) == ["step 1"]


def test_of_a_replica_that_is_expected_to_exit_nothing_else_is_asked() -> None:
    gone = healthy(exited={"replica": 1}, link="unknown", difference=None)
    assert failed(gone, replica_exits=True) == []
    assert failed(healthy(), replica_exits=True) == ["replica_exits"]


def test_data_that_differ_while_offsets_look_healthy() -> None:
    assert failed(healthy(difference=DIFFERENT, standing="level"), converged=False, acked_offset="level") == []
    assert failed(healthy(difference=EQUAL), converged=False) == ["converged"]
    assert failed(healthy(standing="behind"), acked_offset="ahead") == ["acked_offset"]


def test_the_longest_outage_counts() -> None:
    assert failed(healthy(outages=[1.0, 2.0]), within="2s") == []
    assert failed(healthy(outages=[1.0, 2.1]), within="2s") == ["within"]


def test_no_data_loss_is_shown_by_writes_that_were_looked_for() -> None:
    assert failed(healthy(looked_for=3), no_data_loss_before_offset="acked") == []
    assert failed(healthy(looked_for=0), no_data_loss_before_offset="acked") == ["no_data_loss_before_offset"]
    assert failed(healthy(looked_for=3, missing=["a"]), no_data_loss_before_offset="9") == ["no_data_loss_before_offset"]


def test_refused_writes_and_a_zombie() -> None:
    assert failed(healthy(refused=1), refused_writes=True) == []
    assert failed(healthy(refused=1), refused_writes=False) == ["refused_writes"]
    assert failed(healthy(zombie=True), zombie=True) == []
    assert failed(healthy(zombie_text="what arrives is applied"), zombie=True) == ["zombie"]


def test_a_verdict_says_what_was_expected_and_what_was_found() -> None:
    found = list(verdicts(Expect(resync="partial"), healthy(PARTIAL)))
    assert found[0] == Verdict("resync", "partial", "partial (sync_full +0, sync_partial_ok +1)", True)
