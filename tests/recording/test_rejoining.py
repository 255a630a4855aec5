"""Positions and offsets of a search for the next command, for any bytes and any split."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tap.recording.rejoining import Rejoined, Rejoining
from tests.relay.wire import command

REST = b"x\r\n" * 3
STREAM = command("SET", "a", "1") + command("SET", "b", "2") + command("INCR", "c")


@given(st.lists(st.integers(1, len(REST + STREAM) - 1)), st.sampled_from([None, 5000]))
def test_the_first_command_is_found_at_its_position(cuts: list[int], offset: int | None) -> None:
    search, data = Rejoining(100, offset, "a" * 40), REST + STREAM
    places = sorted({0, *cuts, len(data)})
    found, come = None, 0
    for begin, end in itertools.pairwise(places):
        assert (search.position, search.offset) == (100 + begin, None if offset is None else offset + begin)
        found, come = search.feed(data[begin:end]), end
        if found is not None:
            break
    assert found is not None
    assert (found.position, found.offset) == (100 + len(REST), None if offset is None else offset + len(REST))
    assert found.data == data[len(REST) : come]


def test_a_further_gap_moves_both_and_keeps_the_history() -> None:
    search = Rejoining(100, 5000, "a" * 40)
    assert search.feed(b"tail of a value") is None
    after = search.after_gap(7)
    assert (after.start, after.start_offset, after.replid) == (122, 5022, "a" * 40)
    assert Rejoining(100).after_gap(7).start_offset is None


def test_bytes_that_may_begin_a_command_are_kept() -> None:
    search = Rejoining(0, 10)
    assert search.feed(command("SET", "a", "1")) is None
    assert search.begins_with_command
    assert (search.kept, search.kept_offset) == (len(command("SET", "a", "1")), 10)
    assert search.close() == Rejoined(command("SET", "a", "1"), 0, 10)


def test_without_a_command_nothing_is_found() -> None:
    search = Rejoining(0)
    assert search.feed(b"no command") is None
    assert not search.begins_with_command
    assert search.close() is None
