"""A file, read once. And every way in which that fails."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tap.errors import RdbError, RecordingError
from tap.operate.comparison.job import Job, SideSnapshot
from tap.operate.comparison.side_snapshot import take
from tests.operate.comparison.digesting import KEY, digest_of
from tests.rdb.reading import fixtures

MIXED = next(one for one in fixtures("server") if one.name == "redis-8.0.6-mixed")


def taken(place: Path, directory: Path, **more: object) -> SideSnapshot:
    directory.mkdir()
    return take(Job("it", place, directory, KEY, **more), lambda read, total, keys: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress])
def test_a_file_gives_the_records_of_its_rdb(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(compress(MIXED.data))
    found = taken(path, tmp_path / "a")
    assert found.sums == digest_of(MIXED.data)[0].sums
    assert (found.keys, found.size, found.after) == (11, len(MIXED.data), b"")


@pytest.mark.parametrize(("compress", "total"), [(bytes, len(MIXED.data)), (gzip.compress, None)])
def test_only_a_file_that_is_not_compressed_has_a_known_size(
    compress: Callable[[bytes], bytes], total: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(compress(MIXED.data))
    totals: set[int | None] = set()
    take(Job("it", path, tmp_path, KEY), lambda read, total, keys: totals.add(total))
    assert totals == {total}


def test_a_file_says_what_follows_its_rdb(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(MIXED.data + b"*1\r\n")
    assert taken(path, tmp_path / "a").after == b"*"


def test_a_file_that_is_cut_is_an_error_that_says_where(tmp_path: Path) -> None:
    path = tmp_path / "dump.rdb"
    path.write_bytes(MIXED.data[:-20])
    with pytest.raises(RdbError, match=r"^it: .*byte"):
        taken(path, tmp_path / "a")
    path.write_bytes(gzip.compress(MIXED.data)[:-30])
    with pytest.raises(RecordingError, match=r"^it: cut off"):
        taken(path, tmp_path / "b")
