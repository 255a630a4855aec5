"""The hash, beside the vectors of its authors, and in pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tap.operate.comparison.siphash import siphash

KEY = bytes(range(16))
# vectors_sip128 of the reference implementation: of the input 00, 01, 02 ... of so many bytes.
VECTORS = {
    0: "a3817f04ba25a8e66df67214c7550293",
    1: "da87c1d86b99af44347659119b22fc45",
    2: "8177228da4a45dc7fca38bdef60affe4",
    7: "a1f1ebbed8dbc153c0b84aa61ff08239",
    8: "3b62a9ba6258f5610f83e264f31497b4",
    14: "31fcefac66d7de9c7ec7485fe4494902",
    15: "5493e99933b0a8117e08ec0f97cfc3d9",
}


def test_the_hash_is_that_of_its_authors() -> None:
    for size, digest in VECTORS.items():
        assert siphash(KEY, bytes(range(size))).hex() == digest


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_the_hash_does_not_depend_on_the_pieces(pieces: list[bytes]) -> None:
    assert siphash(KEY, *pieces) == siphash(KEY, b"".join(pieces))


def test_another_key_gives_another_hash() -> None:
    assert siphash(KEY, b"a") != siphash(bytes(16), b"a")
