"""Blocks of pcapng: what is written is read back, and damage costs only what is near it."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.capture import pcapng
from tap.capture.pcapng import Packet, PcapngReader
from tests.recording.packed import comments, times, unpacked
from tests.recording.support import block

contents = st.lists(st.tuples(times, st.binary(max_size=70), comments), max_size=12)


def packed(packets: list[tuple[int, bytes, tuple[str, ...]]]) -> bytes:
    out = [pcapng.heading("test")]
    for time, data, said in packets:
        out += [block(time, data, said)]
    return b"".join(out)


@given(contents, st.lists(st.integers(0, 2000)))
def test_what_is_written_is_read_back_however_it_is_split(
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
def test_a_flipped_bit_costs_only_what_is_near_it(place: int, bit: int) -> None:
    packets: list[tuple[int, bytes, tuple[str, ...]]] = [(number, bytes([number]) * 40, ()) for number in range(1, 20)]
    data = bytearray(packed(packets))
    begin, end = len(packed(packets[:5])), len(packed(packets[:6]))
    data[begin + place % (end - begin)] ^= 1 << bit
    found, _ = unpacked([bytes(data)])
    whole = {one.data for one in found}
    assert {packet[1] for packet in packets[:5] + packets[6:]} <= whole


@given(st.binary(max_size=300))
def test_no_bytes_raise_an_exception(data: bytes) -> None:
    unpacked([packed([])[: len(data)], data])
    unpacked([packed([(1, b"x", ())]), data])


def test_both_byte_orders_and_other_resolutions_are_read() -> None:
    def block(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, 12 + len(body)) + body + struct.pack(">I", 12 + len(body))

    data = block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack(">HHI", 1, 0, 0))  # microseconds, the default
    data += block(1, struct.pack(">HHIHHB3xHHqHH", 101, 0, 0, 9, 1, 0x8A, 14, 8, 100, 0, 0))  # 1024ths of a second
    data += block(6, struct.pack(">5I", 0, 0, 1_000_001, 4, 9) + b"abcd")
    data += block(0x0BAD, b"")
    data += block(6, struct.pack(">5I", 1, 0, 1536, 2, 2) + b"ab\0\0")
    found, problems = unpacked([data])
    assert found == [Packet(1_000_001_000, 1, b"abcd", 9), Packet(101_500_000_000, 101, b"ab", 2)]
    assert not problems


# ---- every kind of block, and every kind of damage ----


def raw(kind: int, body: bytes, length: int | None = None) -> bytes:
    size = struct.pack("<I", 12 + len(body) if length is None else length)
    return struct.pack("<I", kind) + size + body + size


SECTION = raw(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(link_type: int = 101, options: bytes = b"") -> bytes:
    return raw(1, struct.pack("<HHI", link_type, 0, 0) + options)


def enhanced(number: int = 0, ticks: int = 5, data: bytes = b"abcd", size: int | None = None, rest: bytes = b"") -> bytes:
    head = struct.pack("<5I", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data) if size is None else size)
    return raw(6, head + data + bytes(-len(data) % 4) + rest)


def of(*blocks: bytes) -> tuple[list[Packet], list[str]]:
    found, problems = unpacked([b"".join(blocks)])
    return found, list(problems)


def test_a_file_of_a_tap_begins_with_its_section_and_its_interface() -> None:
    head = pcapng.heading("test 1")
    name = struct.pack("<HH", 4, 6) + b"test 1\0\0" + bytes(4)
    described = struct.pack("<HH", 2, 9) + b"redis-tap\0\0\0" + struct.pack("<HH", 9, 1) + b"\x09\0\0\0" + bytes(4)
    section = raw(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + name)
    assert head == section + interface(101, described)


def test_the_comments_of_a_section_are_checked_before_its_packets() -> None:
    heard: list[str | int] = []
    reader = PcapngReader(heard.append)
    data = pcapng.heading("test", "one", "two") + block(1, b"data", ("other",)) + pcapng.heading("test", "three")
    for at in range(len(data)):
        heard += [packet.time for packet in reader.feed(data[at : at + 1])]
    assert heard == ["one", "two", 1, "three"]


def test_a_comment_that_is_too_long_is_cut() -> None:
    assert pcapng.comments(["x" * 65_001, "y"]) == (
        struct.pack("<HH", 1, 65_000) + b"x" * 65_000 + struct.pack("<HH", 1, 1) + b"y\0\0\0" + bytes(4)
    )


def test_an_empty_comment_at_the_end_of_a_block_is_a_comment() -> None:
    found, problems = of(SECTION, interface(), enhanced(rest=struct.pack("<HH", 1, 0)))
    assert ([packet.comments for packet in found], problems) == ([("",)], [])


def test_a_packet_without_a_time_gets_that_of_the_previous_one() -> None:
    def simple(size: int, data: bytes) -> bytes:
        return raw(3, struct.pack("<I", size) + data)

    found, problems = of(
        SECTION, interface(1), simple(4, b"abcd"), enhanced(ticks=7), simple(3, b"abc\0"), simple(900, b"abcd")
    )
    assert not problems
    assert [(one.time, one.link_type, one.data, one.size) for one in found] == [
        (0, 1, b"abcd", 4),
        (7000, 1, b"abcd", 4),
        (7000, 1, b"abc", 3),
        (7000, 1, b"abcd", 900),
    ]


def test_obsolete_packet_blocks_are_read_too() -> None:
    old = raw(2, struct.pack("<HHIIII", 1, 0xFFFF, 1, 2, 3, 9) + b"abc\0" + pcapng.comments(["said"]))
    found, problems = of(SECTION, interface(1), interface(101), old)
    assert (found, problems) == ([Packet(((1 << 32) + 2) * 1000, 101, b"abc", 9, ("said",))], [])


@pytest.mark.parametrize(
    ("options", "time"),
    [
        (b"", 5_000),
        (struct.pack("<HHB3x", 9, 1, 9), 5),
        (struct.pack("<HHB3x", 9, 1, 0), 5 * 10**9),
        (struct.pack("<HHB3x", 9, 1, 0x81), 25 * 10**8),
        (struct.pack("<HHB3x", 9, 1, 3) + struct.pack("<HHq", 14, 8, 2), 2_005_000_000),
        (bytes(4) + struct.pack("<HHB3x", 9, 1, 9), 5_000),  # after the end of the options
        (struct.pack("<HHB3xHH", 77, 1, 1, 9, 0) + struct.pack("<HHI", 14, 4, 2), 5_000),  # missing, or of another size
    ],
)
def test_the_time_of_a_packet_is_counted_as_its_interface_says(options: bytes, time: int) -> None:
    found, problems = of(SECTION, interface(101, options), enhanced())
    assert ([one.time for one in found], problems) == ([time], [])


def test_an_impossible_time_is_reported_once_and_replaced_by_that_of_the_previous_packet() -> None:
    late = struct.pack("<HHB3x", 9, 1, 0)  # seconds
    first = 2**64 // 10**9
    found, problems = of(
        SECTION, interface(101, late), enhanced(ticks=first), enhanced(ticks=first + 1), enhanced(ticks=2**63)
    )
    assert [one.time for one in found] == [first * 10**9] * 3
    at = len(SECTION + interface(101, late) + enhanced())
    assert problems == [
        f"byte {at}: a packet, maybe not the only one: its time is out of range; the time of the packet before is used"
    ]
    early = struct.pack("<HHq", 14, 8, -1)
    assert [one.time for one in of(SECTION, interface(101, early), enhanced(ticks=1_000_000), enhanced(ticks=9))[0]] == [
        0,
        0,
    ]


def test_a_packet_of_an_undescribed_interface_is_read_as_a_tap_writes_it() -> None:
    found, problems = of(SECTION, interface(1), enhanced(1, 7), enhanced(0, 7), enhanced(9, 8))
    assert [(one.time, one.link_type) for one in found] == [(7, 101), (7000, 1), (8, 101)]
    assert problems == [
        f"byte {len(SECTION + interface(1))}: a packet, maybe not the only one: its interface is not described, the "
        "file's head may be damaged; read as a tap writes it"
    ]


@pytest.mark.parametrize("kind", [0, 2**31, 4, 5, 0x0BAD])
def test_other_blocks_describe_no_interface(kind: int) -> None:
    other = raw(kind, struct.pack("<HHI", 113, 0, 0))
    found, problems = of(SECTION, interface(1), other, interface(12), other, enhanced(0), enhanced(1))
    assert ([one.link_type for one in found], problems) == ([1, 12], [])


def test_a_section_begins_with_no_interfaces() -> None:
    found, problems = of(SECTION, interface(1), SECTION, interface(101), enhanced(0))
    assert ([one.link_type for one in found], problems) == ([101], [])


def test_no_more_interfaces_are_kept_than_a_section_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcapng, "MAX_INTERFACES", 2)
    found, problems = of(SECTION, interface(1), interface(12), interface(14), enhanced(1), enhanced(2))
    assert [one.link_type for one in found] == [12, 101]
    assert len(problems) == 1


def test_a_block_damaged_inside_is_left_out_alone() -> None:
    wrong = raw(6, struct.pack("<5I", 0, 0, 5, 400, 4) + b"abcd")
    just = raw(6, struct.pack("<5I", 0, 0, 5, 5, 4) + b"abcd")  # a byte more than there is
    short = raw(6, b"abcd")
    found, problems = of(SECTION, interface(), wrong, enhanced(), just, short, enhanced())
    assert len(found) == 2
    at = len(SECTION + interface())
    assert problems == [
        f"byte {at + before}: a block that is damaged inside; left out"
        for before in (0, len(wrong + enhanced()), len(wrong + enhanced() + just))
    ]


@pytest.mark.parametrize(
    "junk", [bytes(4), b"junk" * 5, raw(6, bytes(20), 33), raw(6, b"", 8), raw(7, b"abcd", 2**24 + 4)]
)
def test_damage_is_reported_with_its_range_and_skipped(junk: bytes) -> None:
    begin = len(SECTION + interface() + enhanced())
    for pieces in (1, 4, 10**6):
        data = SECTION + interface() + enhanced() + junk + enhanced() + raw(0x0BAD, b"") + enhanced()
        found, problems = unpacked([data[at : at + pieces] for at in range(0, len(data), pieces)])
        assert len(found) == 3
        assert list(problems) == [f"bytes {begin} to {begin + len(junk)} are damaged; skipped"]


def test_a_block_of_the_largest_size_is_not_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcapng, "MAX_BLOCK", 64)
    assert of(SECTION, interface(), raw(0x0BAD, bytes(52)), enhanced())[1] == []
    assert len(of(SECTION, interface(), raw(0x0BAD, bytes(56)), enhanced())[1]) == 1
    assert of(SECTION, interface(), raw(0x0BAD, b""), enhanced())[1] == []
    assert of(SECTION, interface(), enhanced(), raw(0x0BAD, b""))[1] == []


@pytest.mark.parametrize("left", [4, 12, 31, 35])
def test_a_truncated_block_is_reported_with_its_position(left: int) -> None:
    begin = len(SECTION + interface())
    for cut_before in (0, 1):
        data = SECTION + interface() + enhanced()[:left]
        pieces = [data[:begin], data[begin:]] if cut_before else [data]
        assert list(unpacked(pieces)[1]) == [
            f"cut off: the last {left} bytes, from byte {begin} on, are not a whole block"
        ]


def test_after_a_block_that_never_ends_others_are_read() -> None:
    begin = len(SECTION + interface())
    data = SECTION + interface() + struct.pack("<II", 6, 4000) + enhanced()
    found, problems = unpacked([data])
    assert len(found) == 1
    assert list(problems) == [f"bytes {begin} to {begin + 8} are damaged; skipped"]
