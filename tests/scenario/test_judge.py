"""Verdicts on evidence, without a server."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from tap.scenario.accounts import Checked
from tap.scenario.judge import Counters, RunEvidence, verdicts
from tap.scenario.load import Expect
from tap.scenario.pair_difference import PairDifference
from tap.scenario.result import FaultSeen, Outcome, ResyncSeen, StepTaken

FULL = ResyncSeen("full", 1.0, "first_sync", "it has no history", 0, 1000)
PARTIAL = ResyncSeen("partial", 2.0, "", "", 100, 10)
EQUAL = PairDifference(equal=True, by="digest")
DIFFERENT = PairDifference(equal=False, by="keys", keys=("db 0: a (another value)",))


def healthy(*resyncs: ResyncSeen, **more: Any) -> RunEvidence:
    """Evidence of a run in which all went well."""
    full = sum(one.kind == "full" for one in resyncs)
    counters = Counters(full, len(resyncs) - full, full, len(resyncs) - full)
    found: dict[str, Any] = {"resyncs": list(resyncs), "counters": counters, "link": "up", "difference": EQUAL, **more}
    return RunEvidence(**found)


def failed(found: RunEvidence, **expected: Any) -> list[str]:
    """Names of the unmet verdicts."""
    return [verdict.name for verdict in verdicts(Expect(**expected), found) if not verdict.met]


def test_by_default_the_link_is_up_the_data_are_equal_and_both_run() -> None:
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
def test_the_kind_of_resync_is_judged(resyncs: tuple[ResyncSeen, ...], met: set[str]) -> None:
    assert {kind for kind in ("none", "partial", "full") if not failed(healthy(*resyncs), resync=kind)} == met


def test_the_masters_counters_have_to_agree_with_the_tap() -> None:
    missed = healthy(PARTIAL, counters=Counters(1, 0, 0, 1))
    assert failed(missed, resync="partial") == ["counters", "resync"]
    said = next(verdict for verdict in verdicts(Expect(), missed) if verdict.name == "counters")
    assert said.found == "the master counts sync_full +1, sync_partial_ok +0; the tap saw 0 full, 1 partial"
    assert failed(healthy(PARTIAL, counters=None), resync="partial") == ["resync"]


@pytest.mark.parametrize(("kind", "resyncs"), [("none", ()), ("partial", (PARTIAL,)), ("full", (FULL,))])
def test_resyncs_that_the_masters_info_does_not_confirm_are_not_believed(
    kind: Literal["none", "partial", "full"], resyncs: tuple[ResyncSeen, ...]
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


def test_valkeys_dual_channel_counts_an_additional_partial_resync() -> None:
    assert Counters(1, 1, 1, 0, two_connections=1).agree
    assert not Counters(1, 2, 1, 0, two_connections=1).agree


def test_the_reason_of_the_last_full_resync_is_judged() -> None:
    assert failed(healthy(FULL), reason=["first_sync"]) == []
    assert failed(healthy(FULL), reason=["legacy_sync", "first_sync"]) == []
    assert failed(healthy(FULL), reason=["legacy_sync"]) == ["reason"]
    assert failed(healthy(PARTIAL), reason=["first_sync"]) == ["reason"]


def test_the_number_of_full_resyncs_is_limited_by_either_count() -> None:
    assert failed(healthy(FULL, FULL), max_full=2) == []
    assert failed(healthy(FULL, FULL), max_full=1) == ["max_full"]
    assert failed(healthy(FULL, counters=Counters(2, 0, 1, 0, unanswered=1)), max_full=1) == ["max_full"]


def test_a_fault_that_never_fired_and_a_step_that_failed_are_never_met() -> None:
    never = FaultSeen("cut-1", "cut at=rdb", 0, (), 0)
    assert failed(healthy(faults=[never])) == ["fault"]
    late = StepTaken("wait for level", 1.0, 3.0, "not within 3 s")
    assert failed(healthy(steps=[late])) == ["step 1"]


def test_of_a_replica_that_should_exit_nothing_else_is_judged() -> None:
    gone = healthy(exited={"replica": 1}, link="unknown", difference=None)
    assert failed(gone, replica_exits=True) == []
    assert failed(healthy(), replica_exits=True) == ["replica_exits"]


def test_data_may_differ_while_offsets_look_healthy() -> None:
    assert failed(healthy(difference=DIFFERENT, standing="level"), converged=False, acked_offset="level") == []
    assert failed(healthy(difference=EQUAL), converged=False) == ["converged"]
    assert failed(healthy(standing="behind"), acked_offset="ahead") == ["acked_offset"]


def test_the_longest_outage_counts() -> None:
    assert failed(healthy(outages=[1.0, 2.0]), within="2s") == []
    assert failed(healthy(outages=[1.0, 2.1]), within="2s") == ["within"]


def test_searched_writes_show_that_no_data_were_lost() -> None:
    assert failed(healthy(looked_for=3), no_data_loss_before_offset="acked") == []
    assert failed(healthy(looked_for=0), no_data_loss_before_offset="acked") == ["no_data_loss_before_offset"]
    assert failed(healthy(looked_for=3, missing=["a"]), no_data_loss_before_offset="9") == ["no_data_loss_before_offset"]


def test_refused_writes_and_a_zombie_are_judged() -> None:
    assert failed(healthy(refused=1), refused_writes=True) == []
    assert failed(healthy(refused=1), refused_writes=False) == ["refused_writes"]
    assert failed(healthy(zombie=True), zombie=True) == []
    assert failed(healthy(zombie_text="what arrives is applied"), zombie=True) == ["zombie"]


CHANGED = "; the replica executed each command once: some came changed, or in another order"
LINK_UP = Outcome("link_up", "up", "up", True)
EQUALLY = Outcome("converged", "equal", "equal, by digest", True)
RUNS = Outcome("tap", "it reports what happened", "compared: 3 offsets, 2 commands, 0 ACKs, 1 cut", True)
CHECKED = Checked(offsets=3, commands=2, cuts=1)


@pytest.mark.parametrize(
    ("expected", "evidence", "said"),
    [
        ({}, {}, [LINK_UP, EQUALLY, RUNS]),
        (
            {"resync": "none", "max_full": 0, "within": "2s", "refused_writes": False, "acked_offset": "level"},
            {"standing": "level"},
            [
                Outcome("resync", "none", "none (sync_full +0, sync_partial_ok +0)", True),
                Outcome("max_full", "at most 0", "0 full", True),
                Outcome("within", "2 s", "0.00 s without a stream", True),
                LINK_UP,
                EQUALLY,
                Outcome("acked_offset", "level", "level", True),
                Outcome("refused_writes", "none refused", "0 refused", True),
                RUNS,
            ],
        ),
        (
            {
                "resync": "partial", "reason": ["first_sync", "legacy_sync"], "max_full": 1, "within": "1s",
                "zombie": True, "converged": False, "acked_offset": "behind", "no_data_loss_before_offset": "acked",
                "refused_writes": True, "link_up": False,
            },
            {
                "resyncs": [FULL, PARTIAL], "outages": [0.5, 1.5], "zombie_text": "the link takes no bytes",
                "difference": None, "why": "the servers did not come to rest", "standing_text": "applied 1",
                "refused": 2, "missing": list("abcdef"), "looked_for": 9, "exited": {"master": 1, "replica": -9},
                "faults": [FaultSeen("a", "cut at=rdb", 0, (), 0), FaultSeen("b", "cut", 1, (), 0)],
                "steps": [StepTaken("attach", 0.0, 0.1), StepTaken("wait for level", 1.0, 3.0, "not within 3 s")],
            },
            [
                Outcome("step 2", "wait for level", "not within 3 s", False),
                Outcome("fault", "cut at=rdb fires", "it never fired", False),
                Outcome("resync", "partial", "full, then partial (sync_full +1, sync_partial_ok +1)", False),
                Outcome("reason", "first_sync or legacy_sync", "first_sync: it has no history", True),
                Outcome("max_full", "at most 1", "1 full", True),
                Outcome("processes", "both servers run", "the master exited with 1, the replica exited with -9", False),
                Outcome("within", "1 s", "1.50 s without a stream", False),
                Outcome("zombie", "the link takes bytes, nothing is applied", "the link takes no bytes", False),
                Outcome("link_up", "down", "up", False),
                Outcome("converged", "different", "not compared: the servers did not come to rest", False),
                Outcome("acked_offset", "behind", "applied 1", False),
                Outcome("no_data_loss_before_offset", "acked", "missing: a, b, c, d, e", False),
                Outcome("refused_writes", "some refused", "2 refused", True),
                RUNS,
            ],
        ),
        (
            {"replica_exits": True, "reason": ["first_sync"], "no_data_loss_before_offset": "7"},
            {"exited": {"replica": 1}, "link": "unknown", "difference": None, "looked_for": 4},
            [
                Outcome("reason", "first_sync", "no full resync", False),
                Outcome("replica_exits", "the replica's process ends", "the replica exited with 1", True),
                Outcome("no_data_loss_before_offset", "7", "4 writes checked", True),
                RUNS,
            ],
        ),
        ({"replica_exits": True}, {},
         [Outcome("replica_exits", "the replica's process ends", "both servers run", False), RUNS]),
        (
            {"resync": "full", "max_full": 3},
            {"resyncs": [FULL, FULL], "counters": None},
            [
                Outcome("resync", "full", "full, then full; the master's INFO could not be read", False),
                Outcome("max_full", "at most 3", "2 full", True),
                LINK_UP,
                EQUALLY,
                RUNS,
            ],
        ),
    ],
)  # fmt: skip
def test_each_verdict_gives_what_was_expected_and_what_was_found(
    expected: dict[str, Any], evidence: dict[str, Any], said: list[Outcome]
) -> None:
    resyncs = evidence.get("resyncs", [])
    found = healthy(*resyncs, **{"checked": CHECKED, **evidence})
    assert list(verdicts(Expect(**expected), found)) == said


@pytest.mark.parametrize(
    ("converged", "difference", "executed_all", "said"),
    [
        (True, DIFFERENT, False, str(DIFFERENT)),
        (True, DIFFERENT, True, str(DIFFERENT) + CHANGED),
        (True, EQUAL, True, str(EQUAL)),
        (False, DIFFERENT, True, str(DIFFERENT)),
        (False, EQUAL, True, str(EQUAL)),
    ],
)
def test_a_difference_without_a_lost_command_is_named_as_such(
    converged: bool, difference: PairDifference, executed_all: bool, said: str
) -> None:
    found = healthy(difference=difference, checked=Checked(executed_all=executed_all))
    (one,) = [one for one in verdicts(Expect(converged=converged), found) if one.name == "converged"]
    assert (one.found, one.met) == (said, difference.equal == converged)


def test_a_problem_of_the_tap_replaces_its_passed_verdict() -> None:
    wrong = Outcome("offsets", "right", "wrong", False)
    assert [one.name for one in verdicts(Expect(), healthy(checked=Checked([wrong])))] == [
        "link_up",
        "converged",
        "offsets",
    ]


def test_empty_evidence_claims_nothing() -> None:
    expected: dict[str, Any] = {"resync": "none", "within": "1s", "zombie": True, "acked_offset": "level"}
    expected |= {"no_data_loss_before_offset": 5, "refused_writes": False}
    found = list(verdicts(Expect(**expected), RunEvidence()))
    assert {one.name: one.found for one in found} == {
        "resync": "none; the master's INFO could not be read",
        "within": "0.00 s without a stream",
        "zombie": "",
        "link_up": "unknown",
        "converged": "not compared: ",
        "acked_offset": "unknown",
        "no_data_loss_before_offset": "0 writes checked",
        "refused_writes": "0 refused",
        "tap": "compared: 0 offsets, 0 commands, 0 ACKs, 0 cuts",
    }
    assert [one.name for one in found if one.met] == ["within", "refused_writes", "tap"]


@pytest.mark.parametrize(
    ("counters", "agree"),
    [
        (Counters(0, 0, 0, 0), True),
        (Counters(1, 0, 0, 0), False),
        (Counters(0, 1, 0, 0), False),
        (Counters(0, 0, 1, 0), False),
        (Counters(0, 0, 0, 1), False),
        (Counters(2, 3, 1, 1, unanswered=1, two_connections=1), True),
        (Counters(3, 3, 1, 1, unanswered=1, two_connections=1), False),
        (Counters(2, 4, 1, 1, unanswered=1, two_connections=1), False),
    ],
)
def test_masters_may_count_what_the_tap_saw_and_what_it_could_not_see(counters: Counters, agree: bool) -> None:
    assert counters.agree is agree


def test_unanswered_requests_are_listed_beside_the_counts() -> None:
    told = "the master counts sync_full +1, sync_partial_ok +2; the tap saw 3 full, 4 partial"
    assert str(Counters(1, 2, 3, 4)) == told
    assert str(Counters(1, 2, 3, 4, unanswered=5, two_connections=6)) == f"{told}, 5 not answered"
