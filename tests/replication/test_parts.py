"""Requests, replies, lag, the frame of an RDB, and reasons: the small parts of a conversation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication.lag_clock import MAX_SAMPLES, LagClock
from tap.replication.memory import Memory, Past
from tap.replication.payload import Payload
from tap.replication.reasons import why_full
from tap.replication.replies import ReplyReader
from tap.replication.requests import Newlines, Nonsense, Request, RequestReader, masked

A, B, C, D = "a" * 40, "b" * 40, "c" * 40, "d" * 40


# ---- requests ----


def read(data: bytes, size: int = 0) -> list[Request | Newlines | Nonsense]:
    reader = RequestReader()
    found: list[Request | Newlines | Nonsense] = []
    for begin in range(0, len(data), size or max(1, len(data))):
        reader.feed(data[begin : begin + (size or len(data))])
        while (item := reader.next()) is not None:
            if isinstance(item, Newlines) and item.again and found and isinstance(found[-1], Newlines):
                first = found.pop()  # one row, in two pieces
                assert isinstance(first, Newlines)
                item = Newlines(first.start, item.end, first.again)
            found.append(item)
            if isinstance(item, Nonsense):
                return found
    return found


def test_arrays_inline_lines_and_newlines_are_read() -> None:
    assert read(b"*2\r\n$4\r\nPING\r\n$1\r\nx\r\nSYNC\r\n\nPING a  b\n") == [
        Request((b"PING", b"x"), 0, 21, inline=False),
        Request((b"SYNC",), 21, 27, inline=True),
        Newlines(27, 28, again=False),
        Request((b"PING", b"a", b"b"), 28, 38, inline=True),
    ]


REQUESTS = st.lists(
    st.sampled_from(
        [
            b"\n",
            b"SYNC\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"*2\r\n$8\r\nREPLCONF\r\n$0\r\n\r\n",
            b"*0\r\n",
            b"\r\n",
            b"*x\r\n",
            b"$",
        ]
    )
    | st.binary(max_size=12),
    max_size=8,
).map(b"".join)


@given(REQUESTS, st.integers(1, 9))
def test_requests_are_the_same_for_any_split(data: bytes, size: int) -> None:
    assert read(data, size) == read(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (
            b"\x16\x03\x01",
            "byte 0x16: TLS, which is read only where the tap ends it: --listen-cert, and --tls for the master",
        ),
        (b"SSH-2.0\x00", "byte 0x00 in an inline request"),
        (b"*1\r\n$1000000000000000000\r\n", "a length of 1000000000000000000, of 16384 at the most"),
        (b"*1\r\n" + b"9" * 40, "byte 0x39 where an argument's $ was expected"),
        (b"a" * 20_000, "a request of more than 16384 bytes"),
        (b"*1\r\n$3\r\nPING\r\n", "an argument that is longer than its length says"),
    ],
)
def test_nonsense_is_named(data: bytes, why: str) -> None:
    assert read(data) == read(data, 1) == [Nonsense(0, why)]


def test_a_flood_of_nothing_is_skipped() -> None:
    assert read(b"*0\r\n" * 50_000 + b"\r\n" * 50_000 + b"PING\n") == [Request((b"PING",), 300_000, 300_005, inline=True)]


def test_secrets_are_masked_wherever_they_stand() -> None:
    def shown(*words: bytes) -> tuple[str, ...]:
        return masked(Request(words, 0, 0, inline=False))

    assert shown(b"AUTH", b"pw") == ("AUTH", "***")
    assert shown(b"auth", b"user", b"pw") == ("auth", "***", "***")
    assert shown(b"HELLO", b"3", b"AUTH", b"user", b"pw") == ("HELLO", "3", "***", "***", "***")
    assert shown(b"REPLCONF", b"capa", b"\x00") == ("REPLCONF", "capa", "\\x00")


# ---- replies ----


@pytest.mark.parametrize(
    "reply",
    [b"+PONG\r\n", b"-ERR no\r\n", b":1\r\n", b"$5\r\nhel\nl\r\n", b"$-1\r\n", b"*0\r\n", b"*-1\r\n", b"\n", b"\r\n",
     b"*2\r\n*1\r\n+a\r\n$2\r\nbc\r\n", b"%1\r\n+k\r\n%1\r\n+x\r\n:1\r\n", b"|1\r\n+a\r\n+b\r\n+reply\r\n", b"_\r\n"],
)  # fmt: skip
def test_a_reply_has_a_definite_end(reply: bytes) -> None:
    for size in (1, 2, 3, 100):
        reader = ReplyReader()
        data = reply + b"+next\r\n"
        lines, ends = [], []
        for begin in range(0, len(data), size):
            piece, at = data[begin : begin + size], 0
            while at < len(piece):
                at, line = reader.feed(piece, at)
                if line is not None:
                    lines.append(line)
                    ends.append(begin + at)
        assert ends == [len(reply), len(data)]
        assert lines == [reply.split(b"\n")[0].removesuffix(b"\r"), b"+next"]


# ---- lag ----


def test_lag_runs_from_passing_a_byte_to_its_acknowledgement() -> None:
    clock = LagClock()
    clock.passed(100, 1.0)
    clock.passed(200, 2.0)
    assert clock.acked(100, 1.5) == 0.5
    assert clock.acked(100, 3.0) == 1.0  # nothing new: the age of byte 101
    assert clock.acked(150, 3.5) == 1.5
    assert clock.acked(200, 4.0) == 2.0
    assert clock.acked(200, 5.0) == 0.0


def test_lag_needs_bounded_memory() -> None:
    clock = LagClock()
    for number in range(1, 100_001):
        clock.passed(number, number / 100)
    assert len(clock._passed) <= MAX_SAMPLES
    assert clock.acked(50_000, 1001.0) == pytest.approx(501.0, abs=1.0)


# ---- the frame of an RDB ----

MARK = b"0123456789abcdef0123456789abcdef01234567"


def test_a_mark_inside_a_value_does_not_end_the_rdb() -> None:
    payload = Payload(b"EOF:" + MARK)
    for piece, complete in [
        (b"REDIS0009 value " + MARK, False),
        (b" more" + b"\xff" + b"8 bytes!" + MARK, True),
        (b"no, that was a value, too", False),
        (b"\xff" + b"checksum" + MARK, True),
    ]:
        assert payload.feed(piece) == len(piece)
        assert payload.looks_complete is complete


def test_a_disk_based_rdb_takes_its_bytes_and_no_more() -> None:
    payload = Payload(b"5")
    assert payload.feed(b"abc") == 3
    assert not payload.is_complete
    assert payload.feed(b"de*1\r\n") == 2
    assert payload.is_complete


@given(st.lists(st.integers(1, 30 * 2**20), max_size=20))
def test_milestones_do_not_depend_on_the_split(sizes: list[int]) -> None:
    payload = Payload(b"%d" % 2**30)
    reached = []
    zeros = memoryview(bytes(max(sizes, default=0)))
    for size in sizes:
        data = zeros[:size]
        while data:
            data = data[payload.feed(data) :]
            if payload.reached_milestone:
                reached.append(payload.received)
    step = 2**30 // 100
    assert reached == list(range(step, sum(sizes) + 1, step))


@pytest.mark.parametrize("header", [b"", b"-1", b"EOF:short", b"x", b"1" * 30, b"%d" % 10**18])
def test_other_headers_are_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match=re.escape(str(header))):
        Payload(header)


# ---- reasons ----


def test_the_wire_alone_gives_reasons() -> None:
    memory = Memory()

    def why(asked: str | None, wanted: int, granted: str, offset: int) -> tuple[str, str]:
        reason = why_full(memory, "r:1", asked, wanted, granted, offset)
        return reason.code, reason.text

    assert why(None, -1, A, 0)[0] == "first_sync"
    assert why(A, 101, A, 1000) == (
        "offset_out_of_backlog",
        "the replica was at most 900 bytes behind when it asked (it has offset 100, the master had 1000 when it "
        "answered) and the master's backlog no longer reaches back that far",
    )
    assert "keeps no backlog" in why(A, 101, A, 100)[1]
    assert why(A, 102, A, 100)[0] == "offset_ahead_of_master"
    assert "a history that the master does not know" in why(B, 1, A, 0)[1]
    memory.left("r:1", Past(B, 50))
    code, text = why(B, 51, A, 0)
    assert code == "replication_id_unknown"
    assert "which this master gave it earlier" in text
    assert "gave that up" in why(None, -1, A, 0)[1]
    memory.left("r:1", Past(A, 50, "rdb"))
    assert why("c" * 40, 1, A, 0) == (
        "replication_id_unknown",
        "the replica still offers its history from before, cccccccc… up to offset 0: its last full resync through this "
        "tap ended in phase rdb, before it had acknowledged the snapshot",
    )
    beside = Memory("other", beside=memory)
    beside.history(C)
    code, text = why(C, 51, A, 0)
    assert code == "replication_id_unknown"
    assert "which the master of link other wrote; this master does not go on from there" in text
    memory.history(D)
    code, text = why(D, 51, A, 0)
    assert code == "replication_id_unknown"
    assert "a history that this master wrote earlier; it now writes" in text
    memory.succeed(B, A, 100)
    assert why(B, 51, A, 40)[0] == "offset_ahead_of_master"
