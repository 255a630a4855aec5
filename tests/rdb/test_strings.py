"""Lengths and strings in every form, short and in pieces, and the refused ones."""

from __future__ import annotations

import pytest

from tap.rdb.tokens import INTEGER, ITEM, KEY
from tests.rdb import make
from tests.rdb.story import Token, read

LONG = b"0123456789abcdef" * 5000  # more than passes in one piece


def told(value: bytes) -> Token:
    """The token of a key's string, the same in one piece and byte by byte."""
    data = make.rdb(9, make.key(0, make.string(b"k"), value))
    whole = read(data)
    assert whole.problem is None
    assert read(data, [1] * len(data)) == whole
    [token] = [token for token in whole.tokens if token[0] in (ITEM, INTEGER)]
    return token


def refused(value: bytes, size: int | None = None) -> str:
    data = make.rdb(9, make.key(0, make.string(b"k"), value))
    problem = read(data, size=size).problem
    assert problem is not None
    assert (problem.kind, problem.position, problem.key) == ("damaged", 12, b"k")
    assert read(data, values=False, size=size).problem == problem
    return problem.text


@pytest.mark.parametrize("text", [b"", b"x" * 63, b"x" * 64, b"x" * 16_383, b"x" * 16_384, LONG], ids=len)
def test_a_string_of_each_form_of_length_is_read(text: bytes) -> None:
    assert told(make.string(text)) == (ITEM, text)


@pytest.mark.parametrize("size", [2, 5, 9])
def test_a_length_may_take_more_bytes_than_it_needs(size: int) -> None:
    assert told(make.length(3, size) + b"abc") == (ITEM, b"abc")


@pytest.mark.parametrize("number", [0, -1, 127, -128, 128, -129, 2**15 - 1, -(2**15), 2**15, 2**31 - 1, -(2**31)])
def test_a_string_written_as_a_number_is_read(number: int) -> None:
    assert told(make.decimal(number)) == (INTEGER, number)


@pytest.mark.parametrize("text", [b"a" * 20, LONG], ids=len)
def test_a_compressed_string_is_read(text: bytes) -> None:
    assert told(make.compressed(text)) == (ITEM, text)


def test_a_key_may_be_written_in_each_form() -> None:
    names = [make.string(b"k"), make.decimal(-7), make.compressed(b"z" * 100)]
    told = read(make.rdb(9, *(make.key(0, name, make.string(b"")) for name in names)))
    assert [token[3] for token in told.tokens if token[0] == KEY] == [b"k", b"-7", b"z" * 100]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"\x82", "byte 0x82 where a length was expected"),
        (b"\xc4", "byte 0xc4 where a string was expected"),
        (b"\xc3\x02\x05\x00a", "a compressed string that does not expand to its size"),
        (b"\xc3\x02\x01\x01a", "a compressed string that does not expand to its size"),
        (make.length(2**64 - 1), f"a string of {2**64 - 1} bytes, for which there is no room"),
        (make.length(2**40 + 1), f"a string of {2**40 + 1} bytes, for which there is no room"),
    ],
)
def test_a_fault_in_a_string_is_reported_at_its_first_byte(value: bytes, why: str) -> None:
    assert refused(value) == why


def test_no_string_is_longer_than_the_rest_of_the_file() -> None:
    value = make.length(9) + b"x" * 9
    whole = len(make.rdb(9, make.key(0, make.string(b"k"), value)))
    after = whole - 9 - 13  # what follows the head of the string
    assert after == 9
    assert read(make.rdb(9, make.key(0, make.string(b"k"), value)), size=whole).problem is None
    assert refused(make.length(19) + b"x" * 9, size=whole) == "a string of 19 bytes, for which there is no room"


def test_no_count_exceeds_the_number_of_bytes_left() -> None:
    data = make.rdb(9, make.key(1, make.string(b"k"), make.length(1000) + make.string(b"x")))
    found = read(data, size=len(data)).problem
    assert found is not None
    assert (found.kind, found.text) == ("damaged", "a count of 1000, for which there is no room")
    found = read(make.rdb(9, make.key(1, make.string(b"k"), make.length(-1)))).problem
    assert found is not None
    assert found.text == f"a count of {2**64 - 1}, for which there is no room"
