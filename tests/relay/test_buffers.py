"""Buffers that legs share: lent to a transport and given back, and the pipe."""

from __future__ import annotations

import os

import pytest

from tap.relay.buffers import MAX_SPARE, Buffers


def test_a_lent_buffer_is_not_read_into_and_comes_back() -> None:
    buffers = Buffers()
    first = buffers.current
    assert buffers.lend() is first
    second = buffers.current
    assert second is not first
    buffers.give_back(first)
    assert buffers.lend() is second
    assert buffers.current is first
    lent = [buffers.lend() for _ in range(MAX_SPARE + 5)]
    for one in lent:
        buffers.give_back(one)
    assert len(buffers._free) == MAX_SPARE


def test_the_pipe_is_created_once_and_again_after_it_was_given_back() -> None:
    buffers = Buffers()
    first = buffers.pipe
    assert buffers.pipe == first
    buffers.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first[0])
    assert len(buffers.pipe) == 2
    buffers.close()
    buffers.close()
