"""Waiting segments come out nearest first, at a cost that does not depend on their number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.capture import pending_segments
from tap.capture.assembly import Assembler, Bytes, Gap, Item
from tap.capture.pending_segments import MAX_COUNT, PendingSegments
from tests.capture.test_assembly import made
from tests.counting import growth

SEGMENTS = st.tuples(st.integers(-50, 50), st.binary(max_size=6), st.integers(0, 3))


@given(st.lists(st.one_of(SEGMENTS, st.none(), st.integers(-50, 50)), max_size=60))
def test_it_behaves_as_a_table_with_a_known_minimum(does: list[tuple[int, bytes, int] | int | None]) -> None:
    """A segment is added, the nearest is taken (None), or the one at a position."""
    pending, known = PendingSegments(), dict[int, tuple[bytes, int]]()
    for one in does:
        if isinstance(one, tuple):
            position, data, missing = one
            pending.add(position, data, missing)
            if position not in known or len(known[position][0]) < len(data):
                known[position] = data, missing
        elif known:
            position = min(known) if one is None else one
            assert (position in pending) == (position in known)
            if position in known:
                assert pending.pop(position) == known.pop(position)
        assert len(pending) == len(known)
        assert pending.bytes == sum(len(data) for data, _ in known.values())
        ends = {position + len(data) + missing for position, (data, missing) in known.items()}
        assert all(pending.has_end(end) == (end in ends) for end in range(-60, 70))
        assert not known or pending.first() == min(known)


def test_too_much_is_one_byte_or_one_segment_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_segments, "MAX_BYTES", 10)
    monkeypatch.setattr(pending_segments, "MAX_COUNT", 3)
    pending = PendingSegments()
    pending.add(0, bytes(9), 0)
    pending.add(9, b"x", 5)
    assert not pending.is_too_much
    pending.add(20, b"", 9)
    assert not pending.is_too_much
    pending.add(10, b"x", 0)
    assert pending.is_too_much
    pending.pop(20)
    assert pending.is_too_much
    pending.pop(0)
    assert not pending.is_too_much
    for position in (30, 40):
        pending.add(position, b"", 1)
    assert pending.is_too_much


def behind_holes(count: int) -> Callable[[], object]:
    """This many segments of one byte, each after a missing byte."""
    segments = [made(0, 2**32 - 20, 0, b"x"), *(made(0, 2**32 - 20, 2 * number, b"y") for number in range(1, count))]

    def assemble() -> None:
        assembler = Assembler()
        items = [item for number, one in enumerate(segments) for item in assembler.reassemble(one, number)]
        items += assembler.finish(next(iter(assembler.connections.values())), count)
        assert [type(one) for one in items[-2:]] == [Gap, Bytes]
        assert sum(isinstance(one, Bytes) for one in items) == count

    return assemble


def test_segments_behind_many_holes_cost_the_same_each() -> None:
    assert growth(behind_holes, 200) < 2.2


def test_a_limited_number_of_segments_waits() -> None:
    assembler = Assembler()
    items: list[Item] = []
    for number in range(MAX_COUNT + 10):
        items += assembler.reassemble(made(0, 7, 2 * number, b"z"), number)
    (connection,) = assembler.connections.values()
    assert len(connection.halves[0].pending) <= MAX_COUNT
    assert sum(isinstance(one, Bytes) for one in items) >= 9
