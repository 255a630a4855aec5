"""Samples that are kept, and their charts."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tap.console.charts import Course, chart, highest

KNOWN = st.floats(0, 1e15)


def test_an_area_of_braille() -> None:
    assert chart([1, 2, 3, 4], 2, 1) == ["⣤⣾"]
    assert chart([4, 8], 2, 2) == [" ⢸", " ⣿"]
    assert chart([], 2, 1) == ["  "]


def test_zero_little_and_unknown_differ() -> None:
    assert chart([math.nan, 0.0], 1, 1) == ["⢀"]
    assert chart([0.001, 100.0], 1, 1) == ["⣼"]


@given(st.lists(KNOWN | st.just(math.nan), max_size=50), st.integers(1, 20), st.integers(1, 8))
def test_a_chart_has_its_size(values: list[float], width: int, height: int) -> None:
    lines = chart(values, width, height)
    assert [len(line) for line in lines] == [width] * height
    assert set("".join(lines)) <= {" ", *map(chr, range(0x2801, 0x2900))}


@given(st.lists(KNOWN, max_size=200), st.integers(1, 50))
def test_samples_are_merged_into_the_columns_that_there_are(values: list[float], columns: int) -> None:
    course = Course(100)
    for value in values:
        course.add(value)
    kept = values[-100:]
    assert len(course) == len(kept)
    shown = course.last(columns, peaks=True)
    assert len(shown) <= max(2, columns)
    assert highest(shown) == max(kept, default=0)


def test_groups_stay_as_they_are_while_a_chart_moves() -> None:
    course = Course(20)
    for value in range(30):
        course.add(value)
    before = course.every(5)
    course.add(30)
    assert course.every(5)[:-1][-3:] == before[-3:]
    assert before == (12.0, 17.0, 22.0, 27.0)


def test_an_unknown_sample_counts_for_nothing() -> None:
    course = Course(10)
    for value in (math.nan, 4.0, math.nan, math.nan):
        course.add(value)
    first, second = course.every(2)
    assert first == 4.0
    assert math.isnan(second)
