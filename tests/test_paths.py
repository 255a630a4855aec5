"""Output paths: what can be checked before there is anything to write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tap.errors import ConfigError, EnvironmentFailure
from tap.paths import check_writable, in_a_directory, sync_directory

as_somebody = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


def test_a_new_file_may_be_made_and_is_not(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_an_existing_file_may_be_overwritten_and_is_not(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_text("kept")
    before = path.stat().st_mtime_ns
    check_writable(path)
    assert (path.read_text(), path.stat().st_mtime_ns) == ("kept", before)


def test_other_kinds_of_files_are_left_to_their_readers(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe")  # opening it would wait for a reader
    check_writable(Path("/dev/null"))


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path} is a directory: name a file in it, as {tmp_path}/results"):
        check_writable(tmp_path)


@pytest.mark.parametrize("check", [check_writable, in_a_directory])
def test_without_a_directory_there_is_no_file(tmp_path: Path, check: object) -> None:
    with pytest.raises(ConfigError, match=f"{tmp_path}/no/x: there is no directory {tmp_path}/no; make it first"):
        check(tmp_path / "no" / "x")  # type: ignore[operator]
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="there is no directory"):
        check(tmp_path / "file" / "x")  # type: ignore[operator]


def test_a_path_comes_back_as_it_was_given(tmp_path: Path) -> None:
    assert in_a_directory(tmp_path / "x") == tmp_path / "x"
    assert in_a_directory(Path("x")) == Path("x")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nobody can make a file")
def test_a_refusal_of_the_system_is_reported_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="/proc/x: cannot be written: "):
        check_writable(Path("/proc/x"))
    with pytest.raises(EnvironmentFailure, match="cannot be written: File name too long"):
        check_writable(tmp_path / ("x" * 300))


@as_somebody
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "locked"
    path.touch(0o400)
    with pytest.raises(EnvironmentFailure, match="cannot be written: Permission denied"):
        check_writable(path)


def test_the_names_in_a_directory_are_forced_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[os.stat_result] = []
    monkeypatch.setattr(os, "fsync", lambda file: seen.append(os.fstat(file)))
    files = len(os.listdir("/proc/self/fd"))
    sync_directory(tmp_path)
    assert [one.st_ino for one in seen] == [tmp_path.stat().st_ino]
    assert len(os.listdir("/proc/self/fd")) == files
    with pytest.raises(FileNotFoundError):
        sync_directory(tmp_path / "none")
