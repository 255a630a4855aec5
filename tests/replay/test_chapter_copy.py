"""Which chapters are played, and where each of them ends."""

from __future__ import annotations

import io
import random
import shutil
from bisect import bisect_left
from collections import namedtuple
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from tap.errors import ConfigError, EnvironmentFailure, RecordingError
from tap.recording.copying import copy_chapter
from tap.recording.history import Index, Read, index
from tap.recording.moments import Moment, nanoseconds
from tap.replay.chapter_copy import _histories, choose, take
from tap.replay.excerpt import Excerpt
from tests.recording.test_history import A, B, made, rdb, stretch
from tests.recording.wires import as_packets, reading
from tests.support import captures


def chosen(found: Index, links: tuple[str, ...] = (), **options: datetime | int | None) -> list[tuple[int, int]]:
    begin, until = options.get("begin"), options.get("until")
    assert not isinstance(until, datetime)
    return [(one.offset, one.end) for one in choose(found, links, begin, until)]


def after(offset: int) -> datetime:
    """When an offset had come: the parts of these tests are made at this many nanoseconds after the epoch."""
    return datetime.fromtimestamp(offset / 1e9)


def test_bytes_in_another_chapter_are_not_played_twice() -> None:
    assert chosen(made(rdb(1, 10), stretch(1, 10, 90), rdb(2, 60), stretch(2, 60, 80))) == [(10, 90)]


def test_after_a_hole_the_next_rdb_comes() -> None:
    assert chosen(made(rdb(1, 10), stretch(1, 10, 50), rdb(2, 60), stretch(2, 60, 90))) == [(10, 50), (60, 90)]


def test_from_takes_the_last_rdb_before_it() -> None:
    found = made(rdb(1, 10), stretch(1, 10, 90), rdb(2, 60), stretch(2, 60, 90))
    assert chosen(found, begin=59) == [(10, 90)]
    assert chosen(found, begin=60) == [(60, 90)]
    assert chosen(found, begin=5) == [(10, 90)]
    with pytest.raises(ConfigError, match="--from 91 lies after the end of the recording, which is at 90"):
        chosen(found, begin=91)


