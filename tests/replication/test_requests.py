"""Requests at their limits: the longest word, line and array, what is kept of them, and incomplete ones."""

from __future__ import annotations

import pytest

from tap.replication.requests import (
    CUT,
    MAX_ARGUMENTS,
    MAX_REQUEST,
    SHORT_WORD,
    SHORT_WORDS,
    WORD_BYTES,
    Newlines,
    Nonsense,
    Request,
    RequestReader,
    masked,
)
from tests.relay.wire import command


def read(data: bytes, *, lenient: bool = False) -> Request | Newlines | Nonsense | None:
    readers = []
    for size in (len(data), 1):
        reader = RequestReader(is_lenient=lenient)
        found = None
        for at in range(0, len(data), size):
            reader.feed(data[at : at + size])
            found = found or reader.next()
        readers.append(found)
    assert readers[0] == readers[1]
    return readers[0]


def test_a_request_has_a_maximum_length() -> None:
    frame = len(command("SET", "k", b"")) + len("16000") - 1
    value = b"v" * (MAX_REQUEST - frame)
    whole = command("SET", "k", value)
    assert len(whole) == MAX_REQUEST
    assert read(whole) == Request((b"SET", b"k", value), 0, MAX_REQUEST, inline=False)
    longer = read(command("SET", "k", value + b"v"))
    assert isinstance(longer, Nonsense)
    assert longer.why == f"a request of more than {MAX_REQUEST} bytes"


def test_a_line_has_a_maximum_length() -> None:
    for end in (b"\n", b"\r\n"):
        line = b"x" * (MAX_REQUEST - len(end)) + end
        assert isinstance(read(line), Request)
        assert isinstance(read(b"x" + line), Nonsense)


@pytest.mark.parametrize("count", [MAX_ARGUMENTS, MAX_ARGUMENTS + 1])
def test_the_number_of_words_is_limited(count: int) -> None:
    for data in (command(*["a"] * count), b" ".join([b"a"] * count) + b"\n"):
        found = read(data)
        if count == MAX_ARGUMENTS:
            assert isinstance(found, Request)
            assert len(found.args) == count
        else:
            assert isinstance(found, Nonsense)
            assert str(MAX_ARGUMENTS) in found.why
    lenient = read(b" ".join([b"a"] * count) + b"\n", lenient=True)
    assert isinstance(lenient, Request)
    assert len(lenient.args) == count


def test_a_request_knows_its_position() -> None:
    reader = RequestReader()
    reader.skip(100)
    reader.feed(b"PING\r\n\n\n" + command("GET", "a") + b"GE")
    found = [reader.next() for _ in range(4)]
    assert [(one.start, one.end) for one in found if isinstance(one, (Request, Newlines))] == [
        (100, 106),
        (106, 108),
        (108, 108 + len(command("GET", "a"))),
    ]
    assert found[3] is None
    assert reader.position == 108 + len(command("GET", "a"))
    assert reader.rest == b"GE"


def test_newlines_say_whether_others_preceded_them() -> None:
    reader = RequestReader()
    reader.feed(b"\n\n")
    first = reader.next()
    reader.feed(b"\n")
    second = reader.next()
    reader.feed(b"PING\n\n")
    reader.next()
    third = reader.next()
    assert [one.again for one in (first, second, third) if isinstance(one, Newlines)] == [False, True, False]
    reader.skip(5)
    reader.feed(b"\n")
    fourth = reader.next()
    assert isinstance(fourth, Newlines)
    assert not fourth.again


@pytest.mark.parametrize(
    ("data", "limit", "words"),
    [
        (b"", 3, ()),
        (b"*3", 3, ()),
        (b"*3\r\n", 3, ()),
        (b"*3\r\n$3\r\nset\r\n", 3, (b"SET",)),
        (b"*3\r\n$3\r\nset", 3, (b"SET",)),
        (b"*3\r\n$3\r\nse", 3, ()),
        (b"*3\r\n$3\r\nset\r\n$1\r\na\r\n$1", 3, (b"SET", b"A")),
        (b"*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\nb\r\n", 2, (b"SET", b"A")),
        (b"*3\r\n$999\r\n" + b"x" * 999, 3, (b"X" * 999,)),
        (b"*3\r\n$1000\r\n" + b"x" * 1000, 3, ()),
        (b"*3\r\n$x\r\nset\r\n", 3, ()),
        (b"get a b c\n", 2, (b"GET", b"A")),
        (b"get a", 2, ()),
    ],
)
def test_the_first_words_of_an_incomplete_request_are_known(data: bytes, limit: int, words: tuple[bytes, ...]) -> None:
    reader = RequestReader()
    reader.feed(data)
    assert reader.words_so_far(limit) == words


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"*1\r\n$3\r\nPINGxx", "an argument that is longer than its length says"),
        (b"*1\r\n:3\r\n", "byte 0x3a where an argument's $ was expected"),
        (b"*1\r\n$" + b"1" * 30, "a length that never ends"),
        (b"*1\n$3\r\n", "a length that is not a number"),
        (b"*1x\r\n", "a length that is not a number"),
        (b"*1\r\n$16385\r\n", "a length of 16385, of 16384 at the most"),
        (b"*2147483648\r\n", "a length of 2147483648, of 2147483647 at the most"),
        (b"ab\x7f\n", "byte 0x7f in an inline request"),
        (b"ab\x00", "byte 0x00 in an inline request"),
    ],
)
def test_nonsense_is_not_a_request(data: bytes, why: str) -> None:
    assert read(data) == Nonsense(0, why)


def test_the_largest_count_that_a_server_accepts_is_not_nonsense() -> None:
    assert read(b"*2147483647\r\n$4\r\nMSET\r\n") is None


def test_a_lenient_reader_takes_other_bytes_for_text() -> None:
    found = read(b"\xff\x00 b\n", lenient=True)
    assert isinstance(found, Request)
    assert found.args == (b"\xff\x00", b"b")
    assert isinstance(read(b"\x16\x03\x01 b\n", lenient=True), Request)


# ---- shortening ----


def request(*words: bytes, sent: tuple[bytes, ...] | None = None) -> Request:
    return Request(words, 0, 10, inline=False, sent=sent)


def test_a_request_that_waits_long_keeps_its_beginning_without_secrets() -> None:
    short = request(b"SET", b"x" * SHORT_WORD, b"y" * (SHORT_WORD + 1)).shortened()
    assert short.args == (b"SET", b"x" * SHORT_WORD, b"y" * SHORT_WORD + CUT)
    assert short.is_short
    assert short.sent is None
    more = request(*[b"a"] * (SHORT_WORDS + 1), sent=(b"REPLCONF", b"capa")).shortened()
    assert more.args == (b"a",) * SHORT_WORDS + (CUT,)
    assert more.sent == (b"REPLCONF", b"capa")
    assert request(b"AUTH", b"hunter2").shortened().args == (b"AUTH", b"***")
    assert request(b"a", b"b").shortened().name == b"A"


def test_the_memory_of_a_request_is_estimated() -> None:
    assert request(b"SET", b"key").memory == 6 + 2 * WORD_BYTES
    assert request(b"SET", b"key", sent=(b"GET",)).memory == 9 + 3 * WORD_BYTES


def test_words_become_text() -> None:
    assert masked(request(b"SET", b"a\\b", b"\x00")) == ("SET", "a\\b", "\\x00")
