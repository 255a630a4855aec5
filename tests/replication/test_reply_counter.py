"""Replies are counted by their framing, whatever they hold."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication import reply_counter
from tests.replication.framing import CUTS, NUMBERS, REPLIES, pieces
from tests.support import uncompiled

KINDS = pytest.mark.parametrize(
    "module", [reply_counter, uncompiled("tap/replication/reply_counter.py")], ids=["as installed", "uncompiled"]
)


@KINDS
@given(st.lists(st.sampled_from(REPLIES), min_size=1, max_size=8), CUTS, st.booleans())
def test_replies_are_counted_for_any_split(
    module: Any, said: list[tuple[bytes, int]], cuts: list[int], by_byte: bool
) -> None:
    data = b"".join(one for one, _ in said)
    counter = module.ReplyCounter()
    for piece in [data[at : at + 1] for at in range(len(data))] if by_byte else pieces(data, cuts):
        assert counter.feed(memoryview(piece)) == len(piece)
    assert not counter.broken
    assert counter.replies == sum(count for _, count in said)
    assert counter.is_between


@KINDS
@given(st.lists(st.sampled_from(REPLIES), min_size=1, max_size=8), st.integers(1, 5))
def test_counting_stops_after_the_awaited_reply(module: Any, said: list[tuple[bytes, int]], limit: int) -> None:
    counter = module.ReplyCounter()
    end = count = 0
    for data, more in said:
        end, count = end + len(data), count + more
        if count == limit:
            break
    data = b"".join(one for one, _ in said)
    assert counter.feed(data, limit) == (end if count == limit else len(data))
    assert counter.replies == count


@KINDS
@pytest.mark.parametrize("nonsense", [b"x", b"\n", b"\x16\x03", b"*x\r\n", b"$?\r\n", b"$" + b"1" * 20])
def test_anything_but_a_reply_ends_the_counting(module: Any, nonsense: bytes) -> None:
    counter = module.ReplyCounter()
    counter.feed(b"+OK\r\n" + nonsense)
    assert counter.broken


@KINDS
def test_bodies_may_be_skipped(module: Any) -> None:
    counter = module.ReplyCounter()
    assert counter.skippable == 0
    counter.feed(b"$1000\r\nab")
    assert counter.skippable == 998
    counter.skip(900)
    counter.skip(98)
    assert counter.skippable == 0
    counter.feed(b"\r\n+OK\r\n")
    assert counter.replies == 2


@KINDS
@given(st.lists(NUMBERS, min_size=9, max_size=11), st.binary(max_size=40))
def test_a_state_from_a_file_is_refused_or_usable(module: Any, numbers: list[int], reply: bytes) -> None:
    counter = module.ReplyCounter()
    with contextlib.suppress(ValueError):
        counter.resume(tuple(numbers))
        assert 0 <= counter.feed(reply) <= len(reply)
