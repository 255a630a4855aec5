"""Captures that were appended to one another: where one begins anew, and how they are merged."""

from __future__ import annotations

import gzip
import itertools
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tap.capture.parts import CLOCK_SET, MIXED_UP, Steps
from tests.recording.captured import capture, read

# ---- captures that were appended ----


@pytest.mark.parametrize(
    ("times", "parts"),
    [
        ([5, 6, 7], [0, 0, 0]),
        ([0, MIXED_UP * 10, MIXED_UP * 9], [0, 0, 0]),
        ([0, MIXED_UP * 10, MIXED_UP * 9 - 1], [0, 0, 0]),  # more, but little of what has passed
        ([0, MIXED_UP * 10, MIXED_UP * 5], [0, 0, 0]),
        ([0, MIXED_UP * 10, MIXED_UP * 5 - 1], [0, 0, 1]),  # more than half of it
        ([0, MIXED_UP, 0], [0, 0, 0]),
        ([0, MIXED_UP + 1, 0], [0, 0, 1]),
        ([0, CLOCK_SET * 10, CLOCK_SET * 9], [0, 0, 0]),
        ([0, CLOCK_SET * 10, CLOCK_SET * 9 - 1], [0, 0, 1]),  # too much for a clock that is set
        ([0, CLOCK_SET, 0, CLOCK_SET, 0], [0, 0, 1, 1, 2]),
        ([CLOCK_SET, 0], [0, 1]),
    ],
)
def test_where_a_capture_begins_anew(times: list[int], parts: list[int]) -> None:
    steps = Steps()
    assert [steps.part(time) for time in times] == parts


# ---- captures that stand one behind the other in a file ----

SECOND = 1_000_000_000


def pcap(*times: int) -> bytes:
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 101) + b"".join(
        struct.pack("<4I", time // SECOND, time % SECOND, 5, 5) + bytes(5) for time in times
    )


@pytest.mark.parametrize("container", [capture, pcap])
@pytest.mark.parametrize("ending", [".pcap", ".pcap.gz"])
def test_captures_that_were_appended_are_merged(tmp_path: Path, container: Callable[..., bytes], ending: str) -> None:
    path = tmp_path / f"both{ending}"
    parts = [
        range(0, 5 * SECOND, SECOND // 10),
        range(SECOND // 3, 4 * SECOND, SECOND // 7),
        range(0, SECOND, SECOND // 9),
    ]
    data = container(*itertools.chain(*parts))
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    assert read(path) == (sorted(itertools.chain(*parts)), [])


def test_sections_that_were_appended_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "both.pcapng"
    path.write_bytes(capture(*range(10 * SECOND, 20 * SECOND, SECOND)) + capture(*range(0, 9 * SECOND, SECOND))[:-5])
    times, problems = read(path)
    assert times == [*range(0, 8 * SECOND, SECOND), *range(10 * SECOND, 20 * SECOND, SECOND)]
    assert len(problems) == 1


@pytest.mark.parametrize(
    "times",
    [
        [0, 5, 3, 9, 8, 50_000_000, 10_000_000],  # queues that are mixed up
        [0, 20 * SECOND, 40 * SECOND, 35 * SECOND, 36 * SECOND],  # a clock that was set
        [7 * SECOND],
        [],
        [time for number in range(100) for time in (number * SECOND, 0)],  # no order at all
    ],
)
def test_other_steps_back_are_left_as_they_are(tmp_path: Path, times: list[int]) -> None:
    path = tmp_path / "one.pcap"
    path.write_bytes(pcap(*times))
    assert read(path) == (times, [])
