"""The fast path finds the same acknowledgements as the reader of all requests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap.replication import acks
from tap.replication.conversation import Conversation
from tap.replication.events import Event
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
    """What the data acknowledge; None if they hold anything else."""
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
def test_acknowledgements_are_those_of_the_reader_of_requests(module: Any, data: bytes, missing: int) -> None:
    data = data[: len(data) - missing]
    found = read(data)
    assert module.are_acknowledgements(data) == (found is not None)
    assert module.acknowledged(data) == (found[0] if found is not None and len(found) == 1 else None)
    assert module.acknowledged(memoryview(bytearray(data))) == module.acknowledged(data)


@KINDS
@given(st.lists(ACKS | st.just(b"\n"), max_size=5), NEARLY | st.just(b""), st.integers(0, 3), st.booleans())
def test_acknowledgements_at_the_front_are_read_and_not_a_byte_more(
    module: Any, whole: list[bytes], behind: bytes, missing: int, skips_newlines: bool
) -> None:
    rest = behind[: len(behind) - missing]
    data = b"".join(whole) + rest
    found, end = module.acknowledgements(data, skips_newlines)
    expected, at = [], 0
    for one in whole:
        if one != b"\n":
            expected.append((*(read(one) or [])[0], at, at + len(one)))
        elif not skips_newlines:
            break
        at += len(one)
    if at == len(data) - len(rest) and rest == b"\n" * len(rest) and skips_newlines:
        at = len(data)
    assert (found, end) == (expected, at)


@given(st.lists(ACKS | NEARLY, max_size=6).map(b"".join), st.integers(1, 50), st.booleans())
def test_a_conversation_reports_the_same_for_any_split(data: bytes, size: int, has_kept_alive: bool) -> None:
    data = b"\n" * has_kept_alive + data

    def told(size: int) -> list[Event]:
        heard: list[Event] = []
        conversation = Conversation(heard.append)
        conversation.receive_from_replica(b"PSYNC " + b"0" * 40 + b" 1\r\n")
        conversation.receive_from_master(b"+CONTINUE\r\n*1\r\n$4\r\nPING\r\n")
        for begin in range(0, len(data), size):
            conversation.receive_from_replica(data[begin : begin + size])
        conversation.close()
        return heard

    assert told(size) == told(1) == told(2**20)


@KINDS
def test_numbers_beyond_64_bits_are_left_to_the_reader_of_requests(module: Any) -> None:
    assert module.acknowledged(command("REPLCONF", "ACK", "9" * 19)) is None
    assert not module.are_acknowledgements(command("REPLCONF", "ACK", "1" * 120))


@KINDS
@given(st.binary(max_size=40), st.integers(0, 60))
def test_no_bytes_raise_an_exception_or_are_read_beyond(module: Any, noise: bytes, kept: int) -> None:
    ack = command("REPLCONF", "ACK", "12345")
    data = ack[:kept] + noise
    assert module.acknowledged(data) in (None, (12345, None)) or len(noise) > 3
    module.are_acknowledgements(data)


@KINDS
@pytest.mark.parametrize("broken", range(len("$5\r\n12345\r\n")))
def test_an_offset_in_a_broken_frame_does_not_count(module: Any, broken: int) -> None:
    head, number = b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n", bytearray(b"$5\r\n12345\r\n")
    assert module.acknowledged(head + bytes(number)) == (12345, None)
    number[broken] = 0x78
    assert module.acknowledged(head + bytes(number)) is None
    assert not module.are_acknowledgements(head + bytes(number))
