"""TCP segments as in the RFCs, each in a pcapng block."""

from __future__ import annotations

import gc
import ipaddress
import random
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap.capture import pcapng
from tap.capture.packets import Blocks, TcpFlow, ones_sum
from tap.capture.segments import ACK, FIN, MAX_DATA, PUSH, SYN, Endpoint
from tests.recording.packed import comments, times, unpacked
from tests.recording.support import block, next_packets, plain_sum, segment


@given(st.binary(max_size=200))
def test_the_checksum_is_that_of_the_rfc(data: bytes) -> None:
    assert ones_sum(data) == plain_sum(data)


def test_a_connection_is_known_by_its_owner() -> None:
    ends = Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 6379)
    owner = object()
    assert TcpFlow(*ends, (1, 2), owner=owner).owner is owner
    assert TcpFlow(*ends, (1, 2)).owner is None


def test_the_checksum_of_large_data_is_right_too() -> None:
    data = random.Random(1).randbytes(MAX_DATA)
    assert ones_sum(data) == plain_sum(data)
    assert ones_sum(b"\xff" * MAX_DATA) == plain_sum(b"\xff" * MAX_DATA)


sizes = st.one_of(st.integers(0, 40), st.integers(4090, 4100), st.sampled_from([MAX_DATA, MAX_DATA + 1]))
# Whether the packet has data, and how much, or opens or ends the connection.
kinds = st.one_of(st.tuples(st.just(PUSH), sizes), st.tuples(st.sampled_from([SYN, FIN, 0]), st.just(0)))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["10.0.0.1", "fd00::1"]),
    st.tuples(times, times),
    st.lists(st.tuples(times, st.sampled_from([0, 1]), kinds, comments), max_size=5),
)
def test_blocks_follow_the_draft_and_packets_the_rfcs(
    host: str, first: tuple[int, int], said: list[tuple[int, int, tuple[int, int], tuple[str, ...]]]
) -> None:
    flow, out = TcpFlow(Endpoint(host, 50000), Endpoint(host, 6379), first), Blocks()
    sent, expected = [first[0], first[1]], b""
    for time, side, (flags, size), texts in said:
        data, before = random.Random(size).randbytes(size), out.size
        flow.write(out, time, side, flags, data, pcapng.comments(texts) if texts else b"")
        found, problems = unpacked([pcapng.heading("test"), bytes(out.view())[before:]])
        assert not problems
        assert b"".join(segment(one.data).data for one in found) == data
        assert [one.comments for one in found] == [texts, *((),) * (len(found) - 1)]
        for one in found:
            assert segment(one.data).sequence == sent[side] % 2**32
            sent[side] += len(segment(one.data).data) + bool(flags & (SYN | FIN))
        expected += b"".join(block(time, one.data, one.comments) for one in found)
    assert bytes(out.view()) == expected


@pytest.mark.parametrize(
    ("hosts", "shown"),
    [
        (("10.0.0.1", "10.0.0.2"), ("10.0.0.1", "10.0.0.2")),
        (("fe80::1%eth0", "fd00::2"), ("fe80::1", "fd00::2")),
        (("10.0.0.1", "fd00::2"), ("::ffff:a00:1", "fd00::2")),
    ],
)
@pytest.mark.parametrize("first", [(0, 5), (2**32 - 3, 2**32 - 1)])
def test_segments_have_the_numbers_of_tcp(hosts: tuple[str, str], shown: tuple[str, str], first: tuple[int, int]) -> None:
    flow = TcpFlow(Endpoint(hosts[0], 50000), Endpoint(hosts[1], 6379), first)
    said = [(0, SYN, b""), (1, SYN, b""), (0, 0, b""), (0, PUSH, b"abc"), (1, PUSH, b"x" * MAX_DATA), (1, FIN, b"")]
    segments = []
    for side, flags, data in said:
        (packet,) = next_packets(flow, side, flags, data)
        segments.append(segment(packet))
    numbers = [((one.sequence - first[0]) % 2**32, (one.acknowledged - first[1]) % 2**32) for one in segments[2:4]]
    assert numbers == [(1, 1), (1, 1)]
    assert [one.sequence for one in segments[:2]] == list(first)
    assert (segments[4].sequence - first[1]) % 2**32 == 1
    assert (segments[4].acknowledged - first[0]) % 2**32 == 4
    assert (segments[5].sequence - first[1]) % 2**32 == 1 + MAX_DATA
    assert [one.flags for one in segments] == [SYN, SYN | ACK, ACK, PUSH | ACK, PUSH | ACK, FIN | ACK]
    opener, other = (str(ipaddress.ip_address(host)) for host in shown)  # for "::ffff:a00:1" Python 3.13 has another text
    assert {one.source for one in segments} == {(opener, 50000), (other, 6379)}
    assert segments[0].source == segments[1].target == (opener, 50000)


