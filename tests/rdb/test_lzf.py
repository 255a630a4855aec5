"""LZF: compressed data expands again, in pieces of any size, and nothing else does."""

from __future__ import annotations

import random

import pytest

from tap.rdb.tokens import ITEM
from tests.rdb import make
from tests.rdb.story import read, uncompiled

TEXTS = [
    b"a",
    b"ab" * 600,
    bytes(random.Random(1).choices(b"abc", k=5000)),
    random.Random(2).randbytes(8192) + bytes(random.Random(2).randbytes(700)),  # as far back as an item can refer
]


def expanded(text: bytes, packed: bytes, step: int, room: int) -> tuple[bytes, bool]:
    """The output, with this many bytes fed at a time, and at most that many put out; and whether all of it was sound."""
    expander = uncompiled("lzf").Expander()
    expander.begin(len(text))
    out = bytearray(len(text))
    i = o = 0
    end = 0
    while i < len(packed):
        end = min(len(packed), end + step)
        if not expander.expand(packed, i, end, out, o, min(len(out), o + room)):
            return bytes(out[:o]), False
        if end == len(packed) and (expander.i, expander.o) == (i, o):
            break
        i, o = expander.i, expander.o
    return bytes(out[:o]), True


@pytest.mark.parametrize("text", TEXTS, ids=len)
@pytest.mark.parametrize(("step", "room"), [(10**6, 10**6), (1, 10**6), (7, 264), (10**6, 264)])
def test_compressed_data_expands_again(text: bytes, step: int, room: int) -> None:
    assert expanded(text, make.lzf(text), step, room) == (text, True)


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_compiled_code_expands_it_too(text: bytes) -> None:
    told = read(make.rdb(9, make.key(0, make.string(b"k"), make.compressed(text))))
    assert [token[1] for token in told.tokens if token[0] == ITEM] == [text]


@pytest.mark.parametrize("step", [1, 1000])
def test_measuring_equals_expanding_without_output(step: int) -> None:
    text = TEXTS[2]
    packed = make.lzf(text)
    expander = uncompiled("lzf").Expander()
    expander.begin(len(text))
    i = 0
    for end in range(step, len(packed) + step, step):
        assert expander.measure(packed, i, min(end, len(packed)))
        i = expander.i
    assert (i, expander.done) == (len(packed), len(text))


@pytest.mark.parametrize(
    ("packed", "size", "came"),
    [
        pytest.param(b"\x00a\x20\x01", 100, b"a", id="before the first byte"),
        pytest.param(b"\x20\x00", 100, b"", id="a copy of nothing"),
        pytest.param(b"\x02abc", 2, b"", id="a run that is longer than the string"),
        pytest.param(b"\x00a\x40\x00", 4, b"a", id="a copy that is longer than the string"),
    ],
)
def test_an_impossible_item_is_refused_at_its_place(packed: bytes, size: int, came: bytes) -> None:
    expander = uncompiled("lzf").Expander()
    expander.begin(size)
    out = bytearray(200)
    assert not expander.expand(packed, 0, len(packed), out, 0, 200)
    assert bytes(out[: expander.o]) == came
    expander.begin(size)
    assert not expander.measure(packed, 0, len(packed))
    assert expander.done == len(came)


@pytest.mark.parametrize("kind", [0, 16, 18, 29])
@pytest.mark.parametrize("size", [2**32, 2**40, 2**62, 2**63, 2**64 - 1])
def test_a_string_that_claims_to_expand_more_than_lzf_can_is_refused(kind: int, size: int) -> None:
    head = {18: make.length(1) + make.length(2), 29: make.length(0)}.get(kind, b"")
    blob = b"\xc3" + make.length(1000) + make.length(size) + bytes(1000)
    found = read(make.rdb(15, make.key(kind, make.string(b"k"), head + blob))).problem
    assert found is not None
    assert found.kind == "damaged"
    assert "claims to expand to" in found.text
