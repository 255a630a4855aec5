"""Which chapters are played, and where each of them ends."""

from __future__ import annotations

import random
import shutil
from collections import namedtuple
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from tap.errors import ConfigError, EnvironmentFailure, RecordingError
from tap.recording.history import Index
from tap.replay.tape import choose, take
from tests.recording.test_history import B, made, rdb, stretch
from tests.recording.wires import as_packets, reading
from tests.support import captures


def chosen(found: Index, links: tuple[str, ...] = (), **options: datetime | int | None) -> list[tuple[int, int]]:
    begin, until = options.get("begin"), options.get("until")
    assert not isinstance(until, datetime)
    return [(one.offset, one.end) for one in choose(found, links, begin, until)]


def after(offset: int) -> datetime:
    """When an offset had come: the parts of these tests are made at so many nanoseconds after the epoch."""
    return datetime.fromtimestamp(offset / 1e9)


def test_what_is_in_another_chapter_is_not_played_twice() -> None:
    assert chosen(made(rdb(1, 10), stretch(1, 10, 90), rdb(2, 60), stretch(2, 60, 80))) == [(10, 90)]


def test_behind_a_hole_the_next_rdb_comes() -> None:
    assert chosen(made(rdb(1, 10), stretch(1, 10, 50), rdb(2, 60), stretch(2, 60, 90))) == [(10, 50), (60, 90)]


def test_from_on_the_last_rdb_before_it() -> None:
    found = made(rdb(1, 10), stretch(1, 10, 90), rdb(2, 60), stretch(2, 60, 90))
    assert chosen(found, begin=59) == [(10, 90)]
    assert chosen(found, begin=60) == [(60, 90)]
    assert chosen(found, begin=5) == [(10, 90)]
    with pytest.raises(ConfigError, match="--from 91 lies after the end of the recording, which is at 90"):
        chosen(found, begin=91)


def test_from_on_a_time() -> None:
    later = 10**9
    found = made(rdb(1, 10), stretch(1, 10, later), rdb(2, later // 2), stretch(2, later // 2, later))
    assert chosen(found, begin=after(later // 4)) == [(10, later)]
    assert chosen(found, begin=after(later * 3 // 4)) == [(later // 2, later)]
    with pytest.raises(ConfigError, match="lies after the end"):
        chosen(found, begin=after(2 * later))


def test_until_an_offset_that_some_rdb_has() -> None:
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


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (made(), "no RDB and no stream"),
        (made(stretch(1, 10, 50)), "no whole RDB in the recording"),
        (made(rdb(1, 10, None)), "asked for with SYNC"),
    ],
)
def test_without_an_rdb_there_is_nothing_to_play(found: Index, says: str) -> None:
    with pytest.raises(RecordingError, match=says):
        chosen(found)


# ---- copying ----


def test_a_disk_without_room_is_told_before_anything_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture = next(one for one in captures() if one.name == "redis-7.0-diskless")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 95, 5))
    with pytest.raises(EnvironmentFailure, match=r"bytes are needed there .*, 5 are free; set TMPDIR"):
        take(reading(as_packets(capture, 1000, random.Random(1))), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_end_before_all_that_there_is_is_what_is_said(tmp_path: Path) -> None:
    capture = next(one for one in captures() if one.name == "redis-7.0-diskless")
    read = reading(as_packets(capture, 1000, random.Random(1)))
    for links in ((), ("main",)):
        with pytest.raises(ConfigError, match=r"--until 1980-.*: by then there was no RDB"):
            take(read, tmp_path, links=links, end=datetime(1980, 1, 1))
