"""What replies announce, before a parser believes it."""

from __future__ import annotations

import itertools
import re

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.servers.failures import InvalidReply
from tap.servers.reply_sizes import MAX_ITEMS, ReplySizes

TOO_LARGE = {
    b"*2147483647\r\n": "2147483647 items",
    b"+OK\r\n:1\r\n$3\r\n*99\r\n*%d\r\n" % (MAX_ITEMS + 1): "items",
    b"*3\r\n+OK\r\n*67108864\r\n": "items",
    b"~999999999999\r\n": "items",
    b">999999999999\r\n": "items",
    b"%33554433\r\n": "67108866 items",
    b"|33554432\r\n": "67108865 items",
    b"*10000000\r\n" * 7: "items",
    b"$2147483647\r\n": "longer than the 2147483648 bytes",
    b"=9223372036854775807\r\n": "longer than the 2147483648 bytes",
    b"*3\r\n$1073741824\r\n": None,
    b"*67108864\r\n": None,
    b"$536870912\r\n": None,
    b"*-1\r\n$-1\r\n*0\r\n%0\r\n$0\r\n\r\n_\r\n": None,
    b"$12\r\n*2147483647\n\r\n+*2147483647\r\n-*2147483647\r\n:1\r\n": None,
}


def feed(one: ReplySizes, data: bytes, size: int) -> None:
    for at in range(0, len(data), size):
        one.feed(data[at : at + size])


@pytest.mark.parametrize("data", TOO_LARGE)
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_more_than_any_reply_has_is_refused_wherever_it_is_cut(data: bytes, size: int) -> None:
    reason = TOO_LARGE[data]
    if reason is None:
        feed(ReplySizes(), data, size)
        return
    with pytest.raises(InvalidReply, match=reason):
        feed(ReplySizes(), data, size)


def test_a_reply_that_never_ends_is_refused() -> None:
    whole = [
        b"+" + b"x" * 990 + b"\r\n",
        b"$900\r\n" + bytes(900) + b"\r\n",
        b"*9\r\n" + b"$90\r\n%b\r\n" % bytes(90) * 9,
    ]
    for endless in (b"+" + b"x" * 1001, b"*1000\r\n" + b"$90\r\n%b\r\n" % bytes(90) * 11, b"*2000\r\n" + b":1\r\n" * 251):
        for size in (1, 7, 10_000):
            one = ReplySizes(max_bytes=1000)
            for piece in whole * 3:
                one.feed(piece)
            with pytest.raises(InvalidReply, match="longer than"):
                feed(one, endless, size)


REPLIES = st.recursive(
    st.sampled_from([b"+OK\r\n", b":12\r\n", b"-ERR no\r\n", b"$-1\r\n", b"*-1\r\n", b"$0\r\n\r\n", b"*0\r\n", b"_\r\n"])
    | st.binary(max_size=40).map(lambda text: b"$%d\r\n%b\r\n" % (len(text), text)),
    lambda inner: st.lists(inner, max_size=5).map(lambda items: b"*%d\r\n%b" % (len(items), b"".join(items))),
    max_leaves=12,
)


@given(st.lists(REPLIES, max_size=5), st.lists(st.integers(0, 200), max_size=6))
def test_between_replies_nothing_is_left_wherever_they_are_cut(replies: list[bytes], cuts: list[int]) -> None:
    one, reader, data = ReplySizes(), hiredis.Reader(), b"".join(replies)
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for begin, end in itertools.pairwise(edges):
        one.feed(data[begin:end])
        reader.feed(data[begin:end])
    assert [reader.gets() is not False for _ in replies] == [True] * len(replies)
    assert one.is_between
    with pytest.raises(InvalidReply, match=re.escape(f"{MAX_ITEMS + 1} items")):
        one.feed(b"*%d\r\n" % (MAX_ITEMS + 1))
