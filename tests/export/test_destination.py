"""Files and directories that are written completely or not at all."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tap.errors import ConfigError, EnvironmentFailure
from tap.export.destination import check_new, compressed, new_directory, new_file, whole

BOTH: list[Callable[[Path], Any]] = [new_file, new_directory]


def test_a_file_appears_once_it_is_complete_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with new_file(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        file.write(b", whole")
    assert path.read_bytes() == b"half, whole"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_complete_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name in "abc":
        with new_file(tmp_path / name):
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_appears_with_its_files(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with new_directory(path) as folder:
        (folder / "one").write_bytes(b"1")
        assert not path.exists()
    assert [one.name for one in path.iterdir()] == ["one"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine")])
def test_a_failure_before_the_end_leaves_nothing(
    tmp_path: Path, make: Callable[[Path], Any], error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught, make(tmp_path / "out"):
        raise error
    assert caught.value is error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", BOTH)
def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    with (
        pytest.raises(EnvironmentFailure, match=f"{tmp_path}/out: cannot be written: No space left on device; nothing"),
        make(tmp_path / "out"),
    ):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("what", ["file", "directory", "dangling link"])
def test_existing_files_are_never_overwritten(tmp_path: Path, make: Callable[[Path], Any], when: str, what: str) -> None:
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
    with pytest.raises(ConfigError, match="out already exists and is not overwritten"):
        write()
    assert list(tmp_path.iterdir()) == [path]
    assert what != "file" or path.read_text() == "old"
    path.rename(tmp_path / "elsewhere")
    check_new(path)


@pytest.mark.parametrize("make", BOTH)
def test_an_impossible_place_is_reported(tmp_path: Path, make: Callable[[Path], Any]) -> None:
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


@pytest.mark.parametrize("size", [0, 5, 2**20 + 1])
def test_an_open_output_gets_the_complete_file_and_stays_open(size: int) -> None:
    out, data = io.BytesIO(), os.urandom(size)
    with whole(out) as file:
        file.write(bytes(size))
        file.seek(0)
        file.write(data)
        assert out.getvalue() == b""
    assert out.getvalue() == data
    with contextlib.suppress(ValueError), whole(out) as file:
        file.write(b"half")
        raise ValueError
    assert out.getvalue() == data  # nothing of an incomplete file


@pytest.mark.parametrize(
    ("suffix", "magic", "opened"),
    [
        (".gz", b"\x1f\x8b\x08\x00", gzip.decompress),  # no flags: it contains no file name
        (".zst", b"\x28\xb5\x2f\xfd", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
        ("", b"text", bytes),
        (".txt", b"text", bytes),
    ],
)
def test_a_suffix_determines_the_compression(suffix: str, magic: bytes, opened: Callable[[bytes], bytes]) -> None:
    out = io.BytesIO()
    with compressed(out, suffix) as file:
        file.write(b"text" * 1000)
    assert not out.closed
    assert out.getvalue().startswith(magic)
    assert opened(out.getvalue()) == b"text" * 1000
    assert (len(out.getvalue()) < 500) == (suffix in (".gz", ".zst"))
