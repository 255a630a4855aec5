"""Segments of any network: the bytes of a connection come out in order, once, whatever happened on the way."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from tap.recording.assembly import Assembler, Bytes, Ended, Gap, Item, Opened
from tap.recording.layers import Segment
from tap.recording.segments import ACK, FIN, RST, SYN, Endpoint

CLIENT, SERVER = Endpoint("10.0.0.1", 50000), Endpoint("10.0.0.2", 6379)


def made(side: int, first: int, at: int, data: bytes = b"", flags: int = ACK, acknowledged: int = 0) -> Segment:
    ends = (CLIENT, SERVER) if side == 0 else (SERVER, CLIENT)
    return Segment(*ends, (first + at) % 2**32, acknowledged % 2**32, flags, data, 0)


def taken(segments: list[Segment], step: int = 1000) -> list[Item]:
    assembler = Assembler()
    items = [item for number, one in enumerate(segments) for item in assembler.take(one, number * step)]
    for connection in assembler.connections.values():
        items += assembler.finish(connection, len(segments) * step)
    return items


def flowed(items: list[Item], side: int) -> bytes:
    return b"".join(item.data for item in items if isinstance(item, Bytes) and item.side == side)


@given(st.data())
def test_reordered_repeated_and_overlapping_segments_give_the_bytes_once(data: st.DataObject) -> None:
    first = data.draw(st.sampled_from([0, 5000, 2**32 - 150, 2**31 - 10]))
    stream = random.Random(1).randbytes(300)
    cuts = data.draw(st.lists(st.integers(1, 299), max_size=12))
    places = sorted({0, 300, *cuts})
    pieces = [(begin, end) for begin, end in itertools.pairwise(places)]
    extra = data.draw(st.lists(st.tuples(st.integers(0, 299), st.integers(1, 80)), max_size=6))
    pieces += [(begin, min(300, begin + size)) for begin, size in extra]
    order = data.draw(st.permutations(pieces))
    opening = [made(0, 7, 0, flags=SYN), made(1, first, -1, flags=SYN | ACK, acknowledged=8)]
    items = taken(opening + [made(1, first, begin, stream[begin:end], acknowledged=8) for begin, end in order])
    assert flowed(items, 1) == stream
    assert not any(isinstance(item, Gap) for item in items)
    assert [item.connection.from_start for item in items if isinstance(item, Opened)] == [True]


@given(st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_a_lost_segment_is_a_gap_of_its_size(lost: int, first: int) -> None:
    stream = random.Random(2).randbytes(100)
    opening = [made(0, 7, 0, flags=SYN), made(1, first, -1, flags=SYN | ACK, acknowledged=8)]
    rest = [made(1, first, at * 10, stream[at * 10 : at * 10 + 10]) for at in range(10) if at != lost]
    acknowledges = [made(0, 8, 0, acknowledged=first + 100)]
    for segments, step in ((opening + rest, 1000), (opening + rest + acknowledges * 3, 10**9)):
        items = taken(segments, step)
        assert flowed(items, 1) == stream[: lost * 10] + stream[lost * 10 + 10 :]
        assert [item.size for item in items if isinstance(item, Gap)] == [10]
        assert isinstance(items[-1], Bytes)


def test_what_was_cut_off_a_packet_is_a_gap_at_once() -> None:
    opening = [made(0, 7, 0, flags=SYN), made(1, 0, -1, flags=SYN | ACK, acknowledged=8)]
    cut = made(1, 0, 0, b"abc")
    cut.missing = 4
    items = taken([*opening, cut, made(1, 0, 7, b"xyz")])
    assert [item.size if isinstance(item, Gap) else item.data for item in items if isinstance(item, Gap | Bytes)] == [
        b"abc",
        4,
        b"xyz",
    ]


def test_an_end_waits_for_the_bytes_before_it_and_ports_are_used_again() -> None:
    opening = [made(0, 7, 0, flags=SYN), made(1, 0, -1, flags=SYN | ACK, acknowledged=8)]
    ending = [made(1, 0, 3, b"def", FIN | ACK), made(0, 8, 0, flags=FIN | ACK), made(1, 0, 0, b"abc")]
    again = [made(0, 900, 0, flags=SYN), made(1, 500, 0, b"new"), made(0, 901, 0, flags=RST)]
    items = taken(opening + ending + [made(0, 8, 1)] + again)
    ends = [(item.side, item.is_reset, item.closed) for item in items if isinstance(item, Ended)]
    assert ends == [(0, False, False), (1, False, True), (0, True, True)]
    assert flowed(items, 1) == b"abcdefnew"
    assert sum(isinstance(item, Opened) for item in items) == 2
