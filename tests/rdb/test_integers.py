"""Numbers as RDBs write them: functions that other modules use in C, tested uncompiled."""

from __future__ import annotations

import pytest

from tap.rdb.integers import is_score
from tests.rdb import make
from tests.rdb.story import uncompiled

integers = uncompiled("integers")
BYTES = bytes([0xFE, 0x80, 0x01, 0x7F, 0xFF, 0x00, 0x81, 0x92, 0xA3])


@pytest.mark.parametrize("i", [0, 1])
def test_numbers_are_read_in_place(i: int) -> None:
    assert integers.u16(BYTES, i) == int.from_bytes(BYTES[i : i + 2], "little")
    assert integers.u32(BYTES, i) == int.from_bytes(BYTES[i : i + 4], "little")
    assert integers.i64(BYTES, i) == int.from_bytes(BYTES[i : i + 8], "little", signed=True)
    assert integers.big32(BYTES, i) == int.from_bytes(BYTES[i : i + 4], "big")
    assert integers.big64(BYTES, i) == int.from_bytes(BYTES[i : i + 8], "big", signed=True)


@pytest.mark.parametrize(
    ("bits", "value"), [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, -(2**63)), (2**64 - 1, -1), (2**63 + 5, 5 - 2**63)]
)
def test_64_bits_are_a_signed_number(bits: int, value: int) -> None:
    assert integers.as_signed(bits) == value


@pytest.mark.parametrize(("bits", "value"), [(2**31 - 1, 2**31 - 1), (2**31, -(2**31)), (2**32 - 1, -1)])
def test_32_bits_are_a_signed_number(bits: int, value: int) -> None:
    assert integers.i64_of_i32(bits) == value


@pytest.mark.parametrize("size", [1, 127, 128, 16382, 16383, 2097150, 2097151, 268435454, 268435455, 2**32])
def test_a_back_length_is_as_long_as_redis_writes_it(size: int) -> None:
    assert integers.back_length(size) == len(make.back_length(size))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (b"0", True), (b"7", True), (b"-7", True), (b"9223372036854775807", True), (b"-9223372036854775808", True),
        (b"", False), (b"-", False), (b"-0", False), (b"007", False), (b"+7", False), (b"7 ", False), (b"1_0", False),
        (b"9223372036854775808", False), (b"-9223372036854775809", False), (b"1e3", False), (b"1" * 30, False),
    ],
)  # fmt: skip
def test_an_integer_is_the_text_that_a_server_would_write(text: bytes, is_one: bool) -> None:
    assert integers.is_integer(b"ab" + text + b"9", 2, 2 + len(text)) is is_one


@pytest.mark.parametrize("text", [b"0", b"-1.5", b"1e300", b"inf", b"-inf", b"17"])
def test_a_score_is_any_number(text: bytes) -> None:
    assert is_score(text)


@pytest.mark.parametrize("text", [b"", b"nan", b"-nan", b"1.5x", b"one", b"\xff"])
def test_a_score_is_never_anything_else(text: bytes) -> None:
    assert not is_score(text)
