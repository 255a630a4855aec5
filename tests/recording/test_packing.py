"""The container and the segments, as bytes: what is packed is read back, whatever the cuts and the damage."""

from __future__ import annotations

import gc
import ipaddress
import itertools
import random
import struct
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap.recording import pcapng
from tap.recording.packets import Blocks, Flow, ones_sum
from tap.recording.pcapng import Packet, PcapngReader
from tap.recording.segments import ACK, FIN, MAX_DATA, PUSH, SYN, Endpoint
from tests.recording.support import block, next_packets, plain_sum, segment

times = st.integers(0, 2**63)
comments = st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=3).map(tuple)
contents = st.lists(st.tuples(times, st.binary(max_size=70), comments), max_size=12)


def packed(packets: list[tuple[int, bytes, tuple[str, ...]]]) -> bytes:
    out = [pcapng.heading("test")]
    for time, data, said in packets:
        out += [block(time, data, said)]
    return b"".join(out)


def unpacked(pieces: list[bytes]) -> tuple[list[Packet], list[str]]:
    reader = PcapngReader()
    found = [packet for piece in pieces for packet in reader.feed(piece)]
    found += reader.close()
    return found, list(reader.problems)


@given(contents, st.lists(st.integers(0, 2000)))
def test_what_is_packed_is_read_back_however_it_is_cut(
    packets: list[tuple[int, bytes, tuple[str, ...]]], cuts: list[int]
) -> None:
    data = packed(packets)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    found, problems = unpacked([data[begin:end] for begin, end in itertools.pairwise(places)])
    assert [(one.time, one.data, one.comments) for one in found] == packets
    assert not problems


@given(contents, st.integers(1, 400))
def test_a_file_cut_anywhere_is_read_up_to_the_last_whole_block(
    packets: list[tuple[int, bytes, tuple[str, ...]]], cut: int
) -> None:
    data = packed(packets)
    ends = [len(packed(packets[:count])) for count in range(len(packets) + 1)]
    left = len(data) - min(cut, len(data) - ends[0])
    found, problems = unpacked([data[:left]])
    assert len(found) == sum(end <= left for end in ends) - 1
    assert bool(problems) == (left not in ends)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_costs_no_more_than_what_is_near_it(place: int, bit: int) -> None:
    packets: list[tuple[int, bytes, tuple[str, ...]]] = [(number, bytes([number]) * 40, ()) for number in range(1, 20)]
    data = bytearray(packed(packets))
    begin, end = len(packed(packets[:5])), len(packed(packets[:6]))
    data[begin + place % (end - begin)] ^= 1 << bit
    found, _ = unpacked([bytes(data)])
    whole = {one.data for one in found}
    assert {packet[1] for packet in packets[:5] + packets[6:]} <= whole


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_raise(data: bytes) -> None:
    unpacked([packed([])[: len(data)], data])
    unpacked([packed([(1, b"x", ())]), data])


def test_both_byte_orders_and_other_resolutions_are_read() -> None:
    def block(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, 12 + len(body)) + body + struct.pack(">I", 12 + len(body))

    data = block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack(">HHI", 1, 0, 0))  # microseconds, as nothing else is said
    data += block(1, struct.pack(">HHIHHB3xHHqHH", 101, 0, 0, 9, 1, 0x8A, 14, 8, 100, 0, 0))  # 1024ths of a second
    data += block(6, struct.pack(">5I", 0, 0, 1_000_001, 4, 9) + b"abcd")
    data += block(0x0BAD, b"")
    data += block(6, struct.pack(">5I", 1, 0, 1536, 2, 2) + b"ab\0\0")
    found, problems = unpacked([data])
    assert found == [Packet(1_000_001_000, 1, b"abcd", 9), Packet(101_500_000_000, 101, b"ab", 2)]
    assert not problems


@given(st.binary(max_size=200))
def test_the_sum_is_that_of_the_rfc(data: bytes) -> None:
    assert ones_sum(data) == plain_sum(data)


def test_the_sum_of_large_data_is_too() -> None:
    data = random.Random(1).randbytes(MAX_DATA)
    assert ones_sum(data) == plain_sum(data)
    assert ones_sum(b"\xff" * MAX_DATA) == plain_sum(b"\xff" * MAX_DATA)


sizes = st.one_of(st.integers(0, 40), st.integers(4090, 4100), st.sampled_from([MAX_DATA, MAX_DATA + 1]))
# Whether it is data, and of how many bytes, or what opens and ends.
kinds = st.one_of(st.tuples(st.just(PUSH), sizes), st.tuples(st.sampled_from([SYN, FIN, 0]), st.just(0)))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["10.0.0.1", "fd00::1"]),
    st.tuples(times, times),
    st.lists(st.tuples(times, st.sampled_from([0, 1]), kinds, comments), max_size=5),
)
def test_the_blocks_are_those_of_the_draft_and_the_packets_those_of_the_rfcs(
    host: str, first: tuple[int, int], said: list[tuple[int, int, tuple[int, int], tuple[str, ...]]]
) -> None:
    flow, out = Flow(Endpoint(host, 50000), Endpoint(host, 6379), first), Blocks()
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
def test_segments_have_the_numbers_that_tcp_gives_them(
    hosts: tuple[str, str], shown: tuple[str, str], first: tuple[int, int]
) -> None:
    flow = Flow(Endpoint(hosts[0], 50000), Endpoint(hosts[1], 6379), first)
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
    opener, other = (str(ipaddress.ip_address(host)) for host in shown)  # of "::ffff:a00:1" Python 3.13 has another text
    assert {one.source for one in segments} == {(opener, 50000), (other, 6379)}
    assert segments[0].source == segments[1].target == (opener, 50000)


def test_a_quiet_flow_keeps_none_alive_that_it_shared_blocks_with() -> None:
    class Owner:
        pass

    ends, out, owner = (Endpoint("10.0.0.1", 50000), Endpoint("10.0.0.1", 6379)), Blocks(), Owner()
    quiet, other = Flow(*ends, (0, 0)), Flow(*ends, (0, 0), owner=owner)
    for flow in (quiet, other):
        flow.write(out, 0, 0, SYN)
    out.clear()
    reference = weakref.ref(owner)
    del flow, other, owner
    gc.collect()
    assert reference() is None
