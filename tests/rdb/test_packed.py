"""Packed values: each form of each entry, and each way in which a packed value contradicts itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tap.rdb.tokens import BITS, INTEGER, ITEM
from tests.rdb import make
from tests.rdb.story import read

NUMBERS = [0, 1, 12, 13, 127, 128, -1, -128, -129, 4095, -4096, 4096, 2**15 - 1, -(2**15), 2**15, 2**23 - 1, -(2**23)]
NUMBERS += [2**23, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63)]
TEXTS = [b"", b"x", b"x" * 63, b"x" * 64, b"x" * 126, b"x" * 253, b"x" * 4095, b"x" * 4096, b"x" * 16_384]
LONG = b"y" * 70_000  # passes in pieces


def entries(kind: int, blob: bytes) -> list[int | bytes]:
    """The tokens of a key with this packed value: the same whole, byte by byte, and compressed."""
    data = make.rdb(12, make.key(kind, make.string(b"k"), make.string(blob)))
    whole = read(data)
    assert whole.problem is None
    assert read(data, [1] * len(data)) == whole
    squeezed = read(make.rdb(12, make.key(kind, make.string(b"k"), make.compressed(blob))))
    assert squeezed.problem is None
    found = [token[1] for token in whole.tokens if token[0] in (ITEM, INTEGER, BITS)]
    assert [token[1] for token in squeezed.tokens if token[0] in (ITEM, INTEGER, BITS)] == found
    return found


def refused(kind: int, blob: bytes) -> str:
    data = make.rdb(12, make.key(kind, make.string(b"k"), make.string(blob)))
    problem = read(data).problem
    assert problem is not None
    assert (problem.kind, problem.position) == ("damaged", 12)
    assert read(data, [1] * len(data)).problem == problem
    assert read(data, values=False).problem == problem
    return problem.text


@pytest.mark.parametrize(("form", "kind"), [(make.listpack, 20), (make.ziplist, 10)])
def test_entries_of_every_form_follow_each_other(form: Callable[[Sequence[bytes | int]], bytes], kind: int) -> None:
    wanted: list[bytes | int] = [*NUMBERS, *TEXTS, LONG, *NUMBERS]
    assert entries(kind, form(wanted)) == wanted
    assert entries(kind, form([])) == []


@pytest.mark.parametrize("width", [2, 4, 8])
def test_an_intset_of_each_width(width: int) -> None:
    most = 2 ** (8 * width - 1)
    assert entries(11, make.intset([5, -most, most - 1, 0], width)) == [-most, 0, 5, most - 1]


@pytest.mark.parametrize("free", [0, 3])
def test_a_zipmap_leaves_out_its_free_bytes(free: int) -> None:
    pairs = [(b"a", b"1"), (b"b" * 253, b"c" * 254), (b"", b""), (b"d", LONG)]
    assert entries(9, make.zipmap(pairs, free)) == [text for pair in pairs for text in pair]


def test_the_text_of_a_score_is_kept_as_written() -> None:
    assert entries(17, make.listpack([b"m", b"1.5", b"n", -7, b"o", b"-inf"])) == [b"m", b"1.5", b"n", -7, b"o", b"-inf"]


def test_more_entries_than_a_header_can_count() -> None:
    assert len(entries(20, make.listpack([1] * 70_000))) == 70_000


def with_byte(blob: bytes, place: int, value: int) -> bytes:
    changed = bytearray(blob)
    changed[place] = value
    return bytes(changed)


LISTPACK = make.listpack([b"abc", b"def"])
ZIPLIST = make.ziplist([b"abc", b"def"])


@pytest.mark.parametrize(
    ("kind", "blob", "why"),
    [
        (20, with_byte(LISTPACK, 0, 99), "a listpack of 17 bytes that says 99"),
        (20, with_byte(LISTPACK, 6, 0xF5), "a listpack entry that begins with 0xf5"),
        (20, with_byte(LISTPACK, 10, 5), "a listpack entry of 4 bytes whose back length says 5"),
        (20, make.listpack([b"x" * 200])[:-3] + b"\x01\x4a\xff", "a listpack entry with a malformed back length"),
        (20, LISTPACK[:-1] + b"\x01", "a packed value that runs over its end"),
        (10, with_byte(ZIPLIST, 0, 99), "a ziplist of 21 bytes that says 99"),
        (10, with_byte(ZIPLIST, 4, 10), "a ziplist whose last entry is at byte 15 and said to be at 10"),
        (10, with_byte(ZIPLIST, 15, 9), "a ziplist entry after one of 5 bytes that says 9"),
        (10, with_byte(ZIPLIST, 11, 0xC1), "a ziplist entry of kind 0xc1"),
        (10, with_byte(ZIPLIST, 16, 0x20), "a packed value that runs over its end"),
        (9, b"\x00\xff", "a zipmap with nothing in it"),
        (9, with_byte(make.zipmap([(b"a", b"b")]), 0, 2), "a zipmap of 2 strings that says 2 pairs"),
        (9, with_byte(make.zipmap([(b"a", b"b")]), 1, 200), "a zipmap string of 200 bytes, beyond the end"),
        (17, make.listpack([b"m", b"much"]), "a score that is not a number: b'much'"),
    ],
)
def test_contradictions_are_refused(kind: int, blob: bytes, why: str) -> None:
    assert refused(kind, blob) == why
