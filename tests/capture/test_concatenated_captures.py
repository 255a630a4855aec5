"""Captures concatenated in one file: where each begins, and how they are merged."""

from __future__ import annotations

import gzip
import itertools
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tap.capture.concatenated_captures import CLOCK_SET, HEADING, MAX_PARTS, MIXED_UP, PartCounter, count_parts
from tap.capture.pcapng import MAX_BLOCK, heading
from tests.recording.captured import capture, read

# ---- where a capture begins ----


@pytest.mark.parametrize(
    ("times", "parts"),
    [
        ([5, 6, 7], [0, 0, 0]),
        ([0, MIXED_UP * 10, MIXED_UP * 9], [0, 0, 0]),
        ([0, MIXED_UP * 10, MIXED_UP * 9 - 1], [0, 0, 0]),  # more, but little compared with the elapsed time
        ([0, MIXED_UP * 10, MIXED_UP * 5], [0, 0, 0]),
        ([0, MIXED_UP * 10, MIXED_UP * 5 - 1], [0, 0, 1]),  # more than half of it
        ([0, MIXED_UP, 0], [0, 0, 0]),
        ([0, MIXED_UP + 1, 0], [0, 0, 1]),
        ([0, CLOCK_SET * 10, CLOCK_SET * 9], [0, 0, 0]),
        ([0, CLOCK_SET * 10, CLOCK_SET * 9 - 1], [0, 0, 1]),  # too much for a clock being set
        ([0, CLOCK_SET, 0, CLOCK_SET, 0], [0, 0, 1, 1, 2]),
        ([CLOCK_SET, 0], [0, 1]),
    ],
)
def test_the_beginning_of_each_capture_is_found(times: list[int], parts: list[int]) -> None:
    steps = PartCounter()
    assert [steps.part(time) for time in times] == parts


# ---- captures concatenated in a file ----

SECOND = 1_000_000_000


def pcap(*times: int) -> bytes:
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 101) + b"".join(
        struct.pack("<4I", time // SECOND, time % SECOND, 5, 5) + bytes(5) for time in times
    )


@pytest.mark.parametrize("container", [capture, pcap])
@pytest.mark.parametrize("ending", [".pcap", ".pcap.gz"])
def test_concatenated_captures_are_merged(tmp_path: Path, container: Callable[..., bytes], ending: str) -> None:
    path = tmp_path / f"both{ending}"
    parts = [
        range(0, 5 * SECOND, SECOND // 10),
        range(SECOND // 3, 4 * SECOND, SECOND // 7),
        range(0, SECOND, SECOND // 9),
    ]
    data = container(*itertools.chain(*parts))
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    assert read(path) == (sorted(itertools.chain(*parts)), [])


def test_concatenated_sections_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "both.pcapng"
    path.write_bytes(capture(*range(10 * SECOND, 20 * SECOND, SECOND)) + capture(*range(0, 9 * SECOND, SECOND))[:-5])
    times, problems = read(path)
    assert times == [*range(0, 8 * SECOND, SECOND), *range(10 * SECOND, 20 * SECOND, SECOND)]
    assert len(problems) == 1


@pytest.mark.parametrize(
    "times",
    [
        [0, 5, 3, 9, 8, 50_000_000, 10_000_000],  # packets of several queues, mixed up
        [0, 20 * SECOND, 40 * SECOND, 35 * SECOND, 36 * SECOND],  # a clock was set
        [7 * SECOND],
        [],
        [time for number in range(100) for time in (number * SECOND, 0)],  # no order
    ],
)
def test_other_steps_back_are_kept(tmp_path: Path, times: list[int]) -> None:
    path = tmp_path / "one.pcap"
    path.write_bytes(pcap(*times))
    assert read(path) == (times, [])


# ---- counting by headers alone ----


def ordered_pcap(order: str, magic: int, fractions: int, times: list[int], size: int = 5) -> bytes:
    packets = [
        struct.pack(order + "4I", time // SECOND, time % SECOND // (SECOND // fractions), size, size) + bytes(size)
        for time in times
    ]
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, 101) + b"".join(packets)


def block(order: str, kind: int, body: bytes) -> bytes:
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, digits: int) -> bytes:
    return block(order, 1, struct.pack(order + "HHIHHB3xI", 101, 0, 0, 9, 1, digits, 0))


def packet(order: str, kind: int, number: int, ticks: int, size: int = 8) -> bytes:
    """Enhanced (6), or the obsolete one (2), whose interface is followed by a drop count."""
    first = struct.pack(order + "I", number) if kind == 6 else struct.pack(order + "HH", number, 7)
    return block(
        order, kind, first + struct.pack(order + "4I", ticks >> 32, ticks & 0xFFFFFFFF, size, size) + bytes(size)
    )


def counted(data: bytes) -> int:
    """The same for all chunk sizes."""
    whole = count_parts(iter([data]))
    assert count_parts(data[at : at + 1] for at in range(len(data))) == whole
    for size in (2, 7, 100, HEADING):
        assert count_parts(data[at : at + size] for at in range(0, len(data), size)) == whole
    return whole


TWICE = [1_700_000_000 * SECOND + second * SECOND for second in (0, 20, 40, 60, 1, 21, 41, 0)]  # it begins again, twice


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "fractions"), [(0xA1B2C3D4, 10**6), (0xA1B23C4D, 10**9)])
def test_parts_of_pcap_are_counted_in_both_byte_orders(order: str, magic: int, fractions: int) -> None:
    assert counted(ordered_pcap(order, magic, fractions, TWICE)) == 3
    # Fractions of a second count, in their unit.
    assert counted(ordered_pcap(order, magic, fractions, [SECOND - MIXED_UP - 1000, SECOND - 1000, 0])) == 2
    assert counted(ordered_pcap(order, magic, fractions, [0, MIXED_UP, 0])) == 1
    assert counted(ordered_pcap(order, magic, fractions, [0, MIXED_UP + 1000, 0])) == 2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [2, 6])
