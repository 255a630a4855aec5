"""Acknowledgements read in one go are those that the reader of all requests finds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap.replication import acks
from tap.replication.requests import Request, RequestReader
from tests.relay.wire import command
from tests.support import uncompiled

KINDS = pytest.mark.parametrize(
    "module", [acks, uncompiled("tap/replication/acks.py")], ids=["as installed", "uncompiled"]
)

NUMBERS = st.integers(0, 10**18 - 1).map(str)
ACKS = NUMBERS.map(lambda offset: command("REPLCONF", "ACK", offset)) | st.tuples(NUMBERS, NUMBERS).map(
    lambda both: command("REPLCONF", "ACK", both[0], "FACK", both[1])
)
NEARLY = st.sampled_from(
    [
        b"\n",
        command("REPLCONF", "GETACK", "*"),
        command("REPLCONF", "ACK"),
        command("REPLCONF", "ACK", "-1"),
        command("REPLCONF", "ACK", "12x"),
        command("REPLCONF", "ACK", "1", "FACK", "x"),
        command("AUTH", "secret"),
        b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n123\r\n",
        b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$0:\r\n1234567890\r\n",
        b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1",
        b"*5\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n1\r\n",
        b"*5\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n1\r\n$4\r\nFACK\r\n",
    ]
)


def read(data: bytes) -> list[tuple[int, int | None]] | None:
    """What the data acknowledge; None if that is not all that they say."""
    reader = RequestReader()
    reader.feed(data)
    found: list[tuple[int, int | None]] = []
    while (item := reader.next()) is not None:
        words = item.args[:2] if isinstance(item, Request) else ()
        if words != (b"REPLCONF", b"ACK"):
            return None
        assert isinstance(item, Request)
        numbers = item.args[2:3] + item.args[4:5]
        if len(item.args) not in (3, 5) or not all(number.isdigit() for number in numbers):
            return None
        found.append((int(item.args[2]), int(item.args[4]) if len(item.args) == 5 else None))
    return found if found and reader.position == len(data) else None


@KINDS
@given(st.lists(ACKS | NEARLY, max_size=3).map(b"".join), st.integers(0, 3))
@example(command("REPLCONF", "ACK", "0"), 0)
@example(command("REPLCONF", "ACK", "9" * 18, "FACK", "9" * 18), 0)
@example(command("REPLCONF", "ACK") + b"$%s1\r\n5\r\n" % (b"0" * 30), 0)
def test_they_are_those_of_the_reader_of_requests(module: Any, data: bytes, missing: int) -> None:
    data = data[: len(data) - missing]
    found = read(data)
    assert module.are_acknowledgements(data) == (found is not None)
    assert module.acknowledged(data) == (found[0] if found is not None and len(found) == 1 else None)
    assert module.acknowledged(memoryview(bytearray(data))) == module.acknowledged(data)


@KINDS
def test_numbers_beyond_64_bits_are_left_to_the_reader_of_requests(module: Any) -> None:
    assert module.acknowledged(command("REPLCONF", "ACK", "9" * 19)) is None
    assert not module.are_acknowledgements(command("REPLCONF", "ACK", "1" * 120))


@KINDS
@given(st.binary(max_size=40), st.integers(0, 60))
def test_no_bytes_make_it_raise_or_read_on(module: Any, noise: bytes, kept: int) -> None:
    ack = command("REPLCONF", "ACK", "12345")
    data = ack[:kept] + noise
    assert module.acknowledged(data) in (None, (12345, None)) or len(noise) > 3
    module.are_acknowledgements(data)
