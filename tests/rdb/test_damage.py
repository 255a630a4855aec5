"""RDBs that are truncated, damaged byte by byte, or expand enormously: all are reported, and none costs much."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from tap.rdb import parser
from tap.rdb.parser import Parser
from tap.rdb.problem import Problem
from tap.rdb.tape import Tape
from tests.rdb import make
from tests.rdb.reading import enough
from tests.rdb.story import Story, read, uncompiled_parser
from tests.support import FIXTURES

FILES = sorted((FIXTURES / "rdb").glob("*.rdb"))
SMALL = [path for path in FILES if path.stat().st_size < 400]
KINDS = {"truncated", "damaged", "unknown", "checksum"}
MIB = 2**20
compiled_only = pytest.mark.skipif(parser.__file__.endswith(".py"), reason="takes too long where there is no compiler")


def named(path: Path) -> str:
    return path.stem


# ---- every position ----


@pytest.mark.parametrize("path", enough(SMALL, named, every=3), ids=named)
def test_a_truncated_file_is_reported_at_its_end(path: Path) -> None:
    data = path.read_bytes()
    whole = read(data)
    sound = whole.consumed if whole.problem is None else whole.problem.position
    for size in range(len(data)):
        found = read(data[:size])
        if size < sound:
            assert found.problem is not None
            assert (found.problem.kind, found.problem.position) == ("truncated", size)
        assert found.problem is None or found.problem.kind in KINDS
        assert read(data[:size], values=False).problem == found.problem


@pytest.mark.parametrize("path", enough(SMALL, named, every=3), ids=named)
def test_a_flipped_byte_does_not_go_unnoticed_if_there_is_a_checksum(path: Path) -> None:
    data = path.read_bytes()
    whole = read(data)
    rng = random.Random(len(data))
    for i in range(whole.consumed):
        for bits in (0xFF, 1 << rng.randrange(8)):
            found = read(data[:i] + bytes([data[i] ^ bits]) + data[i + 1 :])
            assert found.problem is None or found.problem.kind in KINDS
            # Before version 5 there is no checksum, and eight zeros mean none.
            if whole.checksum == "ok" and i >= 9 and found.checksum != "disabled":
                assert found.problem is not None, f"byte {i}"


SHORT = [path for path in FILES if path.stat().st_size < 10 * 1024]


@pytest.mark.parametrize("path", enough(SHORT, named, every=3), ids=named)
def test_the_uncompiled_parser_reports_the_same(path: Path, bare: type[Parser]) -> None:
    data = path.read_bytes()
    for values in (True, False):
        assert read(data, values=values, kind=bare) == read(data, values=values)
    assert read(data, [100] * 100, kind=bare) == read(data)


@pytest.fixture(scope="module")
def bare() -> type[Parser]:
    return uncompiled_parser()


# ---- large keys ----


def of_a_key(key: bytes) -> bytes:
    return make.rdb(10, make.key(0, key, make.string(b"v")))


def zeros(size: int) -> bytes:
    """LZF of so many zeros, 264 times 1 and a rest."""
    count, rest = divmod(size - 1, 264)
    copies = b"\xe0\xff\x00" * count  # 264 bytes from one byte before
    return b"\x00\x00" + copies + bytes(byte for _ in range(rest) for byte in (0, 0))


def compressed_zeros(size: int) -> bytes:
    packed = zeros(size)
    return b"\xc3" + make.length(len(packed)) + make.length(size) + packed


def ways(data: bytes) -> Story:
    whole = read(data)
    assert read(data, [MIB // 2 + 1] * 100) == whole
    assert read(data, [len(data) - 100]) == whole
    return whole


@compiled_only
@pytest.mark.parametrize("key", [make.string(bytes(8 * MIB)), compressed_zeros(8 * MIB)], ids=["plain", "compressed"])
def test_a_key_of_8_mib_is_read(key: bytes) -> None:
    found = ways(of_a_key(key))
    assert found.problem is None
    assert found.tokens[0][3] == bytes(8 * MIB)


@compiled_only
@pytest.mark.parametrize(
    "key", [make.string(bytes(8 * MIB + 1)), compressed_zeros(8 * MIB + 1)], ids=["plain", "compressed"]
)
def test_a_longer_key_is_refused_as_soon_as_its_length_is_known(key: bytes) -> None:
    data = of_a_key(key)
    found = ways(data)
    assert found.problem is not None
    assert (found.problem.kind, found.problem.text) == ("unknown", "a name of more than 8388608 bytes")
    assert read(data[:30]).problem == found.problem


UNKNOWN = "value type 107, which this redis-tap does not know"


@pytest.mark.parametrize("size", [None, 28])
def test_an_unknown_type_is_named_whatever_follows(size: int | None) -> None:
    """Not that its supposed name is too long."""
    data = (FIXTURES / "rdb/found-unknown-type-hidden.rdb").read_bytes()
    for cut in range(len(data)):
        found = read(data, [cut, 1], size=size).problem
        assert found == Problem("unknown", 11, UNKNOWN, 0, None)
    assert read(data, [1] * len(data), size=size).problem == Problem("unknown", 11, UNKNOWN, 0, None)


@pytest.mark.parametrize("name", [make.string(b"k"), make.string(b"k" * 100), make.compressed(b"k" * 100), b"\xc0\x07"])
def test_an_unknown_type_is_reported_with_its_key_if_there_is_one(name: bytes) -> None:
    data = make.rdb(11, make.key(107, name, b"value"))
    found = read(data).problem
    assert found is not None
    assert (found.position, found.text) == (9, UNKNOWN)
    assert found.key in (b"k", b"k" * 100, b"7")
    assert read(data, [1] * len(data)).problem == found


# ---- bombs ----


class Counter:
    """A reader that keeps nothing."""

    numbers = 0

    def __call__(self, tape: Tape) -> None:
        self.numbers += tape.count


def cost(data: bytes, values: bool) -> tuple[float, int]:
    """Seconds of CPU time, and the peak number of bytes held, of reading it 64 KiB at a time."""
    took = 10.0**9
    for _ in range(3):
        reading, began = Parser(Counter(), values=values), time.thread_time()
        for i in range(0, len(data), 65536):
            reading.feed(data[i : i + 65536])
        assert reading.close() is None
        took = min(took, time.thread_time() - began)
    tracemalloc.start()
    reading = Parser(Counter(), values=values)
    for i in range(0, len(data), 65536):
        reading.feed(data[i : i + 65536])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return took, peak


def string_bomb(size: int) -> bytes:
    return make.key(0, make.string(b"k"), compressed_zeros(size))


def listpack_bomb(size: int) -> bytes:
    """A list whose elements are all 0, two bytes each."""
    packed = bytes([5]) + size.to_bytes(4, "little") + b"\xff\xff" + b"\x01\x00\x01"
    copies, rest = divmod(size - 6 - 2 - 1, 264)
    packed += b"\xe0\xff\x01" * copies + b"".join(b"\x01\x00\x01" for _ in range(rest // 2)) + b"\x00\xff"
    blob = b"\xc3" + make.length(len(packed)) + make.length(size) + packed
    return make.key(18, make.string(b"k"), make.length(1) + make.length(2) + blob)


def hash_bomb(size: int) -> bytes:
    """A field and a value, both long."""
    return make.key(4, make.string(b"k"), make.length(1) + compressed_zeros(size) * 2)


@compiled_only
@pytest.mark.parametrize("values", [True, False], ids=["values", "keys"])
@pytest.mark.parametrize("bomb", [string_bomb, listpack_bomb, hash_bomb])
def test_values_that_expand_to_many_megabytes_pass_through_little_memory(
    bomb: Callable[[int], bytes], values: bool
) -> None:
    few, _ = cost(make.rdb(11, bomb(5_000_001)), values)
    many, held = cost(make.rdb(11, bomb(40_000_001)), values)
    assert held < 2 * MIB
    assert many < 30 * few + 0.5, "more than linear"
