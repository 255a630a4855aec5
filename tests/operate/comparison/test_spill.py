"""The records of a side in files: what one side lacks is found, in as many passes as memory asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tap.errors import EnvironmentFailure
from tap.operate.comparison.digest import HEAD, Digest
from tap.operate.comparison.spill import Spill, Spilled, unmatched
from tap.rdb.parser import Parser
from tests.operate.comparison.digesting import KEY
from tests.rdb import make

S = make.string


def spilled(directory: Path, names: dict[bytes, bytes]) -> Spilled:
    directory.mkdir()
    spill = Spill(directory)
    digest = Digest(KEY, spill.put)
    data = make.rdb(12, *(make.key(0, S(name), S(text)) for name, text in names.items()))
    Parser(digest, values=True).feed(data)
    digest.close()
    spill.close()
    return Spilled(directory, digest.sums)


@pytest.mark.parametrize("pass_bytes", [1, 500, 2**20])
def test_what_the_other_side_lacks_is_found_in_any_number_of_passes(tmp_path: Path, pass_bytes: int) -> None:
    mine = {b"k%d" % number: b"v" for number in range(3000)}
    theirs = {**mine, b"k7": b"w", b"new": b"v"}
    del theirs[b"k8"]
    a, b = spilled(tmp_path / "a", mine), spilled(tmp_path / "b", theirs)
    found = list(unmatched(a, b, pass_bytes))
    lacking = [sorted(record[HEAD:] for share in side for record in share) for side in zip(*found, strict=True)]
    assert lacking == [[b"k7", b"k8"], [b"k7", b"new"]]
    assert list((tmp_path / "a").iterdir()) == list((tmp_path / "b").iterdir()) == []


def test_where_the_sums_agree_nothing_is_read(tmp_path: Path) -> None:
    names = {b"k%d" % number: b"v" for number in range(1000)}
    a, b = spilled(tmp_path / "a", names), spilled(tmp_path / "b", dict(reversed(names.items())))
    for path in (tmp_path / "a").iterdir():
        path.write_bytes(b"nobody looks")
    assert list(unmatched(a, b)) == []


def test_a_disk_that_takes_no_more_is_told_with_what_to_do(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "not there")
    with pytest.raises(EnvironmentFailure, match="TMPDIR says where"):
        spill.put(0, memoryview(b"x"))
