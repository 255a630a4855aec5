"""When each byte is due, on a clock without waiting."""

from __future__ import annotations

import math
from array import array
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from tap.recording.copying import Marks
from tap.replay.pace import Pace

SECOND = 10**9
RDB_AT = 1_795_267_239 * SECOND


def marks(*came: tuple[float, int]) -> Marks:
    """came: (seconds after the RDB, offset)."""
    return Marks(
        array("q", [RDB_AT + round(seconds * SECOND) for seconds, _ in came]), array("q", [offset for _, offset in came])
    )


def pace(*came: tuple[float, int], zero: float = 0, end: int = 400, speed: float = 1) -> Pace:
    return Pace(marks(*came), zero=RDB_AT + round(zero * SECOND), begin=100, end=end, speed=speed)


CAME = ((0.5, 200), (2, 300), (10, 400))


def test_a_byte_is_due_as_long_after_the_rdb_as_it_came() -> None:
    recorded = pace(*CAME)
    assert [recorded.due(seconds) for seconds in (0, 0.499, 0.5, 1.999, 2, 9, 10, 99)] == [
        *(100, 100, 200, 200, 300, 300, 400, 400)
    ]
    assert (recorded.wait(0), recorded.wait(0.5), recorded.wait(10)) == (0.5, 1.5, None)


def test_a_speed_divides_every_time() -> None:
    assert [pace(*CAME, speed=10).due(seconds) for seconds in (0.04, 0.05, 0.2, 1)] == [100, 200, 300, 400]
    assert pace(*CAME, speed=0.5).wait(0) == 1


def test_at_full_speed_all_is_due_at_once() -> None:
    recorded = pace(*CAME, speed=math.inf)
    assert (recorded.due(0), recorded.wait(0), recorded.when(400)) == (400, None, 0)


def test_bytes_from_before_the_zero_are_due_at_once() -> None:
    recorded = pace(*CAME, zero=3)
    assert (recorded.due(0), recorded.wait(0)) == (300, 7)


def test_the_end_may_lie_before_the_last_byte() -> None:
    recorded = pace(*CAME, end=250)
    assert (recorded.due(2), recorded.wait(0.5), recorded.wait(2)) == (250, 1.5, None)


def test_an_rdb_with_nothing_after_it_has_come_to_its_end() -> None:
    recorded = pace(end=100)
    assert (recorded.due(0), recorded.wait(0), recorded.when(100)) == (100, None, 0)


steps = st.lists(st.tuples(st.integers(1, 10**13), st.integers(1, 10**9)), min_size=1, max_size=20)


@given(steps, st.floats(0.01, 1000), st.integers(0, 19))
def test_after_waiting_for_an_offset_it_is_due(came: list[tuple[int, int]], speed: float, number: int) -> None:
    times = [RDB_AT + time for time in accumulate(time for time, _ in came)]
    offsets = list(accumulate(size for _, size in came))
    recorded = Pace(Marks(array("q", times), array("q", offsets)), zero=RDB_AT, begin=0, end=offsets[-1], speed=speed)
    offset = offsets[number % len(offsets)]
    assert recorded.due(recorded.when(offset)) >= offset
    seconds, waits = 0.0, 0
    while (wait := recorded.wait(seconds)) is not None:
        seconds += wait
        waits += 1
        assert waits <= 3 * len(came)
    assert recorded.due(seconds) == offsets[-1]
