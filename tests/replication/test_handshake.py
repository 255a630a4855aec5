"""Requests and replies before the data, and clients that never ask for any."""

from __future__ import annotations

import tracemalloc

import pytest

from tap.replication import events
from tap.replication.events import Role
from tap.replication.handshake import MAX_SET_UP
from tap.replication.phase import Phase
from tests.replication.talk import (
    PING,
    PSYNC,
    Talk,
    array,
)


def test_an_endless_line_is_located_also_inside_a_reply() -> None:
    for piece in (100_000, 1000):
        talk = Talk().R(b"HELLO 3\r\n")
        data = b"%1\r\n+a\r\n" + b"x" * 80_000
        for begin in range(0, len(data), piece):
            talk.M(data[begin : begin + piece])
        opaque = talk.last()
        assert isinstance(opaque, events.Opaque)
        assert opaque.start == len(b"%1\r\n+a\r\n")


def test_endless_requests_after_psync_are_explained() -> None:
    opaque = Talk().R(PSYNC + PING * MAX_SET_UP).last()
    assert isinstance(opaque, events.Opaque)
    assert opaque.reason == "more than 64 requests before the stream"


def test_an_unasked_error_is_reported() -> None:
    talk = Talk().M(b"-ERR max number of clients reached\r\n").R(PING)
    assert talk.told[0] == events.Handshake(start=0, end=0, request=(), reply="-ERR max number of clients reached")


def test_replies_are_matched_by_count() -> None:
    talk = Talk().R(PING * 3).M(b"+1\r\n+2\r\n").M(b"%1\r\n+a\r\n+b\r\n")
    assert [event.reply for event in talk.told if isinstance(event, events.Handshake)] == ["+1", "+2", "%1"]


def test_an_ordinary_client_is_passed_on_and_reported_as_one() -> None:
    talk = Talk().R(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n")
    assert [event.role for event in talk.told if isinstance(event, events.Identified)] == [Role.ORDINARY]
    talk.R(bytes(100_000)).M(b"+OK\r\n").R(PSYNC)
    assert talk.kinds() == ["identified"]
    assert talk.conversation.phase is Phase.ORDINARY


def test_a_health_check_is_ordinary_at_its_end_and_an_endless_one_before() -> None:
    talk = Talk().R(b"PING\r\n").M(b"+PONG\r\n")
    talk.conversation.close()
    told = talk.last()
    assert isinstance(told, events.Identified)
    assert told.text == "a connection that ended without PSYNC, as a health check"
    endless = Talk()
    for _ in range(MAX_SET_UP + 1):
        endless.R(b"PING\r\n").M(b"+PONG\r\n")
    assert endless.conversation.role is Role.ORDINARY


HALF_A_MEGABYTE = [
    array(b"REPLCONF", b"capa", b"x" * 16_000) * MAX_SET_UP,
    array(b"AUTH", b"u" * 8_000, b"p" * 8_000) * MAX_SET_UP,
    array(b"CLIENT", b"SETNAME", *[b"%02d" % number for number in range(62)]) * MAX_SET_UP,
    (b"REPLCONF capa " + b"x" * 16_000 + b"\n") * MAX_SET_UP,
    (b"REPLCONF" + b" ab" * 5_000 + b"\n") * MAX_SET_UP,
    array(b"REPLCONF", b"listening-port", b"9" * 16_000)[:-2],
]


@pytest.mark.parametrize("requests", HALF_A_MEGABYTE)
def test_unanswered_requests_take_little_memory(requests: bytes) -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        talks = [Talk().R(requests) for _ in range(10)]
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / len(talks) < 64 * 1024


def test_shortened_requests_say_so_and_still_hide_secrets() -> None:
    secret = b"hunter2" * 1000
    talk = Talk().R(array(b"AUTH", secret) * 3).R(array(b"AUTH", b"me", secret)).R(array(b"REPLCONF", *[b"a" * 90] * 4))
    talk.M(b"-ERR no '%s'\r\n-WRONGPASS %s\r\n-ERR '%s'\r\n-ERR\r\n+OK\r\n" % (secret, secret, secret[:99]))
    told = [(event.request, event.reply) for event in talk.told if isinstance(event, events.Handshake)]
    assert told == [
        (("AUTH", "***"), "-ERR no '***'"),
        (("AUTH", "***"), "-WRONGPASS ***"),
        (("AUTH", "***"), "-ERR '***'"),
        (("AUTH", "***", "***"), "-ERR"),
        (("REPLCONF", "a" * 32 + "...", "a" * 32 + "...", "..."), "+OK"),
    ]


def test_a_replica_with_a_long_token_is_reported_in_full() -> None:
    token = b"t" * 5000
    talk = Talk().R(
        PING + array(b"AUTH", b"sync", token) + array(b"REPLCONF", b"listening-port", b"6380", b"capa", b"psync2")
    )
    talk.M(b"+PONG\r\n-WRONGPASS '%s' is wrong\r\n+OK\r\n" % token)
    told = [(event.request, event.reply) for event in talk.told if isinstance(event, events.Handshake)]
    assert told[1:] == [
        (("AUTH", "***", "***"), "-WRONGPASS '***' is wrong"),
        (("REPLCONF", "listening-port", "6380", "capa", "psync2"), "+OK"),
    ]


def test_a_line_of_too_many_words_is_not_a_request_of_a_replica() -> None:
    line = b"%s" + b" k" * 5000 + b"\r\n"
    opaque = Talk().R(line % b"REPLCONF").last()
    assert isinstance(opaque, events.Opaque)
    assert opaque.reason == "a line of more than 64 words"
    assert Talk().R(line % b"MGET").conversation.role is Role.ORDINARY
    talk, data = Talk(), line % b"MGET"
    for at in range(len(data)):
        talk.R(data[at : at + 1])
    assert talk.conversation.role is Role.ORDINARY
