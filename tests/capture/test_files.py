"""From paths to packets: directories, rotations, compression, growing files, and files that cannot be read."""

from __future__ import annotations

import fcntl
import gzip
import itertools
import json
import os
import random
import socket
import struct
import tempfile
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap.capture import content, files, pcapng
from tap.capture.content import GoesOn
from tap.capture.files import check, check_again, expand, packets, successor
from tap.capture.pcap import reader_for
from tap.capture.pcapng import Packet, PcapngReader
from tap.console.lines import log_line
from tap.errors import ConfigError, RecordingError
from tap.recording.player import Player
from tests.recording.captured import PACKETS, WHOLE, Gzip, capture, compressed, read
from tests.recording.support import block
from tests.recording.wires import file
from tests.support import WITHIN, wait_until

# ---- one file ----


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"hello\n", "it is not a capture, neither pcapng nor pcap: it begins with b'hello"),
        (b"\n", "it is not a capture"),
        (b"\xfd7zXZ\0", "it is compressed with xz, which is not read; decompress it first: xz -dk FILE"),
        (b"BZh91AY", "it is compressed with bzip2, which is not read; decompress it first: bzip2 -dk FILE"),
        (b"\x04\x22\x4d\x18d", "it is compressed with lz4, which is not read; decompress it first: lz4 -d FILE"),
        (b"\x1f\x9d\x90", "it is compressed with compress, which is not read; decompress it first: gzip -dk FILE"),
        (b"PK\x03\x04", "it is compressed with zip, which is not read; decompress it first: unzip FILE"),
        (gzip.compress(gzip.compress(b"", mtime=0), mtime=0), "it is compressed with gzip twice, which is not read"),
        (b"REDIS0011", "it is an RDB; see redis-tap rdb"),
        (zstandard.compress(b"hello\n"), "it is not a capture, neither pcapng nor pcap: it begins with b'hello"),
        (zstandard.compress(b""), "it is empty"),
        (gzip.compress(b"hello\n", mtime=0), "it is not a capture, neither pcapng nor pcap: it begins with b'hello"),
    ],
)
def test_a_file_that_is_not_a_capture_is_reported(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    times, (problem,) = read(path)
    assert not times
    assert problem.startswith(f"{path}: {says}")
    with pytest.raises(RecordingError, match=says):
        check(path)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "none.pcapng"
    assert read(path) == ([], [f"{path}: No such file or directory"])


@given(st.lists(st.integers(1, 5000), max_size=20))
def test_the_bytes_of_a_pipe_may_come_in_any_pieces(sizes: list[int]) -> None:
    """The first piece is one byte, too little to recognize anything."""
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


@pytest.mark.parametrize(
    "names",
    [["b.pcapng", "a.pcap"], ["x.pcap", "x.pcap1"], ["x.pcap.gz", "x.pcap1.gz"], ["c_00002_x.pcapng", "c_00001_x.cap"]],
)
def test_other_captures_are_read_in_order_of_their_first_packets(tmp_path: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(capture(number + 1))
    assert read(tmp_path) == ([1, 2], [])


def test_a_restarted_rotation_is_read_in_order_of_time(tmp_path: Path) -> None:
    for number, time, stamp in [(1, 3, "20261123T000000Z"), (1, 1, "20261122T000000Z"), (2, 2, "20261122T000100Z")]:
        rotation(tmp_path, number, capture(time), stamp=stamp)
    assert read(tmp_path) == ([1, 2, 3], [])


def test_an_unreadable_file_in_a_directory_does_not_affect_the_others(tmp_path: Path) -> None:
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


def test_a_directory_without_captures_is_reported(tmp_path: Path) -> None:
    assert read(tmp_path) == (
        [],
        [f"{tmp_path}: no capture in this directory; their names end in .pcapng, .pcapng.zst, .pcapng.gz, .pcap, .cap"],
    )
    with pytest.raises(RecordingError, match="no capture in this directory"):
        check(tmp_path)


@pytest.mark.skipif(not os.geteuid(), reason="root may read everything")
def test_a_file_without_permission_is_reported(tmp_path: Path) -> None:
    path = rotation(tmp_path, 1, capture(1))
    path.chmod(0)
    assert read(path) == ([], [f"{path}: Permission denied"])
    path.chmod(0o600)
    tmp_path.chmod(0)
    assert read(tmp_path) == ([], [f"{tmp_path}: Permission denied"])
    tmp_path.chmod(0o700)


def test_a_successor_belongs_to_the_same_rotation(tmp_path: Path) -> None:
    first, third = rotation(tmp_path, 1, b""), rotation(tmp_path, 3, b"")
    for other in ("other_00002_20261121T124952Z.pcapng", "notes.txt", "today.pcapng"):
        (tmp_path / other).write_bytes(b"")
    assert successor(first) == third
    assert successor(third) is None
    assert successor(tmp_path / "link.pcapng") is None
    assert expand(first) == [first]


# ---- several paths ----


def read_all(paths: Sequence[Path], goes_on: GoesOn | None = None) -> tuple[list[int], list[str]]:
    problems: list[str] = []
    return [packet.time for packet in packets(paths, problems, goes_on)], problems


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_files_are_read_in_order_of_their_first_packets_whatever_the_order_of_arguments(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    paths = [tmp_path / name for name in ("a.pcap2", "a.pcap", "a.pcap1")]
    for number, path in enumerate(paths):
        path.write_bytes(
            compressed(capture(number * 2, number * 2 + 1)) if number == 1 else capture(number * 2, number * 2 + 1)
        )
    assert read_all([paths[number] for number in order]) == ([0, 1, 2, 3, 4, 5], [])


def test_files_that_overlap_are_merged(tmp_path: Path) -> None:
    times = [[0, 4, 9], [1, 2, 10], [5, 6, 7], [20, 19, 21], [3, 3]]
    paths = [tmp_path / f"{number}.pcap" for number in range(len(times))]
    for path, some in zip(paths, times, strict=True):
        path.write_bytes(capture(*some))
    assert read_all(paths) == ([0, 1, 2, 3, 3, 4, 5, 6, 7, 9, 10, 20, 19, 21], [])
    assert read_all([tmp_path]) == read_all(paths)


@given(st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=8), min_size=1, max_size=6), st.randoms())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_merging_loses_nothing(tmp_path: Path, times: list[list[int]], dice: random.Random) -> None:
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    paths = [folder / f"{number}.pcap" for number in range(len(times))]
    for path, some in zip(paths, times, strict=True):
        path.write_bytes(capture(*sorted(some)))
    dice.shuffle(paths)
    assert read_all(paths) == (sorted(itertools.chain(*times)), [])


def test_of_many_overlapping_files_a_bounded_number_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_MERGED", 4)
    paths = [tmp_path / f"{number}.pcap" for number in range(20)]
    for number, path in enumerate(paths):
        path.write_bytes(capture(number, 100 + number))
    opened = os.listdir("/proc/self/fd") if Path("/proc/self/fd").exists() else []
    most = 0
    found = []
    for packet in packets(paths, []):
        found.append(packet.time)
        most = max(most, len(os.listdir("/proc/self/fd")) - len(opened) if opened else 0)
    assert sorted(found) == sorted([*range(20), *range(100, 120)])
    assert most <= 5


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(capture(1, 2))
    (tmp_path / "link.pcap").symlink_to(path)
    assert read_all([path, tmp_path, path, tmp_path / "link.pcap"]) == ([1, 2], [])


def test_a_rotation_is_read_by_its_numbers_even_if_its_files_are_named_one_by_one(tmp_path: Path) -> None:
    paths = [rotation(tmp_path, number, capture(10 - number)) for number in (3, 1, 2)]
    other = tmp_path / "other.pcap"
    other.write_bytes(capture(8))
    assert read_all(paths) == ([9, 8, 7], [])
    assert sorted(read_all([*paths, other])[0]) == [7, 8, 8, 9]


def test_problems_of_several_paths_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    for name, data in (("good.pcap", capture(5)), ("empty.pcap", b""), ("cut.pcap", capture(1, 2)[:-5])):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder").mkdir()
    names = ["none.pcap", "good.pcap", "folder", "empty.pcap", "cut.pcap"]
    times, problems = read_all([tmp_path / name for name in names])
    assert times == [1, 5]
    assert {problem.split(": ")[0].rpartition("/")[2] for problem in problems} == {*names} - {"good.pcap"}
    assert len(problems) == 4


def test_a_pipe_is_read_last(tmp_path: Path) -> None:
    pipe, path = tmp_path / "pipe", tmp_path / "a.pcap"
    os.mkfifo(pipe)
    path.write_bytes(capture(5))
    writer = threading.Thread(target=pipe.write_bytes, args=(capture(1),))
    writer.start()
    assert read_all([pipe, path]) == ([5, 1], [])
    writer.join()


def test_the_file_that_began_last_is_followed(tmp_path: Path) -> None:
    old, new = tmp_path / "z.pcap", tmp_path / "a.pcap"
    old.write_bytes(capture(1, 5))
    new.write_bytes(capture(3))
    grows = [partial(append, new, capture(4)), partial(append, new, capture(6))]
    assert read_all([new, old], written_by(grows)) == ([1, 5, 3, 4, 6], [])
    new.write_bytes(b"")
    assert read_all([new, old], written_by([partial(append, new, capture(9))])) == ([1, 5, 9], [])


def test_reading_can_stop_between_files_that_are_merged(tmp_path: Path) -> None:
    for number in range(1, 4):
        (tmp_path / f"{number}.pcap").write_bytes(capture(number))
    left = iter([True, False])
    assert read_all([tmp_path], lambda is_idle: next(left)) == ([1, 2], [])


# ---- growing files ----


def written_by(steps: Sequence[Callable[[], object]]) -> GoesOn:
    """Writes the next step whenever the reader has nothing to read, and then stops the reader."""
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


@pytest.mark.parametrize(
    "of", [lambda data: data, compressed, lambda data: compressed(data, Gzip)], ids=["plain", "zstd", "gzip"]
)
def test_a_file_is_followed_while_it_grows(tmp_path: Path, of: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"")
    data = of(WHOLE)
    cuts = [0, 1, 50, len(data) // 2, len(data) - 1]
    steps = [partial(append, path, data[begin:end]) for begin, end in itertools.pairwise(cuts)]
    times, problems = read(path, written_by(steps))
    assert times == list(range(len(times)))
    assert len(times) >= 999
    assert not problems  # an incomplete end is still being written


@pytest.mark.parametrize("of", [lambda data: data, compressed], ids=["plain", "zstd"])
@pytest.mark.parametrize("names", ["directory", "file"])
def test_a_rotation_is_followed_from_file_to_file(tmp_path: Path, names: str, of: Callable[[bytes], bytes]) -> None:
    data = of(WHOLE)
    first = rotation(tmp_path, 1, data[:700])

    def rotate() -> None:
        """Also if the last bytes were not read before the next file appeared."""
        append(first, data[700:])
        rotation(tmp_path, 2, of(capture(1000)))
        rotation(tmp_path, 3, of(capture(1001))[:-3])

    def end() -> None:
        rotation(tmp_path, 4, of(capture(1002)))

    times, problems = read(tmp_path if names == "directory" else first, written_by([lambda: None, rotate, end]))
    assert times == [*range(1001), *([1001] if of is compressed else []), 1002]
    assert len(problems) == 1
    assert "today_00003" in problems[0]


def test_damage_in_a_file_that_is_followed_is_reported_when_reading_stops(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    for head, count in ((b"", 0), (WHOLE[:2], 0), (WHOLE, 1000)):
        path.write_bytes(head)
        assert read(path, written_by([])) == (list(range(count)), [])
    path.write_bytes(WHOLE + bytes(40))
    times, problems = read(path, written_by([lambda: append(path, block(10**9, b"more"))]))
    assert len(times) == 1001
    assert problems == [f"{path}: bytes {len(WHOLE)} to {len(WHOLE) + 40} are damaged; skipped"]


def test_of_a_rotation_that_is_followed_each_file_is_read_once(tmp_path: Path) -> None:
    rotation(tmp_path, 1, WHOLE)
    rotation(tmp_path, 2, capture(1000))
    steps = [lambda: rotation(tmp_path, 3, capture(1001)), lambda: rotation(tmp_path, 4, capture(1002))]
    assert read(tmp_path, written_by(steps)) == (list(range(1003)), [])


def test_a_pipe_that_is_empty_for_a_moment_is_not_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the writer waits whenever the pipe is full, and tcpdump loses packets."""
    monkeypatch.setattr(content, "BREATH", 10 * WITHIN)
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for begin in range(0, len(WHOLE), 100_000):
                wait_until(lambda: not struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0])
                pipe.write(WHOLE[begin : begin + 100_000])

    writer = threading.Thread(target=write)
    writer.start()
    rests: list[bool] = []
    times, problems = read(path, lambda is_idle: rests.append(is_idle) or True)  # type: ignore[func-returns-value]
    writer.join()
    assert (len(times), problems) == (1000, [])
    assert not any(rests[:-1])


def test_reading_can_stop_between_files_and_reads(tmp_path: Path) -> None:
    for number in range(1, 4):
        rotation(tmp_path, number, capture(number))
    left = iter([True, False])
    assert read(tmp_path, lambda is_idle: next(left)) == ([1, 2], [])


OF_A_LINK = {"time": 1e9, "link": "one", "connection": 7, "replica": "127.0.0.1"}
OPENED = {"event": "link_opened", **OF_A_LINK, "peer": "127.0.0.1:50000", "master": "127.0.0.1:6379"}
CLOSED = {"event": "link_closed", **OF_A_LINK, "by": "replica", "how": "fin", "text": "", "role": "replica"}
CLOSED |= {"phase": "stream", "offset": 1100, "bytes_from_master": 300, "bytes_from_replica": 300}


def recorded(first: dict[str, Any], last: dict[str, Any]) -> bytes:
    """As a tap records it, with comments on the first packet and on the last."""
    comments = [[json.dumps(first)], *([] for _ in PACKETS[2:]), [json.dumps(last)]]
    blocks = [block(at, data, said) for (at, data), said in zip(PACKETS, comments, strict=True)]
    return pcapng.heading("test") + b"".join(blocks)


def lines(data: bytes) -> tuple[int, list[str], list[str]]:
    """Packets, lines of a log, and problems."""
    said: list[str] = []
    reader = PcapngReader()
    player = Player(lambda told: said.append(log_line(told) or ""), every_command=True)
    for packet in [*reader.feed(data), *reader.close()]:
        player.packet(packet)
    player.close()
    return player.packets, said, list(reader.problems)


@given(st.integers(4, len(recorded(OPENED, CLOSED)) - 1), st.integers(1, 255))
def test_one_flipped_byte_costs_at_most_one_packet(at: int, bits: int) -> None:
    data = bytearray(recorded(OPENED, CLOSED))
    data[at] ^= bits
    found, _, problems = lines(bytes(data))
    assert found >= len(PACKETS) - 1
    assert len(problems) <= 2


@pytest.mark.parametrize("at", range(4, len(pcapng.heading("test"))))
def test_after_a_damaged_head_all_packets_are_read(at: int) -> None:
    data = bytearray(recorded(OPENED, CLOSED))
    data[at] ^= 0x55
    found, said, problems = lines(bytes(data))
    assert found == len(PACKETS)
    assert len(problems) <= 2
    assert len(said) == len(lines(recorded(OPENED, CLOSED))[1]) or at > 40  # its link type is given there


@pytest.mark.parametrize(
    "odd", [{"time": 1e300}, {"time": float("nan")}, {"time": "noon"}, {"connection": "7"}, {"link": None}, {"peer": 1}]
)
def test_a_foreign_comment_is_ignored(odd: dict[str, Any]) -> None:
    assert lines(recorded(OPENED | odd, CLOSED | odd))[1][0].split()[1] == "127.0.0.1:6379/1"
    for name in set(OPENED) - {"event", "time", "replica"}:
        less = {key: value for key, value in OPENED.items() if key != name}
        assert lines(recorded(less, {"event": "link_closed"}))[1][0].split()[1] == "127.0.0.1:6379/1"


# ---- containers, however cut ----


def contained(kind: str, tmp_path: Path) -> bytes:
    return file(tmp_path / kind, PACKETS, kind).read_bytes()


@pytest.mark.parametrize("kind", ["<us", ">us", "<ns", ">ns", "pcapng"])
@pytest.mark.parametrize("lost", [0, 1, 20])
def test_a_container_is_read_the_same_however_it_is_cut(tmp_path: Path, kind: str, lost: int) -> None:
    data = contained(kind, tmp_path)
    data = data[: len(data) - lost]

    def found(pieces: list[bytes]) -> tuple[list[Packet], list[str]]:
        reader = reader_for(data)
        packets = [packet for piece in pieces for packet in reader.feed(piece)]
        return [*packets, *reader.close()], list(reader.problems)

    whole = found([data])
    assert len(whole[0]) == len(PACKETS) - bool(lost)
    assert len(whole[1]) == bool(lost)
    assert found([data[at : at + 1] for at in range(len(data))]) == whole
    for at in range(0, len(data), 7):
        assert found([data[:at], b"", data[at:]]) == whole


def test_a_capture_is_checked_before_it_is_read_twice(tmp_path: Path) -> None:
    path, text, pipe = tmp_path / "one.pcap", tmp_path / "text", tmp_path / "pipe"
    path.write_bytes(pcapng.heading("test", "made by hand") + block(1, bytes(20)))
    text.write_text("no capture")
    os.mkfifo(pipe)
    heard: list[tuple[str, str]] = []
    for checks in (check, check_again):
        checks(path)
        checks(path, lambda name, comment: heard.append((name, comment)))
        checks(tmp_path)  # what stands in a directory is not opened
        with pytest.raises(RecordingError, match="it is not a capture"):
            checks(text)
        with pytest.raises(RecordingError, match="No such file"):
            checks(tmp_path / "none")
    assert heard == [(str(path), "made by hand")] * 2
    check(pipe)
    with pytest.raises(ConfigError, match="a replay reads the capture more than once: give a file, not a pipe"):
        check_again(pipe)
    with pytest.raises(ConfigError, match="-: a replay reads"):
        check_again(Path("-"))


def test_rotations_of_one_name_in_several_directories_are_several(tmp_path: Path) -> None:
    for name, times in (("one", (5, 1)), ("two", (4, 3))):
        (tmp_path / name).mkdir()
        for number, time in enumerate(times):
            rotation(tmp_path / name, number, capture(time))
    assert read_all([tmp_path / "one", tmp_path / "two"]) == ([4, 3, 5, 1], [])
    assert expand(tmp_path / "one") == sorted((tmp_path / "one").iterdir())


def test_packets_of_one_time_stay_in_the_order_of_their_files(tmp_path: Path) -> None:
    """A file goes on for as long as no other one has an earlier packet."""
    for name, said in (("a", ((1, 10), (3, 11), (3, 12), (5, 13))), ("b", ((3, 20), (3, 21), (4, 22)))):
        blocks = [block(time, bytes([number])) for time, number in said]
        (tmp_path / f"{name}.pcap").write_bytes(pcapng.heading("test") + b"".join(blocks))
    found = [packet.data[0] for packet in packets(tmp_path, [])]
    assert found == [10, 11, 12, 20, 21, 22, 13]


def test_each_kind_of_file_that_is_none_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "a.pcap"))
        (tmp_path / "b.pcap").symlink_to("/dev/null")
        assert [text.partition("it is ")[2].partition(",")[0] for text in read(tmp_path)[1]] == ["a socket", "a device"]


def test_in_a_directory_regular_files_are_read_and_others_named(tmp_path: Path) -> None:
    good = file(tmp_path / "good.pcap", PACKETS, "<us")
    os.mkfifo(tmp_path / "pipe.pcap")
    (tmp_path / "inner.pcap").mkdir()
    (tmp_path / "link.pcap").symlink_to(good)
    times, problems = read(tmp_path)
    assert len(times) == len(PACKETS)
    assert problems == [
        f"{tmp_path / name}: left out: it is {what}, and only regular files of a directory are read"
        for name, what in (("inner.pcap", "a directory"), ("pipe.pcap", "a pipe"))
    ]
    assert len(expand(tmp_path)) == 1
