"""IP fragments: reassembled in any order, never mixed, and bounded."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.capture.fragments import MAX_PACKETS, MAX_PIECES, MAX_WAIT, Fragments
from tap.capture.layers import Layers
from tap.capture.pcapng import Packet
from tests.recording.frames import SIXES, frame, ip, ipv4, ipv6, pieces, vxlan


def taken(packets: list[bytes], step: int = 1000) -> tuple[list[bytes], int]:
    """The data of the segments in them, and the number of fragments that belong to none."""
    layers = Layers()
    segments = [layers.segment(Packet(at * step, 1, frame(one), len(frame(one)))) for at, one in enumerate(packets)]
    return [one.data for one in segments if one is not None], sum(layers.unread.values())


BIG = bytes(range(256)) * 8


@pytest.mark.parametrize("packet", [ip(BIG), ip(BIG, SIXES), vxlan(frame(ip(BIG))), ipv6(41, ip(BIG, SIXES))])
@pytest.mark.parametrize("size", [16, 512, 1480])
def test_fragments_are_reassembled_in_any_order_and_with_copies(packet: bytes, size: int) -> None:
    found = pieces(packet, size)
    for order in (found, found[::-1], [*found[1:], *found[:1]], [*found, *found], [one for one in found for _ in (0, 1)]):
        assert taken(order) == ([BIG], 0)


def test_fragments_of_many_packets_may_be_interleaved() -> None:
    packets = [ip(bytes([number]) * 100) for number in range(50)]
    found = [pieces(packet, 32, number) for number, packet in enumerate(packets)]
    mixed = [one for some in itertools.zip_longest(*found) for one in some if one is not None]
    assert sorted(taken(mixed)[0]) == [bytes([number]) * 100 for number in range(50)]


def test_a_missing_fragment_costs_only_its_packet() -> None:
    found = pieces(ip(BIG), 512)
    whole = pieces(ip(b"whole" * 20), 32, 8)
    assert taken([*found[:2], *whole, *found[3:]]) == ([b"whole" * 20], 4)


def test_fragments_that_wait_too_long_are_given_up() -> None:
    """By then the identification belongs to another packet."""
    first, second = pieces(ip(b"a" * 100), 64), pieces(ip(b"b" * 100), 64)
    assert taken([first[0], second[1], second[0]], 2 * 10**9) == ([], 3)
    assert taken([first[0], *second], 10**9 + 1) == ([], 3)
    assert taken([first[0], *second], 10**3) == ([b"b" * 100], 1)


@pytest.mark.parametrize("overlap", ["before", "behind", "same place", "past the end", "second last"])
def test_fragments_that_contradict_one_another_are_not_mixed(overlap: str) -> None:
    def piece(place: int, data: bytes, more: bool = True) -> bytes:
        return ipv4(6, data, number=7, fragment=more << 13 | place // 8)

    other = {
        "before": piece(24, b"x" * 16),
        "behind": piece(40, b"x" * 16),
        "same place": piece(32, b"x" * 16),
        "past the end": piece(64, b"x" * 8),
        "second last": piece(48, b"x" * 4, more=False),
    }[overlap]
    begin = [piece(32, b"y" * 16)] if overlap in ("before", "behind", "same place") else [piece(48, b"y" * 8, more=False)]
    data, lost = taken([*begin, other])
    assert (data, lost) == ([], 2)


def test_what_is_cut_off_a_fragment_is_missing_with_everything_after_it() -> None:
    layers = Layers()
    found = pieces(ip(BIG), 512)
    segments = [layers.segment(Packet(0, 101, one[:100], len(one))) for one in found]
    assert segments[:-1] == [None] * (len(found) - 1)
    segment = segments[-1]
    assert segment is not None
    assert (segment.data, segment.missing) == (BIG[:60], len(BIG) - 60)


def test_waiting_fragments_are_bounded() -> None:
    layers = Layers()
    for number in range(3000):
        one = pieces(ip(b"a" * 60_000), 32_000, number)[0]
        layers.segment(Packet(number, 101, one, len(one)))
    fragments = layers._fragments
    assert fragments.waiting == 2**24 // 32_000
    assert fragments.lost == 3000 - fragments.waiting
    tiny = Layers()
    for number in range(3000):
        one = pieces(ip(b"a" * 60), 32, number)[0]
        tiny.segment(Packet(number, 101, one, len(one)))
    assert tiny._fragments.waiting == 1024


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(0, 40), st.integers(0, 3)), max_size=30))
def test_no_fragments_raise_an_exception(parts: list[tuple[int, bool, int, int]]) -> None:
    layers = Layers()
    for place, more, size, number in parts:
        one = ipv4(6, bytes(size), number=number, fragment=more << 13 | place)
        layers.segment(Packet(0, 101, one, len(one)))


# ---- at the borders ----


def fragment(
    fragments: Fragments, number: int, place: int, time: int = 0, *, size: int = 8, is_last: bool = False
) -> int:
    """What comes out: bytes of a whole packet, 0 for none."""
    found = fragments.add(number, place, is_last, bytes(size), size, time)
    return 0 if found is None else found[1]


def test_a_fragment_waits_for_its_time_and_no_longer() -> None:
    for late, size in ((0, 16), (1, 0)):
        fragments = Fragments()
        fragment(fragments, 1, 0, 100)
        assert fragment(fragments, 1, 8, 100 + MAX_WAIT + late, is_last=True) == size
        assert (fragments.lost, fragments.waiting) == (late, late)


def test_a_late_copy_of_a_fragment_does_not_begin_a_packet_within_that_time() -> None:
    for late in (0, 1):
        fragments = Fragments()
        fragment(fragments, 1, 0, 100)
        assert fragment(fragments, 1, 8, 200, is_last=True) == 16
        assert fragment(fragments, 1, 0, 200 + MAX_WAIT + late) == 0
        assert fragments.waiting == late


def test_a_packet_in_too_many_pieces_is_given_up() -> None:
    fragments = Fragments()
    for number in range(MAX_PIECES):
        fragment(fragments, 1, 8 * number)
    assert (fragments.waiting, fragments.lost) == (MAX_PIECES, 0)
    fragment(fragments, 1, 8 * MAX_PIECES)
    assert (fragments.waiting, fragments.lost) == (0, MAX_PIECES + 1)


def test_with_too_many_packets_the_oldest_is_given_up() -> None:
    fragments = Fragments()
    for number in range(MAX_PACKETS + 1):
        fragment(fragments, number, 0)
    assert (fragments.waiting, fragments.lost) == (MAX_PACKETS, 1)
    assert fragment(fragments, 0, 8, is_last=True) == 0  # it begins another packet, and the next oldest is given up
    assert fragment(fragments, 2, 8, is_last=True) == 16
    assert fragment(fragments, 1, 8, is_last=True) == 0


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ((8, 8, False), (0, 8, False), True),
        ((8, 8, False), (16, 8, False), True),
        ((8, 8, False), (8, 16, False), False),
        ((8, 16, False), (0, 16, False), False),
        ((0, 16, False), (8, 8, False), False),
        ((8, 8, True), (16, 8, False), False),
        ((8, 8, True), (0, 16, False), False),
        ((16, 8, True), (8, 8, True), False),  # two ends
        ((16, 8, False), (8, 8, True), False),  # an end before bytes that have come
        ((0, 8, False), (8, 8, True), True),
    ],
)
def test_fragments_fit_if_they_can_belong_to_one_packet(
    first: tuple[int, int, bool], second: tuple[int, int, bool], fits: bool
) -> None:
    fragments = Fragments()
    for place, size, is_last in (first, second):
        fragment(fragments, 1, place, size=size, is_last=is_last)
    assert fragments.lost == (not fits)
