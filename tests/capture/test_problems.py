"""Reports of damage: the first few of a kind, and the number of others."""

from __future__ import annotations

import struct
from pathlib import Path

import zstandard

from tap.capture import pcapng
from tap.capture.problems import SHOWN, Problems
from tests.recording.captured import PACKETS, read
from tests.recording.support import block

# ---- unlimited damage ----


def test_a_hundred_thousand_damaged_blocks_are_summarized(tmp_path: Path) -> None:
    """2 KB of a file that holds 6 MB."""
    inside = struct.pack("<II5II", 6, 32, 0, 0, 0, 4000, 4000, 32)  # longer than its block
    path = tmp_path / "small.pcapng.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(pcapng.heading("test") + inside * 200_000))
    assert path.stat().st_size < 20_000
    times, problems = read(path)
    assert times == []
    assert len(problems) == SHOWN + 1
    assert problems[0].endswith("a block that is damaged inside; left out")
    assert f"and {200_000 - SHOWN} more blocks; the last: byte " in problems[-1]


def test_damaged_stretches_are_summarized_too(tmp_path: Path) -> None:
    good = block(10**18, PACKETS[0][1])
    path = tmp_path / "torn.pcapng"
    path.write_bytes(pcapng.heading("test") + (good + b"\xff" * 8) * 50 + good)
    times, problems = read(path)
    assert len(times) == 51
    assert len(problems) == SHOWN + 1
    assert f"and {50 - SHOWN} more stretches; the last: bytes " in problems[-1]


def told(*added: tuple[str, str]) -> Problems:
    problems = Problems()
    for kind, line in added:
        problems.add(kind, line)
    return problems


def test_the_first_of_a_kind_are_reported_in_full_then_their_number_and_the_last() -> None:
    for count, lines in ((0, 0), (1, 1), (SHOWN, SHOWN), (SHOWN + 1, SHOWN + 1), (SHOWN + 9, SHOWN + 1)):
        problems = told(*(("blocks", f"block {number}") for number in range(count)))
        assert (len(problems), bool(problems), len(list(problems))) == (count, count > 0, lines)
    assert list(problems)[-1] == f"and 9 more blocks; the last: block {SHOWN + 8}"
    assert list(told(*(("blocks", f"block {number}") for number in range(SHOWN + 1))))[-1] == f"block {SHOWN}"


def test_kinds_appear_in_the_order_of_their_first_problem() -> None:
    assert list(told(("b", "1"), ("a", "2"), ("b", "3"))) == ["1", "3", "2"]
