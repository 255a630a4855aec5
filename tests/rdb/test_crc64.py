"""The checksum of an RDB: its published check value, for any split of the bytes."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tap.rdb.crc64 import Crc64


def test_the_check_string_has_its_checksum() -> None:
    crc = Crc64()
    crc.feed(b"123456789")
    assert crc.value == 0xE9C6D914C4B8D9CA


@given(st.integers(0, 2**32), st.lists(st.integers(0, 40_000), max_size=4))
def test_the_checksum_equals_that_of_single_bytes(seed: int, sizes: list[int]) -> None:
    rng = random.Random(seed)
    whole, in_pieces = Crc64(), Crc64()
    for data in (rng.randbytes(size) for size in sizes):
        in_pieces.feed(data)
        for number in range(len(data)):
            whole.feed(data[number : number + 1])
    assert in_pieces.value == whole.value
