"""From paths to packets: directories, rotations, what is compressed, what grows, and what cannot be read."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap.console.lines import log_line
from tap.errors import RecordingError
from tap.recording import pcapng
from tap.recording.files import COMPRESSED, GoesOn, check, expand, packets, successor
from tap.recording.pcapng import PcapngReader
from tap.recording.reader import Player
from tests.recording.support import block
from tests.recording.wires import STREAM, streamed


def capture(*times: int) -> bytes:
    """A packet for each time, of some hundred bytes."""
    blocks = [block(time, bytes([time % 256]) * 300) for time in times]
    return pcapng.heading("test") + b"".join(blocks)


def read(path: Path, goes_on: GoesOn | None = None) -> tuple[list[int], list[str]]:
    """The times of the packets, and what could not be read."""
    problems: list[str] = []
    return [packet.time for packet in packets(path, problems, goes_on)], problems


WHOLE = capture(*range(1000))


def flushed(data: bytes) -> list[bytes]:
    """One frame, flushed every 2000 bytes as a recorder does now and then."""
    writer = zstandard.ZstdCompressor().compressobj()
    parts = [
        writer.compress(data[at : at + 2000]) + writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for at in range(0, len(data), 2000)
    ]
    return [*parts, writer.flush()]


def compressed(data: bytes) -> bytes:
    return b"".join(flushed(data))


def whole_in(parts: list[bytes], size: int) -> int:
    """Packets that have been flushed with the first *size* bytes, 336 each in the container."""
    ends = itertools.accumulate(map(len, parts))
    return max(0, (2000 * sum(end <= size for end in ends) - 200) // 336)


# ---- one file ----


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"hello\n", "it is no capture, neither pcapng nor pcap: it begins with b'hello"),
        (b"\n", "it is no capture"),
        (b"\x1f\x8b\x08\x00", "it is compressed with gzip; decompress it first"),
        (b"REDIS0011", "it is an RDB; see redis-tap rdb"),
        (zstandard.compress(b"hello\n"), "it is no capture, neither pcapng nor pcap: it begins with b'hello"),
        (zstandard.compress(b""), "it is empty"),
    ],
)
def test_what_is_no_capture_is_said(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    times, (problem,) = read(path)
    assert not times
    assert problem.startswith(f"{path}: {says}")
    with pytest.raises(RecordingError, match=says):
        check(path)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    path = tmp_path / "none.pcapng"
    assert read(path) == ([], [f"{path}: No such file or directory"])


@pytest.mark.parametrize("name", ["link.pcapng.zst", "link.pcapng"])
def test_zstd_is_known_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(compressed(WHOLE))
    assert read(path) == (list(range(1000)), [])
    path.write_bytes(compressed(WHOLE[:5000]) + compressed(WHOLE[5000:]))
    assert read(path) == (list(range(1000)), [])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True))
def test_zstd_cut_short_is_read_up_to_there(tmp_path: Path, place: float) -> None:
    path = tmp_path / "cut.pcapng.zst"
    parts = flushed(WHOLE)
    data = b"".join(parts)
    size = 4 + int(place * (len(data) - 4))
    path.write_bytes(data[:size])
    times, problems = read(path)
    assert times == list(range(len(times)))
    assert len(times) >= min(whole_in(parts, size), 1000)
    assert problems == [
        f"{path}: cut off, or still being written: its zstd frame does not end with byte {size}, the last"
    ]


def test_zstd_that_is_damaged_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "damaged.pcapng.zst"
    parts = flushed(WHOLE)
    data = b"".join(parts)
    middle = len(data) // 2
    path.write_bytes(data[:middle] + b"\xff" * 50 + data[middle + 50 :])
    times, (problem,) = read(path)
    assert times == list(range(len(times)))
    assert whole_in(parts, middle - COMPRESSED) <= len(times) < 600
    assert problem.startswith(f"{path}: byte ")
    assert "zstd cannot read on (" in problem


@given(st.lists(st.integers(1, 5000), max_size=20))
def test_bytes_of_a_pipe_may_come_in_any_pieces(sizes: list[int]) -> None:
    """The first of one byte, so that nothing can be known by it."""
    data = compressed(WHOLE) if len(sizes) % 2 else WHOLE
    reading, writing = os.pipe()

    def write() -> None:
        begin = 0
        with open(writing, "wb", buffering=0) as pipe:
            for size in [1, *sizes, len(data)]:
                pipe.write(data[begin : begin + size])
                begin += size

    writer = threading.Thread(target=write)
    writer.start()
    assert read(Path(f"/dev/fd/{reading}")) == (list(range(1000)), [])
    writer.join()
    os.close(reading)


# ---- directories ----


def rotation(folder: Path, number: int, data: bytes, *, stamp: str = "20261121T124952Z", end: str = "pcapng") -> Path:
    path = folder / f"today_{number:05}_{stamp}.{end}"
    path.write_bytes(data)
    return path


def test_a_rotation_is_read_by_its_numbers(tmp_path: Path) -> None:
    rotation(tmp_path, 100_000, capture(4))
    rotation(tmp_path, 99_999, compressed(capture(5)), end="pcapng.zst")
    rotation(tmp_path, 9, capture(6), stamp="20271121T124952Z")
    (tmp_path / "notes.txt").write_text("no capture\n")
    assert read(tmp_path) == ([6, 5, 4], [])


@pytest.mark.parametrize("names", [["b.pcapng", "a.pcap"], ["x.pcap", "x.pcap1"], ["c_00002_x.pcapng", "c_00001_x.cap"]])
def test_other_captures_are_read_by_the_time_of_their_first_packet(tmp_path: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(capture(number + 1))
    assert read(tmp_path) == ([1, 2], [])


def test_a_rotation_that_was_begun_anew_is_read_in_time(tmp_path: Path) -> None:
    for number, time, stamp in [(1, 3, "20261123T000000Z"), (1, 1, "20261122T000000Z"), (2, 2, "20261122T000100Z")]:
        rotation(tmp_path, number, capture(time), stamp=stamp)
    assert read(tmp_path) == ([1, 2, 3], [])


def test_what_of_a_directory_cannot_be_read_leaves_the_rest(tmp_path: Path) -> None:
    rotation(tmp_path, 1, capture(1))
    empty = rotation(tmp_path, 2, b"")
    cut = rotation(tmp_path, 3, capture(2, 3)[:-7])
    gone = tmp_path / "today_00004_20261121T124952Z.pcapng"
    gone.symlink_to("deleted")
    rotation(tmp_path, 5, capture(4))
    times, problems = read(tmp_path)
    assert times == [1, 2, 4]
    assert [problem.split(": ")[:2] for problem in problems] == [
        [str(empty), "it is empty"],
        [str(cut), "cut off"],
        [str(gone), "No such file or directory"],
    ]


def test_a_directory_without_captures_is_said(tmp_path: Path) -> None:
    assert read(tmp_path) == (
        [],
        [f"{tmp_path}: no capture in this directory; their names end in .pcapng, .pcapng.zst, .pcap, .cap"],
    )
    with pytest.raises(RecordingError, match="no capture in this directory"):
        check(tmp_path)


@pytest.mark.skipif(not os.geteuid(), reason="root may read everything")
def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    path = rotation(tmp_path, 1, capture(1))
    path.chmod(0)
    assert read(path) == ([], [f"{path}: Permission denied"])
    path.chmod(0o600)
    tmp_path.chmod(0)
    assert read(tmp_path) == ([], [f"{tmp_path}: Permission denied"])
    tmp_path.chmod(0o700)


def test_the_successor_is_of_the_same_rotation(tmp_path: Path) -> None:
    first, third = rotation(tmp_path, 1, b""), rotation(tmp_path, 3, b"")
    (tmp_path / "other_00002_20261121T124952Z.pcapng").write_bytes(b"")
    assert successor(first) == third
    assert successor(third) is None
    assert successor(tmp_path / "link.pcapng") is None
    assert expand(first) == [first]


# ---- what grows ----


def written_by(steps: Sequence[Callable[[], object]]) -> GoesOn:
    """Does a step of the writer's whenever the reader has nothing to read; then the reader is to stop."""
    left: Iterator[Callable[[], object]] = iter(steps)

    def goes_on(is_idle: bool) -> bool:
        if not is_idle:
            return True
        step = next(left, None)
        if step is not None:
            step()
        return step is not None

    return goes_on


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.mark.parametrize("of", [lambda data: data, compressed], ids=["plain", "zstd"])
def test_a_file_is_followed_while_it_grows(tmp_path: Path, of: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"")
    data = of(WHOLE)
    cuts = [0, 1, 50, len(data) // 2, len(data) - 1]
    steps = [partial(append, path, data[begin:end]) for begin, end in itertools.pairwise(cuts)]
    times, problems = read(path, written_by(steps))
    assert times == list(range(len(times)))
    assert len(times) >= 999
    assert not problems  # what is not whole at the end is still being written


@pytest.mark.parametrize("of", [lambda data: data, compressed], ids=["plain", "zstd"])
@pytest.mark.parametrize("names", ["directory", "file"])
def test_a_rotation_is_followed_from_file_to_file(tmp_path: Path, names: str, of: Callable[[bytes], bytes]) -> None:
    data = of(WHOLE)
    first = rotation(tmp_path, 1, data[:700])

    def rotate() -> None:
        """Also what is written last, and not yet read when the next file is there."""
        append(first, data[700:])
        rotation(tmp_path, 2, of(capture(1000)))
        rotation(tmp_path, 3, of(capture(1001))[:-3])

    def end() -> None:
        rotation(tmp_path, 4, of(capture(1002)))

    times, problems = read(tmp_path if names == "directory" else first, written_by([lambda: None, rotate, end]))
    assert times == [*range(1001), *([1001] if of is compressed else []), 1002]
    assert len(problems) == 1
    assert "today_00003" in problems[0]


def test_who_wants_no_more_is_heard_between_files_and_reads(tmp_path: Path) -> None:
    for number in range(1, 4):
        rotation(tmp_path, number, capture(number))
    left = iter([True, False])
    assert read(tmp_path, lambda is_idle: next(left)) == ([1, 2], [])


# ---- a byte that has flipped ----

PACKETS = streamed(STREAM[:5]).packets
OF_A_LINK = {"time": 1e9, "link": "one", "connection": 7, "replica": "127.0.0.1"}
OPENED = {"event": "link_opened", **OF_A_LINK, "peer": "127.0.0.1:50000", "master": "127.0.0.1:6379"}
CLOSED = {"event": "link_closed", **OF_A_LINK, "by": "replica", "how": "fin", "text": "", "role": "replica"}
CLOSED |= {"phase": "stream", "offset": 1100, "bytes_from_master": 300, "bytes_from_replica": 300}


def recorded(first: dict[str, Any], last: dict[str, Any]) -> bytes:
    """As a tap does it, with comments on the first packet and on the last."""
    comments = [[json.dumps(first)], *([] for _ in PACKETS[2:]), [json.dumps(last)]]
    blocks = [block(at, data, said) for (at, data), said in zip(PACKETS, comments, strict=True)]
    return pcapng.heading("test") + b"".join(blocks)


def lines(data: bytes) -> tuple[int, list[str], list[str]]:
    """Packets, lines of a log, problems."""
    said: list[str] = []
    reader = PcapngReader()
    player = Player(lambda told: said.append(log_line(told) or ""), every_command=True)
    for packet in [*reader.feed(data), *reader.close()]:
        player.packet(packet)
    player.close()
    return player.packets, said, reader.problems


@given(st.integers(4, len(recorded(OPENED, CLOSED)) - 1), st.integers(1, 255))
def test_one_flipped_byte_costs_no_more_than_a_packet(at: int, bits: int) -> None:
    data = bytearray(recorded(OPENED, CLOSED))
    data[at] ^= bits
    found, _, problems = lines(bytes(data))
    assert found >= len(PACKETS) - 1
    assert len(problems) <= 2


@pytest.mark.parametrize("at", range(4, len(pcapng.heading("test"))))
def test_behind_a_damaged_head_all_packets_are_read(at: int) -> None:
    data = bytearray(recorded(OPENED, CLOSED))
    data[at] ^= 0x55
    found, said, problems = lines(bytes(data))
    assert found == len(PACKETS)
    assert len(problems) <= 2
    assert len(said) == len(lines(recorded(OPENED, CLOSED))[1]) or at > 40  # there its link type is said


@pytest.mark.parametrize(
    "odd", [{"time": 1e300}, {"time": float("nan")}, {"time": "noon"}, {"connection": "7"}, {"link": None}, {"peer": 1}]
)
def test_a_comment_that_no_tap_wrote_is_left_alone(odd: dict[str, Any]) -> None:
    assert lines(recorded(OPENED | odd, CLOSED | odd))[1][0].split()[1] == "127.0.0.1:6379/1"
    for name in set(OPENED) - {"event", "time", "replica"}:
        less = {key: value for key, value in OPENED.items() if key != name}
        assert lines(recorded(less, {"event": "link_closed"}))[1][0].split()[1] == "127.0.0.1:6379/1"