def test_from_may_be_a_time() -> None:
    later = 10**9
    found = made(rdb(1, 10), stretch(1, 10, later), rdb(2, later // 2), stretch(2, later // 2, later))
    assert chosen(found, begin=after(later // 4)) == [(10, later)]
    assert chosen(found, begin=after(later * 3 // 4)) == [(later // 2, later)]
    with pytest.raises(ConfigError, match="lies after the end"):
        chosen(found, begin=after(2 * later))


def test_until_is_an_offset_that_some_rdb_has() -> None:
    found = made(rdb(1, 10), stretch(1, 10, 50), rdb(2, 60), stretch(2, 60, 90))
    assert chosen(found, until=55) == [(10, 50)]
    with pytest.raises(ConfigError, match="--until 9 lies before the first RDB, which is at offset 10"):
        chosen(found, until=9)


def test_of_several_masters_one_has_to_be_chosen() -> None:
    def found() -> Index:
        both = made(rdb(1, 10), stretch(1, 10, 50), rdb(2, 60, B), stretch(2, 60, 90, B))
        both.rdbs[1] = replace(both.rdbs[1], link="other")
        both.stretches[1] = replace(both.stretches[1], link="other")
        return both

    with pytest.raises(ConfigError, match="several links: main, other; choose one with --link NAME"):
        chosen(found())
    assert chosen(found(), ("other",)) == [(60, 90)]
    with pytest.raises(ConfigError, match="no link 'another' in the recording; its links: main, other"):
        chosen(found(), ("another",))


def test_an_offset_at_which_an_rdb_begins_or_a_stream_ends_belongs_to_it() -> None:
    def two() -> Index:
        return made(rdb(1, 10), stretch(1, 10, 50), rdb(2, 60), stretch(2, 60, 95))

    assert chosen(two(), until=10) == chosen(two(), until=59) == [(10, 50)]
    assert chosen(two(), until=60) == chosen(two(), begin=50) == [(10, 50), (60, 95)]
    assert chosen(two(), begin=51) == chosen(two(), begin=60) == chosen(two(), begin=95) == [(60, 95)]


def test_a_time_at_which_an_rdb_or_a_stream_has_just_ended_belongs_to_it() -> None:
    later = 10**9
    half = later // 2

    def two() -> Index:
        return made(rdb(1, 1000), stretch(1, 1000, later), rdb(2, half, B), stretch(2, half, 2 * later, B))

    assert chosen(two(), begin=after(half - 1000)) == [(1000, later), (half, 2 * later)]
    assert chosen(two(), begin=after(half)) == chosen(two(), begin=after(2 * later)) == [(half, 2 * later)]
    with pytest.raises(ConfigError) as error:
        chosen(two(), begin=after(2 * later + 1000))
    assert str(error.value).endswith(f"lies after the end of the recording, which is at {after(2 * later).isoformat()}")
    far = made(rdb(1, 1000), stretch(1, 1000, half), rdb(2, later), stretch(2, later, 2 * later))
    assert chosen(far, begin=after(half)) == [(1000, half), (later, 2 * later)]
    assert chosen(far, begin=after(half + 1000)) == [(later, 2 * later)]


def test_chapters_come_in_the_order_of_their_rdbs_and_each_leads_further() -> None:
    assert chosen(made(rdb(2, 60), stretch(2, 60, 90), rdb(1, 10), stretch(1, 10, 50))) == [(10, 50), (60, 90)]
    assert chosen(made(rdb(1, 10), stretch(1, 10, 90), rdb(2, 60), stretch(2, 60, 90))) == [(10, 90)]
    other = made(rdb(1, 10), stretch(1, 10, 90), rdb(2, 60, B), stretch(2, 60, 80, B))
    assert chosen(other) == [(10, 90), (60, 80)]


def test_until_before_the_first_of_several_rdbs_names_the_first() -> None:
    found = made(rdb(2, 60, B), stretch(2, 60, 90, B), rdb(1, 10), stretch(1, 10, 50))
    with pytest.raises(ConfigError, match="--until 9 lies before the first RDB, which is at offset 10"):
        chosen(found, until=9)


def test_the_first_absent_link_is_named() -> None:
    with pytest.raises(ConfigError, match="no link 'a' in the recording; its links: main"):
        chosen(made(rdb(1, 10), stretch(1, 10, 50)), ("main", "a", "b"))
    with pytest.raises(ConfigError, match="no link 'a' in the recording; its links: none with a stream or an RDB"):
        chosen(made(), ("a",))
    assert chosen(made(rdb(1, 10), stretch(1, 10, 50)), ("main",)) == [(10, 50)]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (made(), "no RDB and no stream"),
        (made(stretch(1, 10, 50)), "no whole RDB in the recording"),
        (made(rdb(1, 10, None)), "asked for with SYNC"),
        (Index([], [], [stretch(1, 10, 50)]), "no whole RDB in the recording"),
    ],
)
def test_without_an_rdb_there_is_nothing_to_play(found: Index, says: str) -> None:
    with pytest.raises(RecordingError, match=says):
        chosen(found)


# ---- copying ----


def test_a_disk_without_room_is_reported_before_anything_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = next(one for one in captures() if one.name == "redis-7.0-diskless")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 95, 5))
    with pytest.raises(EnvironmentFailure, match=r"bytes are needed there .*, 5 are free; set TMPDIR"):
        take(reading(as_packets(capture, 1000, random.Random(1))), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_just_fits_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = the_capture()
    (chapter,) = index(read).chapters()
    need = chapter.rdb.size + chapter.end - chapter.offset
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10 * need, 0, need))
    assert len(take(read, tmp_path)) == 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10 * need, 0, need - 1))
    with pytest.raises(EnvironmentFailure, match=rf"{need} bytes are needed there .*, {need - 1} are free"):
        take(read, tmp_path)


