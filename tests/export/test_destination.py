"""Files and directories that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap.errors import ConfigError, EnvironmentFailure
from tap.export.destination import check_new, new_directory, new_file

BOTH: list[Callable[[Path], Any]] = [new_file, new_directory]


def test_a_file_is_there_once_it_is_whole_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with new_file(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        file.write(b", whole")
    assert path.read_bytes() == b"half, whole"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_so_is_a_directory_with_its_files(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with new_directory(path) as folder:
        (folder / "one").write_bytes(b"1")
        assert not path.exists()
    assert [one.name for one in path.iterdir()] == ["one"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine")])
def test_whoever_fails_before_the_end_leaves_nothing(
    tmp_path: Path, make: Callable[[Path], Any], error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught, make(tmp_path / "out"):
        raise error
    assert caught.value is error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", BOTH)
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    with (
        pytest.raises(EnvironmentFailure, match=f"{tmp_path}/out: cannot be written: No space left on device; nothing"),
        make(tmp_path / "out"),
    ):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("what", ["file", "directory", "dangling link"])
def test_what_is_there_is_never_written_over(tmp_path: Path, make: Callable[[Path], Any], when: str, what: str) -> None:
    path = tmp_path / "out"

    def appear() -> None:
        if what == "file":
            path.write_text("old")
        elif what == "directory":
            path.mkdir()
        else:
            path.symlink_to(tmp_path / "nowhere")

    def write() -> None:
        with make(path):
            assert when == "meanwhile"
            appear()

    if when == "before":
        appear()
    with pytest.raises(ConfigError, match="out is there already, and nothing is written over"):
        write()
    assert list(tmp_path.iterdir()) == [path]
    assert what != "file" or path.read_text() == "old"
    path.rename(tmp_path / "elsewhere")
    check_new(path)


@pytest.mark.parametrize("make", BOTH)
def test_where_nothing_can_be_made_that_is_said(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    with (
        pytest.raises(ConfigError, match="out: cannot be made: No such file or directory"),
        make(tmp_path / "no" / "out"),
    ):
        pass


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    path = tmp_path / "out"
    monkeypatch.setattr(os, "fsync", lambda number: seen.append((os.fstat(number).st_size, path.exists())))
    with new_file(path) as file:
        file.write(b"12345")
    assert seen == [(5, False)]
