"""Spans of offsets, compared with a set of all offsets in them."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tap.recording.offset_spans import Spans

PAIRS = st.lists(st.tuples(st.integers(0, 24), st.integers(1, 8)).map(lambda one: (one[0], one[0] + one[1])), max_size=12)


def offsets(spans: Spans) -> set[int]:
    return {offset for begin, end in zip(spans.begins, spans.ends, strict=True) for offset in range(begin + 1, end + 1)}


def assert_tidy(spans: Spans) -> None:
    for (_, end), (begin, _) in itertools.pairwise(zip(spans.begins, spans.ends, strict=True)):
        assert end < begin  # adjacent spans are one


@given(PAIRS)
def test_spans_are_the_offsets_that_were_added(pairs: list[tuple[int, int]]) -> None:
    spans, known = Spans(), set[int]()
    for begin, end in pairs:
        new = set(range(begin + 1, end + 1))
        assert spans.add(begin, end) == (not new <= known)
        known |= new
        assert offsets(spans) == known
        assert_tidy(spans)
    for begin, end in itertools.combinations(range(34), 2):
        asked = set(range(begin + 1, end + 1))
        assert spans.has(begin, end) == (asked <= known)
        assert spans.overlaps(begin, end) == bool(asked & known)


@given(PAIRS, st.integers(-1, 34), st.integers(0, 34))
def test_between_two_offsets_are_those_above_the_first_and_up_to_the_second(
    pairs: list[tuple[int, int]], low: int, size: int
) -> None:
    spans = Spans()
    for begin, end in pairs:
        spans.add(begin, end)
    found = spans.between(low, low + size)
    assert all(begin < end for begin, end in found)
    told = {offset for begin, end in found for offset in range(begin + 1, end + 1)}
    assert told == {offset for offset in offsets(spans) if low < offset <= low + size}


@given(PAIRS, PAIRS)
def test_spans_add_up(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    made = []
    for pairs in (first, second):
        spans = Spans()
        for begin, end in pairs:
            spans.add(begin, end)
        made.append(spans)
    both = Spans()
    assert both.update(made) is both
    assert offsets(both) == offsets(made[0]) | offsets(made[1])
    assert_tidy(both)
