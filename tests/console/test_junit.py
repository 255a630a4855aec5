"""JUnit XML of chaos, as a build server reads it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tap.bus import Told
from tap.console import junit
from tap.errors import EnvironmentFailure
from tap.replication import events
from tap.scenario.journal import JournalEntry
from tests.console.results import MET, result

RESULTS = [
    result(verdicts=MET),
    result(),
    result(scenario="skipped", skipped="it is for Valkey", verdicts=()),
    result(scenario="broken", failure="it does not start", verdicts=(), server="Valkey 9.1.2"),
]


@pytest.fixture
def root(tmp_path: Path) -> ElementTree.Element:
    path = tmp_path / "junit.xml"
    junit.write(path, RESULTS)
    assert path.read_bytes().startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    return ElementTree.parse(path).getroot()


def test_each_server_is_a_suite_with_its_counts(root: ElementTree.Element) -> None:
    counts = ("name", "tests", "failures", "errors", "skipped", "time")
    assert [tuple(suite.attrib[name] for name in counts) for suite in root.iter("testsuite")] == [
        ("Redis 7.0.15", "3", "1", "0", "1", "7.500"),
        ("Valkey 9.1.2", "1", "0", "1", "0", "2.500"),
    ]


def test_a_case_gives_its_outcome_and_how_to_repeat_it(root: ElementTree.Element) -> None:
    met, failed, skipped, broken = root.iter("testcase")
    assert (met.attrib["classname"], met.attrib["name"]) == ("Redis 7.0.15", "cut")
    assert {one.attrib["name"]: one.attrib["value"] for one in met.iter("property")} == {
        "seed": "5",
        "command": "redis-tap chaos cut --seed 5",
    }
    assert [one.tag for one in met] == ["properties"]
    [failure] = failed.iter("failure")
    assert failure.attrib["message"] == "; ".join(RESULTS[1].troubles)
    assert (failure.text or "").splitlines() == [
        *RESULTS[1].troubles,
        "repeat it with: redis-tap chaos cut --seed 5",
    ]
    assert [one.attrib["message"] for one in skipped.iter("skipped")] == ["it is for Valkey"]
    assert [one.attrib["message"] for one in broken.iter("error")] == ["it does not start"]


def test_an_unmet_run_includes_its_story(tmp_path: Path) -> None:
    armed = events.FaultArmed(fault="a", spec="cut name=a", seed=1)
    told = result(story=(JournalEntry(0.1, Told(0.0, "", 0, "", armed)), *result().story), logs={"master": "one\ntwo\n"})
    junit.write(tmp_path / "x", [told])
    lines = (ElementTree.parse(tmp_path / "x").findtext(".//system-out") or "").splitlines()
    assert lines[:3] == [
        "steps, and seconds since the run began:",
        "    0.100  fault cut",
        "    0.200  wait for level: not within 3 s",
    ]
    assert any(line.startswith("    0.100  tap  fault a armed") for line in lines)
    assert "    0.150  main/3  resync refused: -LOADING wait" in lines
    assert lines[-3:] == ["log of the master:", "  one", "  two"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=f"{tmp_path}: Is a directory"):
        junit.write(tmp_path, RESULTS)
