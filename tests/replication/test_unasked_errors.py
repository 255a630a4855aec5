"""Errors of a master without a request: reported once, then counted."""

from __future__ import annotations

import pytest

from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event
from tap.replication.replies import MAX_LINE

LINES = [b"-ERR number %d\r\n" % number for number in range(1, 1235)]


def told(data: bytes, size: int, *, close: bool = True) -> list[Event]:
    """The events of a connection whose master sends the data in pieces of that size."""
    heard: list[Event] = []
    conversation = Conversation(heard.append)
    for begin in range(0, len(data), size):
        conversation.receive_from_master(data[begin : begin + size])
    if close:
        conversation.close()
    return heard


def error(reply: str, count: int = 1) -> events.Handshake:
    return events.Handshake(start=0, end=0, request=(), reply=reply, count=count)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 17, 1000, 2**20])
def test_errors_are_reported_with_the_1st_10th_and_100th_and_at_the_end(size: int) -> None:
    assert told(b"".join(LINES), size) == [
        error("-ERR number 1"),
        error("-ERR number 10", 9),
        error("-ERR number 100", 90),
        error("-ERR number 1000", 900),
        error("-ERR number 1234", 234),
    ]


def test_a_single_error_is_reported_at_once_and_not_again_at_the_end() -> None:
    assert told(LINES[0], 100, close=False) == told(LINES[0], 100) == [error("-ERR number 1")]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_anything_but_an_error_ends_the_reading_where_it_begins(size: int) -> None:
    lines = b"".join(LINES[:12])
    heard = told(lines + b"+OK\r\n" + LINES[0], size)
    assert heard[:2] == [error("-ERR number 1"), error("-ERR number 10", 9)]
    (opaque,) = [event for event in heard if isinstance(event, events.Opaque)]
    assert opaque.start == len(lines)
    assert heard[-1] == error("-ERR number 12", 2)


@pytest.mark.parametrize("size", [1000, 2**20])
def test_an_endless_line_ends_the_reading_however_it_comes(size: int) -> None:
    heard = told(LINES[0] + b"-" + bytes(MAX_LINE) + b"\n" + LINES[1], size)
    assert heard[0] == error("-ERR number 1")
    assert [event.start for event in heard[1:] if isinstance(event, events.Opaque)] == [len(LINES[0])]


def test_the_shortest_errors_are_counted_too() -> None:
    assert told(b"-\n" * 131_072, 2**18)[-1] == error("-", 31_072)


@pytest.mark.parametrize("size", [1, 3, 2**20])
def test_replies_after_them_are_still_matched(size: int) -> None:
    heard: list[Event] = []
    conversation = Conversation(heard.append)
    data = b"".join(LINES[:3])
    for begin in range(0, len(data), size):
        conversation.receive_from_master(data[begin : begin + size])
    conversation.receive_from_replica(b"PING\r\n")
    conversation.receive_from_master(b"-NOAUTH\r\n" + LINES[3])
    assert heard == [error("-ERR number 1"), events.Handshake(start=0, end=6, request=("PING",), reply="-NOAUTH")]
    conversation.close()
    assert heard[2] == error("-ERR number 4", 3)
