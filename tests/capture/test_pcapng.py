"""Blocks of pcapng: what is packed is read back, and damage costs what is near it."""

from __future__ import annotations

import itertools
import struct

from hypothesis import given
from hypothesis import strategies as st

from tap.capture import pcapng
from tap.capture.pcapng import Packet
from tests.recording.packed import comments, times, unpacked
from tests.recording.support import block

contents = st.lists(st.tuples(times, st.binary(max_size=70), comments), max_size=12)


def packed(packets: list[tuple[int, bytes, tuple[str, ...]]]) -> bytes:
    out = [pcapng.heading("test")]
    for time, data, said in packets:
        out += [block(time, data, said)]
    return b"".join(out)


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
