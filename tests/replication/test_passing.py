"""Ordinary connections are followed by their framing: nothing in a value is a request, and replies are counted."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication import passing
from tests.relay.wire import command
from tests.support import uncompiled

KINDS = pytest.mark.parametrize(
    "module", [passing, uncompiled("tap/replication/passing.py")], ids=["as installed", "uncompiled"]
)
PSYNC = command("PSYNC", "?", "-1")

# Each with its number of requests.
REQUESTS = [
    (command("SET", "key", "value"), 1),
    (command("GET", PSYNC), 1),
    (command("SET", "k", b"\r\n" + PSYNC * 3), 1),
    (command("INCR", "n"), 1),  # as long as SYNC
    (command("HSET", "h", "f", ""), 1),
    (command("LPUSH", "l", "1"), 1),  # as PSYNC
    (command("SISMEMBE", "s", "1"), 1),  # as REPLCONF
    (command("SYNX"), 1),
    (command("SYNC\0"), 1),
    (command("", "x"), 1),
    (command("SET", "big", "v" * 3000), 1),
    (command("MSET", *("x" * n for n in range(40))), 1),
    (b"PING\r\n", 1),
    (b"  get  k  \n", 1),
    (b"SYNCHRONIZE now\r\n", 1),
    (b"GET PSYNC\r\n", 1),
    (b"psynced\n", 1),
    (b"x\r\n", 1),
    (b"\r\n\n \n", 0),
    (b"*0\r\n", 0),
    (b"*-1\r\n", 0),
]
LOOKED_FOR = [
    PSYNC,
    command("psync", "a" * 40, "7"),
    command("Sync"),
    command("REPLCONF", "capa", "eof"),
    command("replconf", "listening-port", "0"),
    b"SYNC\r\n",
    b"sync\n",
    b"psync ? -1\r\n",
    b"  REPLCONF ACK 1\r\n",
]
# Each with its number of replies.
REPLIES = [
    (b"+OK\r\n", 1),
    (b"-ERR no\r\n", 1),
    (b":12\r\n", 1),
    (b"$5\r\nhello\r\n", 1),
    (b"$0\r\n\r\n", 1),
    (b"$-1\r\n", 1),
    (b"*-1\r\n", 1),
    (b"*0\r\n", 1),
    (b"$24\r\n+FULLRESYNC abc 1\r\n+OK\r\n\r\n", 1),
    (b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n$2\r\n\r\n\r\n$-1\r\n", 1),
    (b"*1\r\n*1\r\n*1\r\n*0\r\n", 1),
    (b"%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n_\r\n#t\r\n", 1),
    (b"~2\r\n,1.5\r\n(123456789012345678901234567890\r\n", 1),
    (b"=7\r\ntxt:abc\r\n", 1),
    (b"!5\r\nERR x\r\n", 1),
    (b"|1\r\n+ttl\r\n:3600\r\n$1\r\nv\r\n", 1),
    (b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n", 0),
    (b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", 0),
    (b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", 1),
    (b">3\r\n$12\r\nsunsubscribe\r\n$1\r\nc\r\n:0\r\n", 1),
    (b">4\r\n$8\r\npmessage\r\n$1\r\nc\r\n$1\r\nc\r\n$1\r\nx\r\n", 0),
    (b"$3000\r\n" + b"v" * 3000 + b"\r\n", 1),
]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


CUTS = st.lists(st.integers(0), max_size=20)


@KINDS
@given(st.lists(st.sampled_from(REQUESTS), max_size=8), st.sampled_from([*LOOKED_FOR, b""]), CUTS, st.booleans())
def test_the_first_request_that_matters_is_found_whatever_stands_before_it(
    module: Any, before: list[tuple[bytes, int]], sought: bytes, cuts: list[int], by_byte: bool
) -> None:
    start = b"".join(data for data, _ in before)
    data = start + sought + PSYNC * bool(sought)
    follower = module.RequestFollower(100)
    found, fed = None, 0
    for piece in [data[at : at + 1] for at in range(len(data))] if by_byte else pieces(data, cuts):
        found = follower.feed(memoryview(piece))
        fed += len(piece)
        if found is not None:
            break
        if follower.skippable:
            continue
    assert not follower.broken
    assert follower.requests == sum(count for _, count in before)
    if not sought:
        assert found is None
        assert follower.position == 100 + len(data)
        return
    begin = len(start) + len(sought) - len(sought.lstrip())
    assert found is not None
    assert found == data[begin:fed]
    assert follower.position == 100 + begin


@KINDS
@pytest.mark.parametrize(
    "nonsense",
    [b"*x\r\n", b"*1\r\n+GET\r\n", b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n", b"*2\r\n$3\r\nGETxx", b"*\r\n", b"*" + b"1" * 30,
     b"*1\r\n$1\r\nx\rx", b"*1\r\r\n", b"*--1\r\n", b"*1\r\n$1\r1\r\n"],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 100])
def test_after_a_server_would_close_the_connection_nothing_is_followed(module: Any, nonsense: bytes, size: int) -> None:
    follower = module.RequestFollower()
    data = command("SET", "a", "b") + nonsense + PSYNC
    assert [follower.feed(data[at : at + size]) for at in range(0, len(data), size)] == [None] * -(-len(data) // size)
    assert follower.broken
    assert follower.position == len(data)


@KINDS
@pytest.mark.parametrize("endless", [b"*", b"*1", b"*-", b"*1\r\n$", b"*1\r\n$4", b"*1\r\n$4\r\n", b"psy", b"*1\r"])
@pytest.mark.parametrize("again", [b"\r", b"-", b"0", b"x"])
def test_little_is_kept_of_a_request_whose_name_never_comes(module: Any, endless: bytes, again: bytes) -> None:
    follower = module.RequestFollower()
    follower.feed(endless)
    for _ in range(100):
        follower.feed(again * 10)
    assert len(follower.state()[2]) < 100


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
    counter, follower = module.ReplyCounter(), module.RequestFollower()
    assert (counter.skippable, follower.skippable) == (0, 0)
    passing_by = module.Passing(0, 0, module.ReplyCounter())
    assert (passing_by.skippable(True), passing_by.skippable(False)) == (float("inf"), 0)
    counter.feed(b"$1000\r\nab")
    follower.feed(b"*2\r\n$3\r\nGET\r\n$1000\r\nab")
    assert (counter.skippable, follower.skippable) == (998, 998)
    for one in (counter, follower):
        one.skip(900)
        one.skip(98)
        assert one.skippable == 0
    counter.feed(b"\r\n+OK\r\n")
    assert counter.replies == 2
    assert follower.feed(b"\r\n" + PSYNC) == PSYNC


@KINDS
@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4), st.lists(st.sampled_from(REPLIES), max_size=4), CUTS)
def test_another_follower_can_continue_from_a_standing(
    module: Any, asked: list[tuple[bytes, int]], said: list[tuple[bytes, int]], cuts: list[int]
) -> None:
    requests, replies = (b"".join(data for data, _ in some) for some in (asked, said))
    whole = module.Passing(0, 0, module.ReplyCounter())
    other = module.Passing(0, 0, module.ReplyCounter())
    for one, two in zip(pieces(requests + PSYNC[:7], cuts), pieces(replies, cuts), strict=False):
        for passing_by in (whole, other):
            assert passing_by.from_replica(one) is None
            assert passing_by.from_master(two) == len(two)
        standing, other = other.standing(), module.Passing(0, 0, module.ReplyCounter())
        other.stand(standing)
        assert other.standing() == whole.standing() == standing


NUMBERS = st.one_of(st.integers(-2, 40), st.sampled_from([-(2**70), 2**31, 2**40, 2**63 - 1, 2**70]))


@KINDS
@given(st.lists(NUMBERS, min_size=9, max_size=11), st.binary(max_size=9), st.binary(max_size=40), st.binary(max_size=40))
def test_a_standing_from_a_file_is_refused_or_usable(
    module: Any, numbers: list[int], name: bytes, request: bytes, reply: bytes
) -> None:
    follower, counter = module.RequestFollower(), module.ReplyCounter()
    with contextlib.suppress(ValueError):
        follower.resume(tuple(numbers), name, b"")
        assert len(follower.state()[1]) < 9
        follower.feed(request)
        follower.feed(b"A" * 100)
        assert len(follower.state()[1]) < 9
    with contextlib.suppress(ValueError):
        counter.resume(tuple(numbers))
        assert 0 <= counter.feed(reply) <= len(reply)


@KINDS
@pytest.mark.parametrize("wanted", [0, 3, 9, 2**20])
def test_no_wanted_name_is_longer_than_the_limit(module: Any, wanted: int) -> None:
    with pytest.raises(ValueError, match="not a state that requests can have"):
        module.RequestFollower().resume((0, 3, 0, 0, 0, 0, 1, 0, 0, wanted), b"psy", b"")
