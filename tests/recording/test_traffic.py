"""Traffic over time: nothing is lost, whatever the number of slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.recording import traffic as module
from tap.recording.traffic import MAX_SLOTS, SLOT_SECONDS, Busiest, TrafficCourse

DAY = 86400.0
TIMES = st.floats(0, 7 * DAY, allow_nan=False)


@given(st.lists(st.tuples(TIMES, st.integers(1, 10**9)), min_size=1, max_size=50), st.integers(1, 200))
def test_nothing_in_the_course_is_lost(came: list[tuple[float, int]], columns: int) -> None:
    came.sort()
    course = TrafficCourse()
    for time, size in came:
        slot = course.at(time)
        slot.bytes += size
        slot.commands += 1
    assert len(course.slots) <= MAX_SLOTS
    end = max(came[-1][0], came[0][0] + 1)
    parts = course.over(end, columns)
    assert len(parts) == columns
    assert sum(part.bytes for part in parts) == pytest.approx(sum(size for _, size in came))
    assert sum(part.commands for part in parts) == pytest.approx(len(came))


def test_a_single_moment_has_a_course() -> None:
    course = TrafficCourse()
    course.at(5.0).bytes += 7
    course.at(5.0).commands += 1
    assert sum(part.bytes for part in course.over(5.0, 10)) == pytest.approx(7)


def test_a_burst_in_the_middle_of_a_week_is_visible_in_the_chart() -> None:
    course = TrafficCourse()
    for time, size in ((0.0, 1), (3.5 * DAY, 1000), (7 * DAY, 1)):
        slot = course.at(time)
        slot.bytes += size
        slot.commands += 1
    parts = course.over(7 * DAY, 70)
    assert max(range(70), key=lambda place: parts[place].bytes) in (34, 35)


def test_the_busiest_second_is_exact_however_long_it_took() -> None:
    busiest = Busiest()
    for second in range(1000):
        for tenth in range(10):
            busiest.add(second + tenth / 10, 500 if second == 700 else 10, 1 if second == 700 else 2)
    assert (busiest.bytes, busiest.bytes_at) == (5000, 700)
    assert (busiest.commands, busiest.commands_at) == (20, 0)


def test_a_course_of_two_moments_is_spread_over_their_slots_alone() -> None:
    course = TrafficCourse()
    for time, size in ((10.0, 4), (10.5, 6)):
        slot = course.at(time)
        slot.bytes, slot.commands, slot.marks = size, 1, size
    assert len(course.slots) == 501
    parts = course.over(11.0, 4)
    assert [part.bytes for part in parts] == [4, 0, 6, 0]
    assert [part.commands for part in parts] == [1, 0, 1, 0]
    assert [part.marks for part in parts] == [4, 0, 6, 0]
    assert course.at(3.0) is course.slots[0]


def test_a_slot_over_two_parts_is_shared_by_time() -> None:
    course = TrafficCourse()
    course.seconds = 1.0
    slot = course.at(0.0)
    slot.bytes, slot.commands = 10, 20
    assert [(part.bytes, part.commands) for part in course.over(2.5, 5)] == [(5, 10), (5, 10), (0, 0), (0, 0), (0, 0)]
    last = course.at(4.0)
    last.bytes, last.commands, last.marks = 3, 1, 2
    assert [(part.bytes, part.marks) for part in course.over(4.0, 2)] == [(10, 0), (3, 2)]  # at the very end


def test_slots_grow_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SLOTS", 4)
    course = TrafficCourse()
    for number in range(9):
        slot = course.at(1.0 + number * SLOT_SECONDS * 1.0001)
        slot.bytes, slot.marks = slot.bytes + 1, slot.marks | 1 << number
    assert course.seconds == 4 * SLOT_SECONDS
    assert [(one.bytes, one.marks) for one in course.slots] == [(4, 0b1111), (4, 0b11110000), (1, 0b100000000)]


def test_the_busiest_second_begins_with_the_first_command() -> None:
    busiest = Busiest()
    for time, size in ((10.5, 3), (11.4, 3), (11.5, 4), (12.4, 1), (12.6, 6), (20.0, 6)):
        busiest.add(time, size, 1)
    assert (busiest.bytes, busiest.bytes_at, busiest.commands, busiest.commands_at) == (6, 10.5, 2, 10.5)
