"""Where replies end, in either protocol, and lines that never do."""

from __future__ import annotations

import pytest

from tap.replication.replies import MAX_LINE, LineReader, LineTooLong, ReplyReader


@pytest.mark.parametrize(
    ("reply", "first"),
    [
        (b"~2\r\n+a\r\n+b\r\n", b"~2"),
        (b">2\r\n+a\r\n+b\r\n", b">2"),
        (b"*2\r\n+a\r\n$1\r\nb\r\n", b"*2"),
        (b"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", b"%2"),
        (b"|1\r\n+ttl\r\n:1\r\n+reply\r\n", b"|1"),
        (b"=7\r\ntxt:a\nb\r\n", b"=7"),
        (b"!5\r\nERR x\r\n", b"!5"),
        (b"$0\r\n\r\n", b"$0"),
        (b"*2\r\n~1\r\n+a\r\n%1\r\n+k\r\n*0\r\n", b"*2"),
        (b"*x\r\n", b"*x"),  # not a count: a line like any other
        (b"*" + b"1" * 15 + b"\r\n", b"*" + b"1" * 15),
        (b"\r\n", b""),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_reply_ends_with_its_last_element(reply: bytes, first: bytes, size: int) -> None:
    reader = ReplyReader()
    data, ends = reply + b"+next\r\n", []
    for begin in range(0, len(data), size):
        piece, at = data[begin : begin + size], 0
        while at < len(piece):
            at, line = reader.feed(piece, at)
            if line is not None:
                ends.append((begin + at, line))
    assert ends == [(len(reply), first), (len(data), b"+next")]


def test_the_received_part_of_an_incomplete_reply_is_known() -> None:
    reader = ReplyReader()
    assert reader.unfinished == (1, 0, b"")
    reader.feed(b"*3\r\n$10\r\nab", 0)
    assert reader.unfinished == (2, 10, b"")
    reader.feed(b"cdefghij\r\n$1", 0)
    assert reader.unfinished == (2, 0, b"$1")
    assert reader.feed(b"\r\nx\r\n+y\r\nmore", 0) == (9, b"*3")
    assert reader.unfinished == (1, 0, b"")


def test_a_line_that_stands_alone_begins_no_reply() -> None:
    reader = ReplyReader()
    data = b"$EOF:mark\r\nREDIS"
    assert reader.feed(data, 0, lambda line: line.startswith(b"$EOF")) == (11, b"$EOF:mark")
    reader = ReplyReader()
    reader.feed(b"*1\r\n", 0, lambda line: line == b"+alone")
    assert reader.feed(b"+alone\r\n", 0, lambda line: line == b"+alone") == (8, b"*1")  # inside a reply it does not


def test_a_line_has_a_maximum_length() -> None:
    for sizes in ((MAX_LINE,), (1, MAX_LINE - 1), (MAX_LINE - 1, 1)):
        lines, data, at = LineReader(), b"x" * (MAX_LINE - 1) + b"\n", 0
        for size in sizes:
            _, line = lines.feed(data[at : at + size], 0)
            at += size
        assert line == data[:-1]
        assert lines.size == MAX_LINE
    lines = LineReader()
    lines.feed(b"x" * 10, 0)
    with pytest.raises(LineTooLong) as raised:
        lines.feed(b"ab" + b"x" * (MAX_LINE - 9), 2)
    assert raised.value.at == 2 - 10
    assert lines.unfinished == b"x" * 10
