"""The parts of JSON lines: any byte string, numbers of arrays, long texts, groups."""

from __future__ import annotations

import io
import json

import pytest

from tap.rdb.json_parts import SPOOL_PIECE, Groups, array_number, encoded, is_printable, long_text, stream_id
from tap.rdb.tokens import CONSUMER, GROUP, NONE, OWNED, PENDING


@pytest.mark.parametrize(
    ("number", "text"),
    # Each was loaded by a Redis 8.8 from an RDB, and read with ARGET.
    [
        (1.5, "1.5"), (-3.0, "-3.0"), (0.0, "0.0"), (-0.0, "-0.0"), (1e-05, "0.00001"), (1.2345678e-4, "1.2345678e-4"),
        (1e16, "10000000000000000.0"), (2.0**62, "4611686018427387904.0"), (1e22, "1e+22"), (1e300, "1e+300"),
        (123456.789, "123456.789"), (3.13328220795e18, "3133282207950000128.0"),
    ],
)  # fmt: skip
def test_a_number_of_an_array_is_the_text_that_a_server_answers(number: float, text: str) -> None:
    assert array_number(number) == text.encode()


TEXTS = [b"", b"a", b'say "hi"', "é".encode(), b"\n", b"\xff", b"\xc3", "\N{RIGHT-TO-LEFT OVERRIDE}".encode()]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("before", [0, 1, SPOOL_PIECE - 1, 2 * SPOOL_PIECE])
def test_a_text_in_pieces_equals_that_in_one(text: bytes, before: int) -> None:
    whole = b"x" * before + text
    file = io.BytesIO(whole)
    assert b"".join(long_text(file)) == encoded(whole)
    assert is_printable(file) is isinstance(json.loads(encoded(whole)), str)


def test_an_id_has_unsigned_numbers() -> None:
    assert stream_id(0, 5) == "0-5"
    assert stream_id(-1, -(2**63)) == f"{2**64 - 1}-{2**63}"


def test_the_owner_of_a_pending_entry_comes_after_it_and_is_written_with_it() -> None:
    groups = Groups(7, [7, 9, 1, NONE, 0, 0, 0, 0])
    groups.take(GROUP, [9, 1, NONE], b"g")
    for seq in (0, 1, -1):  # the last is the largest
        groups.take(PENDING, [5, seq, 1000, 2], b"")
    groups.take(CONSUMER, [1, NONE], b"alice")
    groups.take(OWNED, [5, -1], b"")
    groups.take(CONSUMER, [2, 3], b"\xff")
    groups.take(OWNED, [5, 0], b"")
    groups.take(OWNED, [6, 6], b"")  # pending without an owner
    groups.take(GROUP, [0, 0, -1], b"h")
    said = json.loads('{"entries":[]' + "".join(groups.texts()))
    first, second = said["groups"]
    assert said["last_id"] == "9-1"
    assert "first_id" not in said
    assert [(one["id"], one["consumer"]) for one in first["pel"]] == [
        ("5-0", {"b64": "/w=="}),
        ("5-1", None),
        (f"5-{2**64 - 1}", "alice"),
    ]
    assert [(one["name"], one.get("active_time_ms"), one["pel"]) for one in first["consumers"]] == [
        ("alice", None, [f"5-{2**64 - 1}"]),
        ({"b64": "/w=="}, 3, ["5-0", "6-6"]),
    ]
    assert "entries_read" not in first
    assert second == {"name": "h", "last_id": "0-0", "entries_read": None, "pel": [], "consumers": []}
