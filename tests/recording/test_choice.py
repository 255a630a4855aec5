"""The RDB and the stream chosen by a link and a moment, at the borders."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from tap.errors import ConfigError
from tap.recording import choice
from tap.recording.choice import chapter_until, of_link, rdb_until, streams_between
from tap.recording.history import Index, Stretch
from tests.recording.test_history import A, B, C, made, rdb, stretch


def spans(streams: list[tuple[Stretch, ...]]) -> list[tuple[int, int]]:
    return [(one[0].offset, one[-1].end_offset) for one in streams]


def loose(number: int) -> Stretch:
    return dataclasses.replace(stretch(number, 0, 50, ""), is_placed=False, number=number, replid="")


def test_of_several_links_one_has_to_be_named() -> None:
    other = dataclasses.replace(stretch(2, 50, 70), link="other")
    two = made(rdb(1, 10), stretch(1, 10, 50), other)
    with pytest.raises(ConfigError, match="there are several links: main, other; choose one with --link"):
        of_link(two, None)
    assert of_link(two, "other").links == ["other"]
    with pytest.raises(ConfigError, match=r"--link eu: no resync was recorded on .* name; links with one: main, other"):
        of_link(two, "eu")
    one = made(rdb(1, 10))
    assert of_link(one, None) is one
    with pytest.raises(ConfigError, match="there is none on any link"):
        of_link(Index(), "eu")
    assert of_link(Index(unplaced=[loose(3)]), "main/3").unplaced


def test_the_last_rdb_up_to_an_offset_is_chosen() -> None:
    first, second = rdb(1, 10), rdb(2, 60)
    nowhere = dataclasses.replace(rdb(3, 99, None), offset=None)
    found = made(first, second, nowhere)
    assert rdb_until(found, None) is nowhere
    assert rdb_until(found, 60) is second
    assert rdb_until(found, 59) is first
    assert rdb_until(found, 9) is None
    assert rdb_until(Index(), None) is None


@pytest.mark.parametrize(
    ("offset", "span"), [(9, None), (10, (10, 10)), (11, (10, 11)), (50, (10, 50)), (51, None), (None, (10, 50))]
)
def test_a_chapter_is_cut_at_an_offset_that_it_has(offset: int | None, span: tuple[int, int] | None) -> None:
    found = chapter_until(made(rdb(1, 10), stretch(1, 10, 50)), offset)
    assert (None if found is None else (found.offset, found.end)) == span


def test_of_several_chapters_the_one_with_the_latest_rdb_is_chosen() -> None:
    index = made(rdb(1, 10), stretch(1, 10, 90), rdb(2, 60), stretch(2, 60, 80))
    for offset, begins in ((59, 10), (60, 60), (85, 60)):
        found = chapter_until(index, offset)
        assert found is not None
        assert found.offset == begins


def test_without_an_offset_the_last_chapter_counts_only_without_a_later_hole() -> None:
    whole = made(rdb(1, 10), stretch(1, 10, 50))
    assert chapter_until(whole, None) is not None
    assert chapter_until(made(rdb(1, 10), stretch(1, 10, 50), stretch(2, 60, 90)), None) is None
    late = stretch(2, 20, 50, ended=99)  # later, and nothing that it lacks
    assert chapter_until(made(rdb(1, 10), stretch(1, 10, 50), late), None) is not None
    assert chapter_until(made(rdb(1, 10), stretch(1, 10, 50), stretch(2, 20, 50, B, ended=99)), None) is None
    assert chapter_until(Index(), None) is None


def test_an_offset_of_several_histories_is_ambiguous() -> None:
    index = made(rdb(1, 10), stretch(1, 10, 50), rdb(2, 20, B), stretch(2, 20, 60, B))
    with pytest.raises(ConfigError, match=rf"offset 40 is in several histories \({A}, {B}\): give a time"):
        chapter_until(index, 40)
    found = chapter_until(index, 55)
    assert found is not None
    assert found.replid == B


def test_where_one_history_leaves_another_the_offset_is_of_both() -> None:
    parts = rdb(1, 10), stretch(1, 10, 60), stretch(2, 50, 90, B), stretch(3, 40, 80, C)
    index = made(*parts, parents={B: (A, 50), C: (A, 40)})
    found = chapter_until(index, 40)
    assert found is not None
    assert [(one.replid, one.end_offset) for one in found.stretches] == [(A, 40)]
    with pytest.raises(ConfigError, match="offset 41 is in several histories"):
        chapter_until(index, 41)


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (None, None, [(10, 50), (80, 90)]),
        (10, None, [(10, 50)]),
        (9, None, []),
        (50, None, [(10, 50)]),
        (51, None, []),
        (None, 50, [(10, 50)]),
        (None, 30, [(10, 30)]),
        (None, 10, []),
        (None, 11, [(10, 11)]),
        (20, 85, []),
        (80, 85, [(80, 85)]),
    ],
)
def test_streams_between_two_offsets_are_chosen(
    begin: int | None, end: int | None, expected: list[tuple[int, int]]
) -> None:
    index = made(stretch(1, 10, 30), stretch(2, 30, 50), stretch(3, 80, 90))
    assert spans(streams_between(index, begin, end)) == expected


def test_streams_without_offsets_are_chosen_if_there_are_no_others() -> None:
    index = Index(unplaced=[loose(1), loose(2)])
    assert [one[0].number for one in streams_between(index, None, None)] == [1, 2]
    for begin, end in ((1, None), (None, 1)):
        with pytest.raises(ConfigError, match="the start of the stream was not captured"):
            streams_between(index, begin, end)


def test_beside_streams_with_offsets_those_without_are_not_chosen() -> None:
    index = made(stretch(1, 10, 30))
    index.unplaced.append(loose(7))
    assert spans(streams_between(index, None, None)) == [(10, 30)]
    assert spans(streams_between(index, 10, 20)) == [(10, 20)]
    assert streams_between(Index(), None, None) == streams_between(Index(), 1, 2) == []


def test_a_moment_is_said_to_the_millisecond() -> None:
    said = datetime.datetime.fromtimestamp(1_700_000_000.123).isoformat(timespec="milliseconds")
    assert choice.moment_text(1_700_000_000_123_456_789) == said


def test_the_content_is_listed_in_lines() -> None:
    index = made(rdb(1, 10), stretch(1, 10, 50))
    (line,) = choice.rdb_lines(index)
    assert line.startswith(f"main: the RDB at offset 10 of replication ID {A} (")
    assert line.endswith(", 90 bytes)")
    (line,) = choice.chapter_lines(index)
    assert "and the stream up to offset 50 (" in line
    index.unplaced.append(loose(7))
    placed, unplaced = choice.stream_lines(index)
    assert placed.startswith(f"main: offset 10 to 50 of replication ID {A} (")
    assert unplaced.startswith("main/7: 50 bytes without offsets, of a stream whose start was not captured (")
    assert choice.rdb_text(dataclasses.replace(rdb(1, 10, None), offset=None)).startswith("the RDB without an offset (")
    later = rdb(3, 70, None)
    two = made(dataclasses.replace(later, ended=later.ended + 5), rdb(1, 10))
    assert choice.rdb_lines(two) == [
        f"main: the RDB at offset 10 of replication ID {A} ({choice.moment_text(rdb(1, 10).ended)}, 90 bytes)",
        f"main: the RDB at offset 70 ({choice.moment_text(later.ended + 5)}, {later.size} bytes)",
    ]
    one = index.chapters()[0]
    assert choice.chapter_lines(index) == [
        f"main: {choice.rdb_text(one.rdb)}, and the stream up to offset 50 ({choice.moment_text(one.ended)})"
    ]
    first, last = stretch(1, 10, 50), loose(7)
    times = [f"({choice.moment_text(some.began)} to {choice.moment_text(some.ended)})" for some in (first, last)]
    assert choice.stream_lines(index) == [
        f"main: offset 10 to 50 of replication ID {A} {times[0]}",
        f"main/7: 50 bytes without offsets, of a stream whose start was not captured {times[1]}",
    ]
    two_files = (stretch(1, 10, 50), stretch(2, 50, 60, ended=77_000_000_000))
    assert choice.stream_text(two_files) == (
        f"main: offset 10 to 60 of replication ID {A} "
        f"({choice.moment_text(two_files[0].began)} to {choice.moment_text(77_000_000_000)})"
    )
    assert choice.unplaced_lines(index) == choice.stream_lines(index)[1:]
    assert "there is:" in str(choice.listed("nothing", ["a"], "none"))
    assert str(choice.listed("nothing", [], "none")) == "nothing; none"
