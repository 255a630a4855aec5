"""The RDB parser: its report does not depend on how the bytes were split, and no bytes make it raise."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.rdb.parser import Parser
from tests.rdb import make
from tests.rdb.fuzz import Maker, complaints, damaged, seeds_at_hand
from tests.rdb.reading import enough, fed
from tests.rdb.story import of_keys, read, uncompiled_parser
from tests.support import FIXTURES

FILES = sorted((FIXTURES / "rdb").glob("*.rdb"))
SMALL = [path for path in FILES if path.stat().st_size < 1500]
FOUND = [path for path in FILES if path.stem.startswith("found-")]
SEEDS = seeds_at_hand()


def named(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", enough(FILES, named, every=3), ids=named)
def test_a_file_in_pieces_gives_what_the_whole_gives(path: Path) -> None:
    data = path.read_bytes()
    whole = read(data)
    assert read(data, [1] * len(data)) == whole
    assert read(data, [7] * len(data)) == whole
    assert of_keys(read(data, values=False)) == of_keys(whole)
    assert read(data, values=False).problem == whole.problem


@pytest.mark.parametrize("path", SMALL[::6] + FOUND, ids=named)
def test_a_file_split_anywhere_gives_what_the_whole_gives(path: Path) -> None:
    data = path.read_bytes()
    whole = read(data)
    for size in range(1, min(len(data), 1500)):
        assert read(data, [size]) == whole, f"cut at byte {size}"


@pytest.mark.parametrize("path", FOUND, ids=named)
def test_earlier_findings_are_reported_the_same_in_every_way(path: Path) -> None:
    assert list(complaints(path.read_bytes(), random.Random(1), uncompiled_parser())) == []


def test_a_stream_with_a_long_field_name_is_reported_the_same_byte_by_byte() -> None:
    blob = make.string(make.node([b"n" * 700_000], [[b"v"], [b"w"]]))
    data = make.rdb(10, make.key(19, make.string(b"k"), make.stream(2, [blob])))
    edge = [1] * 2000  # byte by byte at both ends, and within the name as a socket might cut it
    assert read(data, [*edge, *[97] * ((len(data) - 2 * len(edge)) // 97), *edge, *[1] * 97]) == read(data)


FREQ = b"\xf9\x07"
METADATA = make.key_metadata(make.module_parts(make.length(2) + make.length(5)), make.module_parts())
AUX = make.aux(make.string(b"a"), make.string(b"b"))
KEY_OF_5 = make.key(0, make.string(b"k"), make.string(b"v"))


@pytest.mark.parametrize(
    ("before", "position", "size"),
    [
        ((), 9, 5),
        ((FREQ,), 9, 7),
        ((AUX, FREQ), 14, 7),
        ((FREQ, AUX), 9, 7),
        ((FREQ, AUX, FREQ, AUX), 9, 9),
        ((METADATA,), 9, 5 + len(METADATA)),
        ((AUX, METADATA, AUX, FREQ), 14, 7 + len(METADATA)),
        ((FREQ, METADATA), 9, 7 + len(METADATA)),
        ((make.key_metadata(), AUX), 9, 7),
    ],
)
def test_a_record_begins_with_its_first_attribute_and_has_no_others_in_it(
    before: tuple[bytes, ...], position: int, size: int
) -> None:
    told = read(make.rdb(13, *before, KEY_OF_5, KEY_OF_5))
    first, end, second, last = of_keys(told)
    assert (first[7], end[2]) == (position, size)
    assert (second[7], last[2]) == (9 + len(b"".join(before)) + 5, 5)


@pytest.mark.slow
def test_templates_are_refused_before_they_take_much_memory() -> None:
    one = [make.string(b"f")]
    many = b"".join(make.template(number, one) for number in range(300_000))
    found = fed(Parser(lambda tape: None, values=True), make.rdb(15, many))
    assert found is not None
    assert (found.kind, found.text) == ("unknown", "templates of more than 67108864 bytes")
    own = make.length(1) + make.length(1) + one[0] + make.string(b"v")
    assert fed(Parser(lambda tape: None), make.rdb(15, make.key(31, make.string(b"k"), own) * 1_400_000)) is None


LONG = random.Random(3).randbytes(200_000) + bytes(9000)


@functools.cache
def text() -> bytes:
    return make.lzf(LONG)


@functools.cache
def packed() -> bytes:
    return make.lzf(make.listpack([LONG[:70_000], LONG[70_000:]]))


@pytest.mark.parametrize(
    ("kind", "made", "size"),
    [
        pytest.param(0, text, len(LONG) - 1, id="longer than it says"),
        pytest.param(0, text, len(LONG) + 1, id="shorter than it says"),
        pytest.param(0, lambda: b"\xff\xff\xff" + text(), len(LONG) + 264, id="an item before there is anything"),
        pytest.param(0, lambda: text() + b"\x1f", len(LONG) + 32, id="an item that is cut off"),
        pytest.param(16, packed, 209_022, id="a hash, longer than it says"),
        pytest.param(
            16, lambda: packed()[:99_000] + b"\xff" * 3 + packed()[99_000:], 209_023, id="a hash with a strange item"
        ),
        pytest.param(16, lambda: packed()[:-1], 209_023, id="a hash that is cut off"),
    ],
)
def test_damage_in_a_long_compressed_value_is_reported_the_same_in_every_way(
    kind: int, made: Callable[[], bytes], size: int
) -> None:
    packed_value = made()
    value = b"\xc3" + make.length(len(packed_value)) + make.length(size) + packed_value
    data = make.rdb(12, make.key(kind, make.string(b"k"), value))
    whole = read(data)
    assert whole.problem is not None
    assert (whole.problem.position, whole.problem.kind) == (12, "damaged")
    for sizes in ([1] * len(data), [1000] * 300, [65_536] * 9):
        assert read(data, sizes) == whole
    assert read(data, values=False).problem == whole.problem


@given(st.integers(0, 2**32))
def test_a_long_file_in_pieces_as_from_a_socket_gives_what_the_whole_gives(seed: int) -> None:
    rng = random.Random(seed)
    keys = (
        make.key(0, make.string(rng.randbytes(rng.choice((1, 30, 2000)))), make.string(rng.randbytes(int(size))))
        for size in (10 ** rng.uniform(0, 4.5) for _ in range(60))
    )
    data = make.rdb(10, *keys) + bytes(rng.choice((0, 5000)))
    whole = read(data)
    assert whole.problem is None
    for mean in (700, 3000, 30_000):
        assert read(data, [int(rng.expovariate(1 / mean)) + 1 for _ in range(len(data) // mean)]) == whole


@given(st.integers(0, 2**32), st.data())
def test_anything_sound_is_read_without_a_problem(seed: int, data: st.DataObject) -> None:
    rng = random.Random(seed)
    made = Maker(rng).rdb()
    assert read(made).problem is None
    assert list(complaints(made, rng, None)) == []


@given(st.integers(0, 2**32))
def test_no_damage_makes_the_parser_raise_or_depend_on_the_split(seed: int) -> None:
    rng = random.Random(seed)
    broken = damaged(rng.choice(SEEDS), rng, SEEDS)
    assert list(complaints(broken, rng, None)) == []
