"""What is compressed, is known by its first bytes, and is read as far as it can be."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap.capture.content import COMPRESSED
from tests.recording.captured import WHOLE, Gzip, Kind, both, compressed, read


def whole_in(parts: list[bytes], size: int) -> int:
    """Packets that have been flushed with the first *size* bytes, 336 each in the container."""
    ends = itertools.accumulate(map(len, parts))
    return max(0, (2000 * sum(end <= size for end in ends) - 200) // 336)


@both
@pytest.mark.parametrize("ending", ["as usual", ".pcapng"])
def test_compression_is_known_by_its_first_bytes(tmp_path: Path, ending: str, kind: Kind) -> None:
    path = tmp_path / f"link.pcapng{kind.ending if ending == 'as usual' else ''}"
    path.write_bytes(compressed(WHOLE, kind))
    assert read(path) == (list(range(1000)), [])
    path.write_bytes(compressed(WHOLE[:5000], kind) + compressed(WHOLE[5000:], kind))
    assert read(path) == (list(range(1000)), [])


def test_a_gzip_file_may_end_with_zeros(tmp_path: Path) -> None:
    path = tmp_path / "link.pcap.gz"
    path.write_bytes(gzip.compress(WHOLE[:5000]) + gzip.compress(WHOLE[5000:]) + bytes(1000))
    assert read(path) == (list(range(1000)), [])
    path.write_bytes(gzip.compress(WHOLE) + b"and more")
    times, (problem,) = read(path)
    assert times == list(range(1000))
    assert "gzip cannot read on (" in problem


@both
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True))
def test_what_is_compressed_and_cut_short_is_read_up_to_there(tmp_path: Path, kind: Kind, place: float) -> None:
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
def test_what_is_compressed_and_damaged_is_read_up_to_there(tmp_path: Path, kind: Kind) -> None:
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
