"""The result of one run, in short: whether it was met, why not, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tap.bus import Told
from tap.replication import events
from tap.scenario.journal import JournalEntry
from tap.scenario.result import FaultSeen, Outcome, Result, ResyncSeen, StepTaken

GOOD, BAD = Outcome("link_up", "up", "up", True), Outcome("resync", "partial", "full", False)


def result(**more: Any) -> Result:
    return Result(scenario="cut", title="A cut", server="Redis 7.0.15", seed=5, **more)


@pytest.mark.parametrize(
    ("more", "met", "troubles"),
    [
        ({}, True, []),
        ({"verdicts": (GOOD,)}, True, []),
        ({"verdicts": (GOOD, BAD, GOOD)}, False, ["resync: expected partial, found full"]),
        ({"skipped": "it is for Valkey"}, True, []),
        ({"failure": "it does not start"}, False, ["it does not start"]),
        ({"failure": "it does not start", "verdicts": (BAD,)}, False, ["it does not start"]),
    ],
)
def test_a_run_is_met_if_nothing_failed_and_every_expectation_came_true(
    more: dict[str, Any], met: bool, troubles: list[str]
) -> None:
    one = result(**more)
    assert (one.met, one.troubles) == (met, troubles)


def test_an_empty_run_counts_nothing() -> None:
    assert result().as_dict() == {
        "scenario": "cut",
        "title": "A cut",
        "server": "Redis 7.0.15",
        "seed": 5,
        "command": "",
        "skipped": "",
        "failure": "",
        "seconds": 0.0,
        "steps": [],
        "faults": [],
        "resyncs": [],
        "outage": 0.0,
        "resent": 0,
        "written": 0,
        "refused": 0,
        "verdicts": [],
        "met": True,
    }
    assert (result().story, result().logs, StepTaken("wait", 0.1, 0.2).problem) == ((), {}, "")


def test_programs_get_an_object_without_the_story_and_the_logs() -> None:
    story = (JournalEntry(0.5, Told(0.0, "main", 1, "", events.Keepalive(start=0, end=1, side=events.Side.MASTER))),)
    one = result(
        steps=(StepTaken("wait", 0.1, 0.2, "late"),),
        faults=(FaultSeen("a", "cut", 1, ("stream",), 9),),
        resyncs=(ResyncSeen("full", 0.1, "first_sync", "new", 0, 2048),),
        verdicts=(BAD,),
        story=story,
        logs={"master": "a line"},
    )
    said = json.loads(json.dumps(one.as_dict()))
    assert said["met"] is False
    assert said["steps"] == [{"text": "wait", "at": 0.1, "seconds": 0.2, "problem": "late"}]
    assert said["faults"] == [{"name": "a", "spec": "cut", "fired": 1, "places": ["stream"], "bytes": 9}]
    assert said["resyncs"][0]["kind"] == "full"
    assert said["verdicts"] == [dataclasses.asdict(BAD)]
    fields = {field.name for field in dataclasses.fields(Result)}
    assert said.keys() == (fields | {"met"}) - {"story", "logs"}