def test_a_directory_that_takes_no_files_is_reported(tmp_path: Path) -> None:
    (tmp_path / "1").touch()
    with pytest.raises(EnvironmentFailure, match=r"File exists; set TMPDIR to a directory with more room"):
        take(the_capture(), tmp_path)


def test_a_part_is_the_rdb_and_the_stream_to_its_last_whole_command(tmp_path: Path) -> None:
    read = the_capture()
    (chapter,) = index(read).chapters()
    snapshot, stream = io.BytesIO(), io.BytesIO()
    marks = copy_chapter(read, chapter, snapshot, stream)
    (part,) = take(read, tmp_path)
    size = part.end - part.offset
    assert (part.rdb, part.stream) == (tmp_path / "1" / "rdb", tmp_path / "1" / "stream")
    assert part.rdb.read_bytes() == snapshot.getvalue()
    assert part.stream.read_bytes() == stream.getvalue()[:size]
    assert (part.link, part.replid, part.offset, part.rdb_size) == (
        chapter.link, chapter.replid, chapter.offset, chapter.rdb.size,
    )  # fmt: skip
    assert 0 < size <= len(stream.getvalue())
    assert part.rdb_version == snapshot.getvalue()[:9].decode()
    assert (part.marks, part.zero, part.began) == (marks, chapter.rdb.ended, chapter.rdb.began)
    assert part.ended == marks.time_at(part.end)
    assert part.histories == {chapter.replid: chapter.end}


def test_bytes_before_a_moment_are_due_at_once(tmp_path: Path) -> None:
    read = the_capture()
    (whole,) = take(read, tmp_path)
    times, offsets = list(whole.marks.times), list(whole.marks.offsets)

    def zero(begin: Moment) -> int:
        shutil.rmtree(tmp_path / "1")
        (part,) = take(read, tmp_path, Excerpt(begin=begin))
        return part.zero

    assert zero(whole.offset) == zero(offsets[0]) == times[0]  # when the first byte after it came
    assert zero(offsets[0] + 1) == times[1]
    assert zero(whole.end) == times[bisect_left(offsets, whole.end)]
    assert zero(datetime(1980, 1, 1)) == whole.zero
    late = datetime.fromtimestamp(times[-1] // 1000 / 10**6)
    assert zero(late) == nanoseconds(late)


def test_an_end_cuts_the_stream_after_a_whole_command(tmp_path: Path) -> None:
    read = the_capture()
    (whole,) = take(read, tmp_path)
    for end in (whole.end - 1, whole.offset):
        shutil.rmtree(tmp_path / "1")
        (part,) = take(read, tmp_path, Excerpt(end=end))
        assert part.offset <= part.end <= end
        assert part.stream.stat().st_size == part.end - part.offset
        assert part.ended == (part.marks.time_at(part.end) if part.end > part.offset else part.zero)
    shutil.rmtree(tmp_path / "1")
    (part,) = take(read, tmp_path, Excerpt(end=datetime.fromtimestamp(whole.marks.times[-1] // 10**9 + 1)))
    assert part.end == whole.end


def test_the_histories_of_a_chapter_say_up_to_where_each_leads() -> None:
    parents = {B: (A, 50)}
    (chapter,) = made(
        rdb(1, 10), stretch(1, 10, 40), stretch(2, 40, 50), stretch(3, 50, 90, B), parents=parents
    ).chapters()
    assert _histories(chapter) == {A: 50, B: 90}
    (alone,) = made(rdb(1, 10)).chapters()
    assert _histories(alone) == {A: 10}


def the_capture() -> Read:
    capture = next(one for one in captures() if one.name == "redis-7.0-diskless")
    return reading(as_packets(capture, 1000, random.Random(1)))


def test_an_end_before_everything_is_reported(tmp_path: Path) -> None:
    capture = next(one for one in captures() if one.name == "redis-7.0-diskless")
    read = reading(as_packets(capture, 1000, random.Random(1)))
    for links in ((), ("main",)):
        with pytest.raises(ConfigError, match=r"--until 1980-.*: by then there was no RDB"):
            take(read, tmp_path, Excerpt(links=links, end=datetime(1980, 1, 1)))
