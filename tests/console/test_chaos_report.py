"""The output of chaos, rendered without running anything."""

from __future__ import annotations

import pytest
from rich.console import RenderableType

from tap.bus import Told
from tap.console import chaos_report
from tap.console.terminal import Terminal
from tap.replication import events
from tap.scenario import Outcome, library
from tap.scenario.journal import JournalEntry
from tap.scenario.result import FaultSeen
from tests.console.results import MET, result


def shown(what: RenderableType) -> str:
    console = Terminal(width=200, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_a_run_is_one_line() -> None:
    said = shown(chaos_report.run_line(result(verdicts=MET)))
    line = "met cut Redis 7.0.15 full (first_sync), 2 x partial; outage 1.2 s, re-sent 2.0 KB 2.5 s, seed 5"
    assert " ".join(said.split()) == line
    assert "NOT MET" in shown(chaos_report.run_line(result()))
    assert "ERROR    cut  Redis 7.0.15  it does not start" in shown(
        chaos_report.run_line(result(failure="it does not start"))
    )
    assert "skipped  cut  Redis 7.0.15  it is for Valkey" in shown(
        chaos_report.run_line(result(skipped="it is for Valkey", verdicts=()))
    )


@pytest.mark.parametrize("width", [80, 200])
def test_a_run_in_a_table_names_the_fault_and_where_it_fired(width: int) -> None:
    said = shown(chaos_report.table([result(verdicts=MET)], width))
    for words in (
        "cut [red] mode=reset",
        "2 times, first: stream, offset 5",
        "full (first_sync), 2 x partial",
        "1.2 s",
        "2.0 KB",
        "met",
    ):
        assert words in said
    assert "never" in shown(chaos_report.table([result(faults=(FaultSeen("a", "cut", 0, (), 0),))], width))


def test_an_unmet_run_is_reported_with_everything_about_it() -> None:
    said = shown(chaos_report.trouble(result()))
    for words in (
        "cut on Redis 7.0.15, seed 5: A cut",
        "wait for level",
        "not within 3 s",
        "fired 2 times: stream, offset 5; stream, offset 9",
        "resync refused: -LOADING wait",
        "partial    full    NOT MET",
        "repeat it with: redis-tap chaos cut --seed 5",
    ):
        assert " ".join(words.split()) in " ".join(said.split())
    assert "cut  never fired\n" in shown(chaos_report.trouble(result(faults=(FaultSeen("a", "cut", 0, (), 0),))))


def test_an_event_without_a_connection_belongs_to_the_tap_or_to_a_link() -> None:
    armed = events.FaultArmed(fault="a", spec="cut name=a", seed=1)
    story = (JournalEntry(0.1, Told(0.0, "", 0, "", armed)), JournalEntry(0.2, Told(0.0, "main", 0, "", armed)))
    said = shown(chaos_report.trouble(result(story=story)))
    assert [line.split()[2:4] for line in said.splitlines() if " armed: " in line] == [
        ["tap", "fault"],
        ["main", "fault"],
    ]


def test_the_matrix_has_a_column_for_each_server_with_its_outcome() -> None:
    exits = (Outcome("replica_exits", "", "", True),)
    differ = (Outcome("converged", "different", "different", True),)
    zombie = (Outcome("zombie", "", "", True), *differ)
    said = shown(
        chaos_report.matrix(
            [
                result(verdicts=MET),
                result(server="Valkey 9.1.2", verdicts=MET),
                result(server="Valkey 9.1.2"),
                result(scenario="exit", verdicts=exits),
                result(scenario="exit", server="Valkey 9.1.2", skipped="it is for Redis", verdicts=()),
                result(scenario="differ", verdicts=differ, resyncs=()),
                result(scenario="zombie", verdicts=zombie, resyncs=()),
                result(scenario="quiet", verdicts=MET, resyncs=()),
            ]
        )
    )
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.strip()}
    assert rows["scenario"] == ["Redis", "7.0.15", "Valkey", "9.1.2"]
    assert rows["cut"] == ["met", "partial", "NOT", "MET", "1/2"]
    assert rows["exit"] == ["met", "replica", "exits", "-"]
    assert rows["differ"] == ["met", "data", "differ", "-"]
    assert rows["zombie"] == ["met", "zombie", "-"]
    assert rows["quiet"] == ["met", "no", "resync", "-"]


def test_the_listing_says_what_healthy_servers_do() -> None:
    said = shown(chaos_report.listing(library()))
    for scenario in library():
        assert scenario.name in said
        assert " ".join(scenario.why.split())[:80] in said
