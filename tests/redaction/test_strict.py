"""What `--redact` leaves of requests and replies: the same byte by byte, for any split."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.redaction.strict import ReplyMasker, StrictMasker
from tests.relay.wire import command

ACK = command("REPLCONF", "ACK", "1234")
REQUESTS = [
    (command("PING"), command("PING")),
    (command("PING", "data"), command("PING", "****")),
    (command("REPLCONF", "listening-port", "6380"), command("REPLCONF", "listening-port", "6380")),
    (command("psync", "?", "-1"), command("psync", "?", "-1")),
    (command("SYNC"), command("SYNC")),
    (command("CLIENT", "SETNAME", "me"), command("CLIENT", "SETNAME", "me")),
    (command("SELECT", "3"), command("SELECT", "3")),
    (command("AUTH", "user", "pw"), command("AUTH", "****", "**")),
    (command("HELLO", "3", "AUTH", "u", "pw"), command("HELLO", "3", "****", "*", "**")),
    (command("GET", "key"), command("***", "***")),
    (command("SET", "k\r\ny", ""), command("SE*", "****", "")),
    (command("SYNCED", "x"), command("SYNC**", "*")),
    (command("", "x"), command("", "*")),
    (b"PING\r\n", b"PING\r\n"),
    (b"  psync ? -1\r\n", b"  psync ? -1\r\n"),
    (b"AUTH pw x\n", b"AUTH ** *\n"),
    (b"HELLO 3 AUTH u pw\n", b"HELLO 3 **** * **\n"),
    (b"get a\n", b"x** *\n"),
    (b"+OK\r\n", b"+**\r\n"),
    (b"-ERR x\r\n", b"-*** *\r\n"),
    (b":12\r\n", b":**\r\n"),
    (b"\n\n", b"\n\n"),
    (ACK, ACK),
    (ACK * 2, ACK * 2),
]


def masked(data: bytes, places: list[int]) -> bytes:
    masker = StrictMasker()
    out = b"".join(masker.mask(data[a:b]) for a, b in itertools.pairwise(sorted({0, len(data), *places})))
    assert masker.is_between_requests
    return out


@pytest.mark.parametrize(("said", "left"), REQUESTS, ids=lambda one: repr(one)[:40])
def test_a_request_remains_as_far_as_replication_needs_it(said: bytes, left: bytes) -> None:
    around = command("REPLCONF", "capa", "eof")
    data, expected = around + said + around, around + left + around
    assert masked(data, []) == expected
    assert masked(data, list(range(len(data)))) == expected
    for cut in range(len(data)):
        assert masked(data, [cut]) == expected, cut


@given(st.lists(st.sampled_from(REQUESTS), max_size=6), st.lists(st.integers(0, 400), max_size=10))
def test_requests_follow_one_another(said: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    data = b"".join(one for one, _ in said)
    assert masked(data, [cut for cut in cuts if cut < len(data)]) == b"".join(left for _, left in said)


def test_anything_but_a_number_in_a_heading_becomes_asterisks() -> None:
    assert StrictMasker().mask(b"*secret\r\n") == b"*******\r\n"
    assert StrictMasker().mask(b"*1\r\n$sec7ret\r\n") == b"*1\r\n$***7***\r\n"


@pytest.mark.parametrize("line", [b" ", b"\t  "])
def test_a_line_may_begin_with_blanks(line: bytes) -> None:
    """After any request, whole or truncated."""
    for before in (b"", b"GET a\r\n", b"GET a \r\n", command("GET", "a")):
        masker = StrictMasker()
        masker.mask(before)
        assert masker.mask(line + b"psync ? -1\r\n" + b"psync ? -1\r\n") == line + b"psync ? -1\r\n" * 2


@pytest.mark.parametrize(
    "nonsense",
    [head + b"\r\nGET a\r\n" for head in (b"*x", b"*" + b"1" * 40, b"*1\r\n:5", b"*" + b"1" * 13)],
)
def test_after_nonsense_no_data_shows(nonsense: bytes) -> None:
    for size in (1, 1000):
        masker = StrictMasker()
        out = b"".join(masker.mask(nonsense[at : at + size]) for at in range(0, len(nonsense), size))
        assert len(out) == len(nonsense)
        assert b"GET" not in out
        assert b" a" not in out


def test_after_unseen_bytes_only_acknowledgements_show() -> None:
    masker = StrictMasker()
    masker.mask(command("GET", "a")[:10])
    masker.lost()
    assert not masker.is_between_requests
    assert masker.mask(b"secret" + ACK) == b"*" * (6 + len(ACK))
    assert masker.mask(ACK * 2) == ACK * 2
    assert masker.is_between_requests
    assert masker.mask(command("GET", "a")) == command("***", "*")


REPLIES = [
    (b"+PONG\r\n", b"+PONG\r\n"),
    (b"$5\r\nhello\r\n", b"$5\r\n*****\r\n"),
    (b"$0\r\n\r\n", b"$0\r\n\r\n"),
    (b"$-1\r\n", b"$-1\r\n"),
    (b"=5\r\nhello\r\n", b"=5\r\n*****\r\n"),
    (b"!5\r\nhello\r\n", b"!5\r\n*****\r\n"),
    (b"*2\r\n:1\r\n$2\r\nab\r\n", b"*2\r\n:1\r\n$2\r\n**\r\n"),
    (b"-ERR unknown 'secret' it is\r\n", b"-ERR unknown '*************\r\n"),
    (b"-ERR unknown `secret`\r\n", b"-ERR unknown `*******\r\n"),
    (b"-LOADING now\r\n", b"-LOADING now\r\n"),
    (b"data\r\n", b"******"),
    (b"\n", b"\n"),
    (b"_\r\n", b"_\r\n"),
]


@pytest.mark.parametrize(("said", "left"), REPLIES, ids=lambda one: repr(one)[:40])
def test_the_lines_of_a_reply_remain(said: bytes, left: bytes) -> None:
    data, expected = b"+OK\r\n" + said + b"+OK\r\n", b"+OK\r\n" + left + b"+OK\r\n"
    for cut in range(len(data) + 1):
        masker = ReplyMasker()
        assert masker.mask(data[:cut]) + masker.mask(data[cut:]) == expected, cut
    masker = ReplyMasker()
    assert b"".join(masker.mask(data[at : at + 1]) for at in range(len(data))) == expected


def test_a_count_has_twelve_digits_at_most() -> None:
    """Behind more, a line is read; behind that many, a word of the array is expected."""
    for digits, left in ((12, b"*" * 9 + b"1"), (13, b"PSYNC ? -1")):
        head = b"*" + b"1" * digits + b"\r\n"
        assert StrictMasker().mask(head + b"PSYNC ? -1\r\n") == head + left + b"\r\n"
