"""Compression is recognized by the first bytes, and a file is read as far as possible."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap.capture import content as content_module
from tap.capture.content import COMPRESSED, Damaged, Stopped, content
from tap.errors import RecordingError
from tests.recording.captured import WHOLE, Gzip, Kind, both, compressed, read


def whole_in(parts: list[bytes], size: int) -> int:
    """The packets that the first *size* flushed bytes hold, 336 bytes each in the container."""
    ends = itertools.accumulate(map(len, parts))
    return max(0, (2000 * sum(end <= size for end in ends) - 200) // 336)


@both
@pytest.mark.parametrize("ending", ["as usual", ".pcapng"])
def test_compression_is_recognized_by_its_first_bytes(tmp_path: Path, ending: str, kind: Kind) -> None:
    path = tmp_path / f"link.pcapng{kind.ending if ending == 'as usual' else ''}"
    path.write_bytes(compressed(WHOLE, kind))
    assert read(path) == (list(range(1000)), [])
    path.write_bytes(compressed(WHOLE[:5000], kind) + compressed(WHOLE[5000:], kind))
    assert read(path) == (list(range(1000)), [])


def test_a_gzip_file_may_end_with_zeros(tmp_path: Path) -> None:
    path = tmp_path / "link.pcap.gz"
    path.write_bytes(gzip.compress(WHOLE[:5000]) + gzip.compress(WHOLE[5000:]) + bytes(1000))
    assert read(path) == (list(range(1000)), [])
    for more in (b"and more", bytes(9) + b"and more", b"!!!!"):
        path.write_bytes(gzip.compress(WHOLE) + more)
        times, (problem,) = read(path)
        assert times == list(range(1000))
        assert "gzip cannot read on (" in problem


@both
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True))
def test_a_truncated_compressed_file_is_read_up_to_its_end(tmp_path: Path, kind: Kind, place: float) -> None:
    path = tmp_path / f"cut.pcapng{kind.ending}"
    parts = kind.flushed(WHOLE)
    data = b"".join(parts)
    size = 4 + int(place * (len(data) - 4))
    path.write_bytes(data[:size])
    times, problems = read(path)
    assert times == list(range(len(times)))
    assert len(times) >= min(whole_in(parts, size), 1000)
    assert problems == [
        f"{path}: cut off, or still being written: its {kind.name} {kind.unit} does not end with byte {size}, the last"
    ]


@both
def test_a_damaged_compressed_file_is_read_up_to_the_damage(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / f"damaged.pcapng{kind.ending}"
    parts = kind.flushed(WHOLE)
    data = b"".join(parts)
    middle = len(data) // 2
    path.write_bytes(data[:middle] + b"\xff" * 50 + data[middle + 50 :])
    times, (*_, problem) = read(path)
    right = whole_in(parts, middle - COMPRESSED)
    assert times[:right] == list(range(right))
    assert len(times) < 600
    assert kind is Gzip or times == list(range(len(times)))  # gzip has no sums but at the end, and may notice it later
    assert problem.startswith(f"{path}: byte ")
    assert f"{kind.name} cannot read on (" in problem


# ---- files that grow ----


class Growing:
    """The content of a file that is written piece by piece, whenever the reader finds nothing more."""

    def __init__(self, path: Path, pieces: list[bytes], *, ends: bool) -> None:
        self.path, self.pieces, self.ends = path, pieces, ends
        self.asked: list[bool] = []
        path.write_bytes(b"")

    def goes_on(self, is_idle: bool) -> bool:
        self.asked.append(is_idle)
        if is_idle and self.pieces:
            with self.path.open("ab") as file:
                file.write(self.pieces.pop(0))
            return True
        return bool(self.pieces) or not is_idle or self.ends

    def successor(self, path: Path) -> Path | None:
        assert path == self.path
        return path if self.ends and not self.pieces else None


def test_a_file_that_grows_is_read_until_its_successor_is_there(tmp_path: Path) -> None:
    growing = Growing(tmp_path / "one", [b"plain", b" text", b" more"], ends=True)
    found = content(growing.path, "one", growing.goes_on, True, growing.successor)
    assert b"".join(found) == b"plain text more"
    assert growing.asked == [True, False, True, False, True, False]


def test_a_file_that_grows_is_read_until_the_reader_stops(tmp_path: Path) -> None:
    growing = Growing(tmp_path / "one", [b"plain", b" text"], ends=False)
    found: list[bytes] = []
    with pytest.raises(Stopped):
        found.extend(content(growing.path, "one", growing.goes_on, True, growing.successor))
    assert b"".join(found) == b"plain text"
    assert growing.asked == [True, False, True, False, True]


def test_bytes_written_while_the_successor_appears_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"plain")
    asked: list[Path] = []

    def successor(path: Path) -> Path:
        asked.append(path)
        with path.open("ab") as file:
            file.write(b" at last")
        return path

    assert b"".join(content(path, "one", lambda is_idle: True, True, successor)) == b"plain at last"
    assert asked == [path]


def test_a_complete_file_has_no_successor(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"plain")
    asked: list[bool] = []

    def goes_on(is_idle: bool) -> bool:
        asked.append(is_idle)
        return True

    found = content(path, "one", goes_on, False, lambda path: pytest.fail("asked for"))
    assert b"".join(found) == b"plain"
    assert asked == [False]
    with pytest.raises(Stopped):
        list(content(path, "one", lambda idle: False, False, lambda path: None))


@pytest.mark.parametrize("stops", [False, True])
def test_a_pipe_is_read_as_it_is_written_until_it_is_closed_or_the_reader_stops(tmp_path: Path, stops: bool) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    ends = [os.open(path, os.O_RDWR)]
    said = [b"plain", b" text"]
    asked: list[bool] = []

    def goes_on(is_idle: bool) -> bool:
        asked.append(is_idle)
        if is_idle and said:
            os.write(ends[0], said.pop(0))
        elif is_idle and stops:
            return False
        elif is_idle:
            os.close(ends.pop())
        return True

    found: list[bytes] = []
    chunks = content(path, "pipe", goes_on, True, lambda path: pytest.fail("a pipe has none"))
    with pytest.raises(Stopped) if stops else contextlib.nullcontext():
        found.extend(chunks)
    for end in ends:
        os.close(end)
    assert b"".join(found) == b"plain text"
    assert asked[:5] == [True, False, True, False, True]


class Failing(io.BytesIO):
    """Gives four bytes at a time, and then an error."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(4)
        if not data:
            raise OSError(5, "Input/output error")
        return data


@pytest.mark.parametrize("size", [0, 3, 10])
def test_an_error_while_reading_is_reported_with_its_position(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(content_module, "_opened", lambda path, name: Failing(bytes(size)))
    found: list[bytes] = []
    with pytest.raises(Damaged) as raised:
        found.extend(content(Path("one"), "one", None, False, lambda path: None))
    assert str(raised.value) == f"byte {size}: Input/output error; the rest is not read"


def test_a_file_that_cannot_be_opened_or_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="one: No such file or directory"):
        list(content(tmp_path / "none", "one", None, False, lambda path: None))
    with pytest.raises(RecordingError, match=r"directory: Is a directory"):
        list(content(tmp_path, "directory", None, False, lambda path: None))
