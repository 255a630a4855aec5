"""Requests are followed by their framing: nothing in a value is a request."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.replication import request_follower
from tests.relay.wire import command
from tests.replication.framing import CUTS, LOOKED_FOR, NUMBERS, PSYNC, REQUESTS, pieces
from tests.support import uncompiled

KINDS = pytest.mark.parametrize(
    "module", [request_follower, uncompiled("tap/replication/request_follower.py")], ids=["as installed", "uncompiled"]
)


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
@pytest.mark.parametrize("wanted", [0, 3, 9, 2**20])
def test_no_wanted_name_is_longer_than_the_limit(module: Any, wanted: int) -> None:
    with pytest.raises(ValueError, match="not a state that requests can have"):
        module.RequestFollower().resume((0, 3, 0, 0, 0, 0, 1, 0, 0, wanted), b"psy", b"")


@KINDS
def test_arguments_may_be_skipped(module: Any) -> None:
    follower = module.RequestFollower()
    assert follower.skippable == 0
    follower.feed(b"*2\r\n$3\r\nGET\r\n$1000\r\nab")
    assert follower.skippable == 998
    follower.skip(900)
    follower.skip(98)
    assert follower.skippable == 0
    assert follower.feed(b"\r\n" + PSYNC) == PSYNC
    assert follower.requests == 1


@KINDS
@given(st.lists(NUMBERS, min_size=9, max_size=11), st.binary(max_size=9), st.binary(max_size=40))
def test_a_state_from_a_file_is_refused_or_usable(module: Any, numbers: list[int], name: bytes, request: bytes) -> None:
    follower = module.RequestFollower()
    with contextlib.suppress(ValueError):
        follower.resume(tuple(numbers), name, b"")
        assert len(follower.state()[1]) < 9
        follower.feed(request)
        follower.feed(b"A" * 100)
        assert len(follower.state()[1]) < 9
