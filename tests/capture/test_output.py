"""One file of a recording: whole blocks or nothing, forced to the disk, and changed by other processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zstandard

from tap.capture import pcapng
from tap.capture.output import DROP_BYTES, END_OF_FRAME, Output

HEAD = pcapng.heading(pcapng.APPLICATION)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of the file at each fsync."""
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))
    return sizes


def test_a_file_begins_with_its_head_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    one = Output(tmp_path / "a.pcapng", HEAD)
    assert (one.size, one.unsynced) == (len(HEAD), len(HEAD))
    one.append(b"block")
    assert one.size == len(HEAD) + 5
    one.close(sync=False)
    assert one.path.read_bytes() == HEAD + b"block"
    assert one.path.stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        Output(path, HEAD)
    assert path.read_text() == "mine"


def test_a_file_without_room_for_its_head_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    files = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        Output(tmp_path / "a.pcapng", HEAD)
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == files


def test_a_block_that_does_not_fit_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Output(tmp_path / "a.pcapng", HEAD)
    write, left = os.write, [3, 4]

    def some(file: int, data: bytes) -> int:
        if not left:
            raise OSError(28, "No space left on device")
        return write(file, bytes(data[: left.pop()]))

    monkeypatch.setattr(os, "write", some)
    with pytest.raises(OSError, match="No space"):
        one.append(b"a block of some bytes")
    monkeypatch.setattr(os, "write", write)
    assert one.size == len(HEAD)
    assert one.path.read_bytes() == HEAD
    one.append(b"next")
    one.close(sync=False)
    assert one.path.read_bytes() == HEAD + b"next"


def test_a_partial_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Output(tmp_path / "a.pcapng", HEAD)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data[:2])))
    one.append(b"abcdefg")
    monkeypatch.undo()
    one.close(sync=False)
    assert one.path.read_bytes() == HEAD + b"abcdefg"


@pytest.mark.parametrize("name", ["a.pcapng", "a.pcapng.zst"])
def test_the_end_of_a_file_is_forced_to_the_disk(tmp_path: Path, name: str, synced: list[int]) -> None:
    one = Output(tmp_path / name, HEAD)
    one.append(one.encode(b"x" * 100))
    one.sync()
    assert one.unsynced == 0
    one.append(one.encode(b"y" * 100))
    assert one.unsynced > 0
    one.close(sync=True)
    assert synced[-1] == one.path.stat().st_size
    assert len(synced) == 2


def test_bytes_on_the_disk_are_not_forced_again(tmp_path: Path, synced: list[int]) -> None:
    one = Output(tmp_path / "a.pcapng", HEAD)
    one.sync()
    one.close(sync=True)
    assert len(synced) == 1
    one = Output(tmp_path / "b.pcapng", HEAD)
    one.close(sync=False)
    assert len(synced) == 1


def test_a_file_is_closed_whatever_the_disk_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    one = Output(tmp_path / "a.pcapng", HEAD)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        one.close(sync=True)
    with pytest.raises(OSError, match="Bad file"):
        one.append(b"x")


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system has no posix_fadvise()")
def test_bytes_on_the_disk_leave_the_page_cache_in_large_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: list[int]
) -> None:
    dropped: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda file, at, size, advice: dropped.append((at, size)))
    one = Output(tmp_path / "a.pcapng", HEAD)
    one.append(bytes(DROP_BYTES - len(HEAD) - 1))
    one.sync()
    assert dropped == []
    one.append(b"x")
    one.sync()
    assert dropped == [(0, DROP_BYTES)]
    one.append(bytes(2 * DROP_BYTES + 5))
    one.sync()
    assert dropped[1:] == [(DROP_BYTES, 2 * DROP_BYTES + 5)]
    one.append(bytes(DROP_BYTES))
    one.sync()
    assert dropped[2:] == [(3 * DROP_BYTES, DROP_BYTES + 5)]
    one.close(sync=False)


def test_changes_by_another_process_are_recognized(tmp_path: Path) -> None:
    one = Output(tmp_path / "a.pcapng", HEAD)
    assert one.what_became_of_it() == ""
    one.append(b"x" * 50)
    assert one.what_became_of_it() == ""
    with one.path.open("ab") as file:
        file.write(b"more")  # by another process: nothing of ours is lost
    assert one.what_became_of_it() == ""
    os.truncate(one.path, one.size - 1)
    assert one.what_became_of_it() == f"was cut to {one.size - 1} bytes"
    os.truncate(one.path, one.size)
    one.path.rename(tmp_path / "moved")
    assert one.what_became_of_it() == ""
    (tmp_path / "moved").unlink()
    assert one.what_became_of_it() == "was deleted"
    one.path.symlink_to("nowhere")
    assert one.what_became_of_it() == "was replaced by another file"
    one.close(sync=False)


def test_a_compressed_block_can_be_read_as_soon_as_it_is_written(tmp_path: Path) -> None:
    one = Output(tmp_path / "a.pcapng.zst", HEAD)
    said = HEAD
    for number in range(5):
        block = b"block %d " % number * 20
        one.append(one.encode(block))
        said += block
        assert zstandard.ZstdDecompressor().decompressobj().decompress(one.path.read_bytes()) == said
    one.close(sync=False)
    assert one.path.read_bytes().endswith(END_OF_FRAME)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(one.path.read_bytes()) == said


def test_compressed_bytes_that_were_given_up_are_not_needed_to_read_later_ones(tmp_path: Path) -> None:
    one = Output(tmp_path / "a.pcapng.zst", HEAD)
    one.append(one.encode(b"first"))
    one.encode(b"given up, never taken")
    one.append(one.encode_anew(b"last"))
    one.close(sync=False)
    with one.path.open("rb") as file:
        read = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
    assert read == HEAD + b"firstlast"
    plain = Output(tmp_path / "a.pcapng", HEAD)
    assert plain.encode_anew(b"last") == b"last"
    plain.close(sync=False)
