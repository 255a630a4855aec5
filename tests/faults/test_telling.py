"""What is told of a fault that fires: ten times a second each, the rest summed up, and no byte uncounted."""

from __future__ import annotations

from tap.faults.armed import Armed
from tap.faults.spec import parse
from tap.faults.telling import TOLD_A_SECOND, Telling
from tap.replication.events import Event, FaultFired, Side


def firing(position: int) -> FaultFired:
    return FaultFired(
        fault="x", spec="", text="", side=Side.MASTER, phase="stream", position=position, offset=None, bytes=position
    )


def sums(told: list[Event]) -> list[tuple[int, int]]:
    """Count and bytes of each."""
    assert all(isinstance(event, FaultFired) for event in told)
    return [(event.count, event.bytes) for event in told if isinstance(event, FaultFired)]


def test_ten_a_second_are_told_each_and_the_others_summed_up() -> None:
    told: list[Event] = []
    armed = Armed(parse("drop acks"), "x", 0.0)
    telling = Telling(armed, told.append)
    for number in range(1, 14):
        telling.fired(firing(number), 5.0)
    assert sums(told) == [(1, number) for number in range(1, TOLD_A_SECOND + 1)]
    assert armed.bytes == sum(range(1, 14))
    telling.tick(5.999)
    assert len(told) == TOLD_A_SECOND
    telling.tick(6.0)
    assert sums(told[TOLD_A_SECOND:]) == [(3, 11 + 12 + 13)]
    telling.tick(9.0)
    assert len(told) == TOLD_A_SECOND + 1


def test_a_firing_in_the_next_second_tells_what_is_left_of_the_one_before_first() -> None:
    told: list[Event] = []
    telling = Telling(Armed(parse("drop acks"), "x", 0.0), told.append)
    for _ in range(12):
        telling.fired(firing(1), 5.5)
    telling.fired(firing(7), 6.499)
    assert len(told) == TOLD_A_SECOND
    telling.fired(firing(9), 6.5)
    assert sums(told[TOLD_A_SECOND:]) == [(3, 9), (1, 9)]
    for _ in range(TOLD_A_SECOND):
        telling.fired(firing(1), 6.6)
    assert len(told) == TOLD_A_SECOND + 2 + TOLD_A_SECOND - 1
    telling.rest()
    assert sums(told[-1:]) == [(1, 1)]


def test_of_a_fault_that_is_over_everything_is_told_at_once() -> None:
    told: list[Event] = []
    armed = Armed(parse("drop acks"), "x", 0.0)
    telling = Telling(armed, told.append)
    armed.is_over = True
    for _ in range(15):
        telling.fired(firing(1), 5.0)
    assert sums(told) == [(1, 1)] * 15