def test_a_quiet_flow_keeps_no_other_flow_alive() -> None:
    class Owner:
        pass

    ends, out, owner = (Endpoint("10.0.0.1", 50000), Endpoint("10.0.0.1", 6379)), Blocks(), Owner()
    quiet, other = TcpFlow(*ends, (0, 0)), TcpFlow(*ends, (0, 0), owner=owner)
    for flow in (quiet, other):
        flow.write(out, 0, 0, SYN)
    out.clear()
    reference = weakref.ref(owner)
    del flow, other, owner
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1"])
@pytest.mark.parametrize("first", [(0, 5), (2**32 - 3, 2**32 - 1), (2**31, 2**31 - 1)])
def test_a_packet_can_be_taken_apart_again(host: str, first: tuple[int, int]) -> None:
    """Regardless of how much the sides have sent since."""
    flow = TcpFlow(Endpoint(host, 50000), Endpoint(host, 6379), first)
    made: list[tuple[bytes, tuple[int, int, int]]] = []
    sent = [-1, -1]
    said = [
        (0, SYN, 0),
        (1, SYN, 0),
        (0, 0, 0),
        (0, PUSH, 3),
        (1, PUSH, MAX_DATA),
        (1, PUSH, 1),
        (0, PUSH, 20),
        (1, PUSH, 7),
    ]
    for side, flags, size in said:
        (one,) = next_packets(flow, side, flags, bytes(size))
        acks = ACK if sent[1] >= 0 or side == 1 else 0
        made.append((one, (side, sent[side], size)))
        sent[side] += size + (flags == SYN)
        assert flow.position(side) == sent[side]
        assert flow.parts(one)[2] == flags | acks
    for one, (side, position, size) in made:
        assert (flow.parts(one)[0], *flow.parts(one)[1::2]) == (side, position, size)


@pytest.mark.parametrize("host", ["10.0.0.1", "fd00::1"])
def test_blocks_are_written_completely_into_a_used_buffer(host: str) -> None:
    """Every byte of them is set, whatever was there before."""
    flow, out = TcpFlow(Endpoint(host, 50000), Endpoint(host, 6379), (2**32 - 5, 77)), Blocks()
    said: list[tuple[int, int, bytes, tuple[str, ...]]] = [
        (0, SYN, b"", ()), (1, SYN, b"", ("two", "comments")), (0, 0, b"", ()), (0, PUSH, b"abc", ("one",)),
        (1, PUSH, bytes(range(200)), ()), (1, PUSH, b"\xff" * 21, ()), (0, PUSH, b"abcd", ("",)), (0, FIN, b"", ()),
    ]  # fmt: skip
    for filled in (0, 0xFF, 0x55):
        out.clear()
        time = 0x1234_5678_9ABC_DEF0 + filled
        if filled:  # as if an earlier use had left these bytes
            while out.size < 4000:
                TcpFlow(Endpoint(host, 1), Endpoint(host, 2), (9, 9)).write(
                    out, 2**64 - 1, 0, PUSH, bytes([filled]) * 3000
                )
            out.clear()
        expected = b""
        for side, flags, data, texts in said:
            before = out.size
            size = flow.write(out, time, side, flags, data, pcapng.comments(texts) if texts else b"")
            assert size == out.size == len(out.view())
            (found,), problems = unpacked([pcapng.heading("test"), bytes(out.view())[before:]])
            assert not problems
            assert (segment(found.data).data, found.comments, found.time) == (data, texts, time)
            assert found.data[urgent(host) :][:2] == b"\0\0"
            expected += block(time, found.data, texts)
        assert bytes(out.view()) == expected


def urgent(host: str) -> int:
    """The place of the urgent pointer in a packet, RFC 9293, 3.1."""
    return (40 if ":" in host else 20) + 18


def test_a_block_may_be_larger_than_the_buffer_grows_at_a_time() -> None:
    flow, out = TcpFlow(Endpoint("10.0.0.1", 50000), Endpoint("10.0.0.1", 6379), (0, 5)), Blocks()
    texts = tuple(str(number) * 60_000 for number in range(10))
    flow.write(out, 1, 0, PUSH, b"before")
    flow.write(out, 2, 0, PUSH, b"data", pcapng.comments(texts))
    found, problems = unpacked([pcapng.heading("test"), bytes(out.view())])
    assert not problems
    assert [(one.time, segment(one.data).data, one.comments) for one in found] == [
        (1, b"before", ()),
        (2, b"data", texts),
    ]
