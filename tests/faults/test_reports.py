"""Reports of firings: ten a second each, the rest combined, and every byte counted."""

from __future__ import annotations

from tap.faults.armed import Armed
from tap.faults.reports import REPORTS_A_SECOND, Reports
from tap.faults.spec import parse
from tap.replication.events import Event, FaultFired, Side


def firing(position: int) -> FaultFired:
    return FaultFired(
        fault="x", spec="", text="", side=Side.MASTER, phase="stream", position=position, offset=None, bytes=position
    )


def sums(told: list[Event]) -> list[tuple[int, int]]:
    """Count and bytes of each report."""
    assert all(isinstance(event, FaultFired) for event in told)
    return [(event.count, event.bytes) for event in told if isinstance(event, FaultFired)]


def test_ten_firings_a_second_are_reported_and_the_others_combined() -> None:
    told: list[Event] = []
    armed = Armed(parse("drop acks"), "x", 0.0)
    reports = Reports(armed, told.append)
    for number in range(1, 14):
        reports.fired(firing(number), 5.0)
    assert sums(told) == [(1, number) for number in range(1, REPORTS_A_SECOND + 1)]
    assert armed.bytes == sum(range(1, 14))
    reports.tick(5.999)
    assert len(told) == REPORTS_A_SECOND
    reports.tick(6.0)
    assert sums(told[REPORTS_A_SECOND:]) == [(3, 11 + 12 + 13)]
    reports.tick(9.0)
    assert len(told) == REPORTS_A_SECOND + 1


def test_a_firing_in_the_next_second_first_reports_the_combined_ones() -> None:
    told: list[Event] = []
    reports = Reports(Armed(parse("drop acks"), "x", 0.0), told.append)
    for _ in range(12):
        reports.fired(firing(1), 5.5)
    reports.fired(firing(7), 6.499)
    assert len(told) == REPORTS_A_SECOND
    reports.fired(firing(9), 6.5)
    assert sums(told[REPORTS_A_SECOND:]) == [(3, 9), (1, 9)]
    for _ in range(REPORTS_A_SECOND):
        reports.fired(firing(1), 6.6)
    assert len(told) == REPORTS_A_SECOND + 2 + REPORTS_A_SECOND - 1
    reports.flush()
    assert sums(told[-1:]) == [(1, 1)]


def test_a_fault_that_is_over_reports_everything_at_once() -> None:
    told: list[Event] = []
    armed = Armed(parse("drop acks"), "x", 0.0)
    reports = Reports(armed, told.append)
    armed.is_over = True
    for _ in range(15):
        reports.fired(firing(1), 5.0)
    assert sums(told) == [(1, 1)] * 15