def test_parts_of_pcapng_are_counted_in_the_units_of_each_interface(order: str, kind: int) -> None:
    units = [10**6, 10**9]
    packets = [
        packet(order, kind, number % 2, time * units[number % 2] // SECOND, size=4 * number)
        for number, time in enumerate(TWICE)
    ]
    head = section(order) + interface(order, 6) + interface(order, 9)
    assert counted(head + b"".join(packets)) == 3
    assert counted(head + b"".join(packets[:4])) == 1
    # Another section has its own interfaces, and may have another byte order.
    other = "<" if order == ">" else ">"
    late = packet(other, 6, 0, TWICE[3] * 1000 // SECOND)
    assert counted(head + b"".join(packets[:4]) + section(other) + interface(other, 3) + late) == 1


@pytest.mark.parametrize(
    "broken",
    [
        packet("<", 6, 1, 0), struct.pack("<II", 6, 30) + bytes(40), struct.pack("<II", 6, 8) + bytes(40),
        struct.pack("<II", 5, MAX_BLOCK + 4) + bytes(40),
    ],
    ids=["no such interface", "no multiple of four", "shorter than a block", "too long"],
)  # fmt: skip
def test_the_search_in_pcapng_ends_at_bytes_that_cannot_be_read(broken: bytes) -> None:
    head = section("<") + interface("<", 9)
    before, after = [packet("<", 6, 0, time) for time in TWICE[:5]], packet("<", 6, 0, 0)
    assert counted(head + b"".join(before)) == 2
    assert counted(head + b"".join(before) + after) == 3
    assert counted(head + b"".join(before) + broken + after * 2) == 2


def test_the_search_in_pcapng_goes_on_after_a_block_of_the_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    head = section("<") + interface("<", 9) + b"".join(packet("<", 6, 0, time) for time in TWICE[:5])
    monkeypatch.setattr("tap.capture.concatenated_captures.MAX_BLOCK", 64)
    assert counted(head + block("<", 0x0BAD, bytes(52)) + packet("<", 6, 0, 0)) == 3
    assert counted(head + block("<", 0x0BAD, bytes(56)) + packet("<", 6, 0, 0)) == 2


def test_the_search_in_pcap_ends_at_bytes_that_cannot_be_read() -> None:
    head = ordered_pcap("<", 0xA1B23C4D, 10**9, TWICE[:5])
    longest = struct.pack("<4I", 1_700_000_060, 0, MAX_BLOCK, 0) + bytes(MAX_BLOCK)
    assert count_parts(iter([head, longest, struct.pack("<4I", 0, 0, 0, 0)])) == 3
    assert counted(head + struct.pack("<4I", 1_700_000_060, 0, MAX_BLOCK + 1, 0) + bytes(40)) == 2


def test_more_parts_than_may_be_read_are_not_parts() -> None:
    """Their times are meaningless."""
    for parts in (MAX_PARTS - 1, MAX_PARTS, MAX_PARTS + 1):
        times = [time * SECOND for time in (0, 60)] * parts
        assert counted(ordered_pcap("<", 0xA1B23C4D, 10**9, times)) == (parts if parts <= MAX_PARTS else 1)


def test_a_recording_and_a_file_that_is_not_a_capture_are_one_part() -> None:
    times = [0, 60 * SECOND, 0, 60 * SECOND]
    packets = b"".join(packet("<", 6, 0, time) for time in times)
    named = heading("redis-tap 1.0")
    assert counted(named + packets) == 1
    assert counted(section("<") + interface("<", 9) + packets) == 2
    assert (
        counted(section("<") + interface("<", 9) + block("<", 10, b"redis-tap   ") + packets) == 2
    )  # not in the section
    assert counted(section("<") + interface("<", 9)) == counted(pcap()) == 1  # without packets
    assert counted(b"plain text " * 100) == 1
    assert counted(b"") == 1
