"""A TCP segment is found in every encapsulation; packets that are not read are named."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.capture.layers import MAX_LAYERS, Layers, Segment
from tap.capture.pcapng import Packet
from tap.capture.tunnels import LINKS
from tests.recording.frames import (
    ENDS,
    SIXES,
    ethernet,
    frame,
    geneve,
    gre,
    ip,
    ipv4,
    ipv6,
    label,
    nflog,
    pieces,
    udp,
    vxlan,
)
from tests.recording.support import tshark

V4, V6 = ip(), ip(ends=SIXES)
ARP = ethernet(0x0806, bytes(28))
COOKED = struct.pack("!HHHQ", 0, 1, 6, 0)
COOKED_2 = struct.pack("!HIHBBQ", 0, 3, 1, 0, 6, 0)
SNAP = b"\xaa\xaa\x03\0\0\0\x08\0"
PPPOE = b"\x11\0\0\1" + struct.pack("!HH", len(V4) + 2, 0x21) + V4
ERSPAN_2 = bytes.fromhex("1001 0000 00000000")
ERSPAN_3 = bytes.fromhex("2001 0000 00000000 0000 0000")
ERSPAN_3_LONGER = ERSPAN_3[:11] + b"\1" + bytes(8)
FRAMES = {
    "ethernet": (1, frame(V4)),
    "ethernet, padded": (1, frame(V4) + bytes(6)),
    "vlan": (1, ethernet(0x8100, b"\x00\x05\x08\x00" + V4)),
    "two vlans": (1, ethernet(0x88A8, b"\x00\x05\x81\x00\x00\x05\x86\xdd" + V6)),
    "802.3 with SNAP": (1, ethernet(len(SNAP + V4), SNAP + V4)),
    "802.1ah": (1, ethernet(0x88E7, bytes(4) + frame(V4))),
    "cooked": (113, COOKED + b"\x08\x00" + V4),
    "cooked, vlan": (113, COOKED + b"\x81\x00\x00\x05\x08\x00" + V4),
    "cooked 2": (276, b"\x08\x00" + COOKED_2 + V4),
    "loopback": (0, b"\x02\0\0\0" + V4),
    "loopback, OpenBSD": (108, b"\0\0\0\x1e" + V6),
    "raw": (101, V4),
    "raw 6": (101, V6),
    "raw, as ipv4": (228, V4),
    "raw, as ipv6": (229, V6),
    "raw, as BSD has it": (12, V4),
    "raw, as OpenBSD has it": (14, V6),
    "vlan, before it had a number": (1, ethernet(0x9100, b"\0\5\x08\0" + V4)),
    "vlan, of another maker": (1, ethernet(0x9200, b"\0\5\x08\0" + V4)),
    "ipv4 with options": (
        101,
        V4[:1].replace(b"\x45", b"\x46") + V4[1:3] + bytes([V4[3] + 4]) + V4[4:20] + bytes(4) + V4[20:],
    ),
    "ipv6 with extensions": (
        101,
        V6[:4]
        + (len(V6) - 40 + 16).to_bytes(2, "big")
        + b"\0"
        + V6[7:40]
        + b"\x2c\0"
        + bytes(6)
        + b"\x06\0"
        + bytes(6)
        + V6[40:],
    ),
    "authentication": (101, ipv4(51, b"\x04\4" + bytes(22) + V4)),
    "nflog": (239, nflog(V4)),
    "nflog, of a big-endian machine": (239, nflog(V6, ">")),
    "pktap": (258, struct.pack("<III", 108, 1, 1) + bytes(96) + frame(V4)),
    "pflog": (117, b"\x3d\2" + bytes(62) + V4),
    "enc": (109, struct.pack("<I", 2) + bytes(8) + V4),
    "ppp": (9, b"\x00\x21" + V4),
    "ppp, framed": (50, b"\xff\x03\x00\x57" + V6),
    "ppp, compressed": (9, b"\x21" + V4),
    "cisco hdlc": (104, b"\x0f\0\x08\0" + V4),
    "pppoe": (1, ethernet(0x8864, PPPOE)),
    "pppoe itself": (51, PPPOE),
    "mpls": (1, ethernet(0x8847, label(16, False) + label(17, True) + V4)),
    "mpls, multicast": (1, ethernet(0x8848, label(17, True) + V6)),
    "mpls, ethernet": (1, ethernet(0x8847, label(17, True) + frame(V4))),
    "mpls, ethernet with a control word": (1, ethernet(0x8847, label(17, True) + b"\0\0\0\5" + frame(V4))),
    "ipip": (1, frame(ipv4(4, V4))),
    "ipip with options": (1, frame(ipv4(4, V4, options=bytes(4)))),
    "sit": (1, frame(ipv4(41, V6))),
    "ip4 in ip6": (1, frame(ipv6(4, V4))),
    "ip6 in ip6": (1, frame(ipv6(41, V6))),
    "mpls in ip": (1, frame(ipv4(137, label(17, True) + V4))),
    "etherip": (1, frame(ipv4(97, b"\x30\0" + frame(V4)))),
    "gre": (1, frame(gre(0x0800, V4))),
    "gre, every field": (1, frame(gre(0x86DD, V6, flags=0xB000, fields=bytes(12)))),
    "gretap": (1, frame(gre(0x6558, frame(V4), flags=0x2000, fields=bytes(4)))),
    "gre, mpls": (1, frame(gre(0x8847, label(17, True) + V4))),
    "pptp": (1, frame(gre(0x880B, b"\xff\x03\x21" + V4, flags=0x3081, fields=bytes(12)))),
    "pptp, without an acknowledgement": (1, frame(gre(0x880B, b"\xff\x03\x21" + V4, flags=0x3001, fields=bytes(8)))),
    "ppp in gre": (1, frame(gre(0x880B, b"\xff\x03\x00\x21" + V4))),
    "erspan 1": (1, frame(gre(0x88BE, frame(V4)))),
    "erspan 2": (1, frame(gre(0x88BE, ERSPAN_2 + frame(V4), flags=0x1000, fields=bytes(4)))),
    "erspan 3": (1, frame(gre(0x22EB, ERSPAN_3 + frame(V4), flags=0x1000, fields=bytes(4)))),
    "erspan 3, longer": (1, frame(gre(0x22EB, ERSPAN_3_LONGER + frame(V4), flags=0x1000, fields=bytes(4)))),
    "vxlan": (1, frame(vxlan(frame(V4)))),
    "vxlan, as before it had a port": (1, frame(vxlan(frame(V6), 8472))),
    "vxlan-gpe": (1, frame(udp(4790, b"\x0c\0\0\1" + b"\0\0\x2a\0" + V4))),
    "vxlan, vlan inside": (1, frame(vxlan(ethernet(0x8100, b"\0\5\x08\0" + V4)))),
    "geneve": (1, frame(geneve(0x6558, frame(V4)))),
    "geneve, ip, with options": (1, frame(geneve(0x0800, V4, bytes(8)))),
    "gre in udp": (1, frame(udp(4754, struct.pack("!HH", 0, 0x0800) + V4))),
    "mpls in udp": (1, frame(udp(6635, label(17, True) + V4))),
    "tzsp": (1, frame(udp(37008, b"\1\0\0\1" + b"\x0a\1\0\0\1" + frame(V4)))),
    "vxlan in gretap in geneve": (1, frame(geneve(0x6558, frame(gre(0x6558, frame(vxlan(frame(V4)))))))),
}

# The same with other fields in the headers: each is as long as it says, and each field stands where it must.
VARIANTS = {
    "nflog, odd attributes": (
        239,
        b"\2\0\0\5"
        + b"".join(struct.pack("<HH", 4 + size, 10) + bytes(size) + bytes(-size % 4) for size in (0, 1, 2, 3, 4, 5))
        + struct.pack("<HH", 4 + len(V4), 9)
        + V4,
    ),
    "nflog, an attribute of the highest kind": (239, bytes(4) + struct.pack("<HHI", 8, 255, 0) + nflog(V4)[4:]),
    "nflog, big-endian, odd attributes": (
        239,
        b"\2\0\0\5" + struct.pack(">HH", 5, 10) + b"x\0\0\0" + struct.pack(">HH", 4 + len(V4), 9) + V4,
    ),
    **{f"pflog of {size}": (117, bytes([size]) + bytes(size - 1 + -size % 4) + V4) for size in (61, 62, 63, 64)},
    "pktap, shorter": (258, struct.pack("<III", 16, 1, 101) + bytes(4) + V6),
    "enc, 6": (109, bytes(12) + V6),
    "cooked with SNAP": (113, COOKED + b"\0\x08" + SNAP + V4),
    "cooked 2 with SNAP": (276, b"\0\4" + COOKED_2 + SNAP + V4),
    "cooked 2, the lowest EtherType that is one": (276, b"\x08\0" + COOKED_2 + V4),
    "cisco hdlc, 6": (104, b"\x8f\0\x86\xdd" + V6),
    "ppp, mpls": (9, b"\x02\x81" + label(17, True) + V4),
    "ppp, 6, compressed": (9, b"\xff\x03\x57" + V6),
    "mpls, three labels": (1, ethernet(0x8847, label(16, False) + label(18, False) + label(17, True) + V6)),
    "mpls, ethernet with a vlan": (1, ethernet(0x8847, label(17, True) + ethernet(0x8100, b"\0\5\x08\0" + V4))),
    "mpls, ethernet of 6": (1, ethernet(0x8847, label(17, True) + frame(V6))),
    **{
        f"gre, fields {flags:#x}": (
            1,
            frame(gre(0x0800, V4, flags=flags, fields=bytes(4 * (flags & 0xB000).bit_count()))),
        )
        for flags in (0x8000, 0x2000, 0x1000, 0xA000, 0x9000, 0x3000)
    },
    "pptp, without a number": (1, frame(gre(0x880B, b"\xff\x03\x21" + V4, flags=0x2081, fields=bytes(8)))),
    "erspan 1 with a key": (1, frame(gre(0x88BE, frame(V4), flags=0x2000, fields=bytes(4)))),
    "erspan 3, ip": (1, frame(gre(0x22EB, ERSPAN_3[:10] + b"\x08\0" + V4, flags=0x1000, fields=bytes(4)))),
    "erspan 3, ip, longer": (1, frame(gre(0x22EB, ERSPAN_3[:10] + b"\x08\1" + bytes(8) + V6))),
    "erspan 3, other bits": (1, frame(gre(0x22EB, ERSPAN_3[:10] + b"\x83\xfe" + frame(V4)))),
    "vxlan-gpe, 6": (1, frame(udp(4790, b"\x0c\0\0\2" + bytes(4) + V6))),
    "vxlan-gpe, ethernet": (1, frame(udp(4790, b"\x0c\0\0\3" + bytes(4) + frame(V4)))),
    "vxlan-gpe, mpls": (1, frame(udp(4790, b"\x0c\0\0\5" + bytes(4) + label(17, True) + V4))),
    "vxlan, other flags": (1, frame(udp(4789, b"\xfb\0\0\1" + bytes(4) + frame(V4)))),
    "geneve, 6, with options": (1, frame(geneve(0x86DD, V6, bytes(4 * 63)))),
    "geneve, other flags": (1, frame(udp(6081, b"\0\xff\x65\x58" + bytes(4) + frame(V4)))),
    "tzsp, without fields": (1, frame(udp(37008, b"\1\0\0\1" + b"\1" + frame(V4)))),
    "tzsp, fields of every size": (
        1,
        frame(udp(37008, b"\1\0\0\1" + b"\0\0" + b"\x0a\0" + b"\x0b\2\1\1" + b"\2\5\1\1\1\1\1" + b"\0\1" + frame(V6))),
    ),
}

UNKNOWN_TO_TSHARK = {"vlan, of another maker", "pktap", "gre in udp", "ppp, compressed", "nflog, of a big-endian machine"}


def found(link_type: int, data: bytes, size: int | None = None) -> Segment | str:
    """The segment, or the kind of packet it is instead."""
    layers = Layers()
    segment = layers.segment(Packet(0, link_type, data, len(data) if size is None else size))
    if segment is not None:
        assert not layers.unread
        return segment
    ((kind, count),) = layers.unread.items()
    assert count == 1
    return kind


@pytest.mark.parametrize("name", [*FRAMES, *VARIANTS])
def test_a_segment_is_found_in_every_frame(name: str) -> None:
    segment = found(*(FRAMES | VARIANTS)[name])
    assert isinstance(segment, Segment)
    assert (segment.data, segment.sequence, segment.missing) == (b"hello", 100, 0)
    assert (segment.source, segment.target) in (ENDS, SIXES)


@pytest.mark.parametrize("name", FRAMES)
def test_a_cut_frame_lacks_bytes_or_is_not_read(name: str) -> None:
    link_type, data = FRAMES[name]
    for length in range(len(data)):
        segment = found(link_type, data[:length], len(data))
        if isinstance(segment, Segment):
            assert b"hello".startswith(segment.data)
            assert len(segment.data) + segment.missing == 5


@pytest.mark.parametrize("inside", ["", "pwethnocw", "pwethcw"], ids=repr)
def test_tshark_finds_the_same_segments(inside: str, tmp_path: Path) -> None:
    """In one file, each frame with its own interface. inside: what tshark is told about the payload of label 17."""
    names = [name for name in FRAMES if name not in UNKNOWN_TO_TSHARK and behind_a_label(name) == inside]
    path = tmp_path / "all.pcapng"
    interfaces = [block(1, struct.pack("<HHI", FRAMES[name][0], 0, 0)) for name in names]
    frames = [
        block(6, struct.pack("<5I", number, 0, 0, *2 * [len(FRAMES[name][1])]) + FRAMES[name][1])
        for number, name in enumerate(names)
    ]
    path.write_bytes(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + b"".join(interfaces + frames))
    as_told = ["-d", "udp.port==8472,vxlan", *(["-d", f"mpls.label==17,{inside}"] if inside else [])]
    said = tshark(path, *as_told, "-T", "fields", "-e", "tcp.payload", "-e", "tcp.seq_raw", "-e", "tcp.dstport")
    found = dict(zip(names, [line.split() for line in said.splitlines()], strict=True))
    assert found == {name: [b"hello".hex(), "100", "6379"] for name in names}


def behind_a_label(name: str) -> str:
    if "mpls, ethernet" not in name:
        return ""
    return "pwethcw" if "control" in name else "pwethnocw"


def block(kind: int, body: bytes) -> bytes:
    """A block of a pcapng file."""
    padded = body + bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(padded))
    return struct.pack("<I", kind) + size + padded + size


@pytest.mark.parametrize(
    ("kind", "link_type", "data"),
    [
        ("ARP", 1, ARP),
        ("ARP", 1, frame(vxlan(ARP))),
        ("ARP", 113, COOKED + ARP[12:]),
        ("LLDP", 1, ethernet(0x88CC, bytes(20))),
        ("EtherType 0x1234", 1, ethernet(0x1234, bytes(20))),
        ("STP", 1, ethernet(38, b"\x42\x42\x03" + bytes(35))),
        ("IEEE 802.2 LLC", 1, ethernet(38, b"\xfe\xfe\x03" + bytes(35))),
        ("UDP", 1, frame(udp(53, bytes(20)))),
        ("UDP", 1, frame(udp(8472, bytes(20)))),
        ("UDP", 1, frame(udp(37008, bytes(20)))),
        ("UDP", 1, frame(udp(6081, b"\xff" * 20))),
        ("UDP", 1, frame(udp(6081, b"\x40\0\x65\x58" + bytes(20)))),
        ("UDP", 1, frame(udp(4789, b"\xf7" + bytes(20)))),
        ("UDP", 1, frame(udp(37008, b"\2\0\0\1\1" + frame(V4)))),
        ("UDP", 1, frame(udp(37008, b"\1\0\0\2\1" + frame(V4)))),
        ("UDP", 1, frame(udp(37008, b"\1\0\1\1\1" + frame(V4)))),
        ("GRE of version 1", 1, frame(gre(0x880B, V4, flags=1)[:22] + b"\x08\0" + V4)),
        ("GRE of version 2", 1, frame(gre(0x880B, V4, flags=2))),
        ("IEEE 802.2 LLC", 1, ethernet(40, b"\xaa\xaa\x03\0\0\1\x08\0" + V4)),
        ("IEEE 802.2 LLC", 1, ethernet(40, b"\xaa\xaa\x13\0\0\0\x08\0" + V4)),
        ("IEEE 802.2 LLC", 1, ethernet(0x05FF, bytes(40))),
        ("IEEE 802.2 LLC", 113, COOKED + b"\0\1" + bytes(40)),
        ("IEEE 802.2 LLC", 276, b"\5\xff" + COOKED_2 + bytes(40)),
        ("EtherType 0x0600", 276, b"\6\0" + COOKED_2 + bytes(40)),
        ("IP of an unknown version", 0, b"\2\0\0\0\x70" + V4[1:]),
        ("PPP control", 9, b"\x80\x21" + bytes(20)),
        ("PPP control", 9, b"\x80\0" + bytes(20)),
        ("PPP with an unknown protocol 0x7efd", 9, b"\x7e\xfd" + bytes(20)),
        ("NFLOG without a packet", 239, bytes(4) + struct.pack("<HH", 3, 1) + bytes(40)),
        ("malformed", 239, bytes(4) + struct.pack("<HH", 4, 1)),
        ("ICMP", 1, frame(ipv4(1, bytes(8)))),
        ("ICMPv6", 101, ipv6(58, bytes(8))),
        ("IPsec ESP", 1, frame(ipv4(50, bytes(20)))),
        ("IP protocol 253", 101, ipv4(253, bytes(8))),
        ("GRE with an unknown protocol 0x88bf", 1, frame(gre(0x88BF, bytes(20)))),
        ("GRE with an unknown protocol 0x0000", 1, frame(gre(0, b""))),
        ("GRE of version 1", 1, frame(gre(0x0800, V4, flags=1))),
        ("GRE of version 3", 1, frame(gre(0x0800, V4, flags=3))),
        ("GRE with routes", 1, frame(gre(0x0800, V4, flags=0x4000))),
        ("Geneve with an unknown protocol 0x894f", 1, frame(geneve(0x894F, bytes(20)))),
        ("VXLAN-GPE with an unknown protocol 4", 1, frame(udp(4790, b"\x0c\0\0\4" + bytes(20)))),
        ("ERSPAN with an unknown frame type 1", 1, frame(gre(0x22EB, ERSPAN_3[:10] + b"\4\0" + bytes(40)))),
        ("PPP control", 1, ethernet(0x8864, b"\x11\0\0\1\0\6\xc0\x21\1\1\0\4")),
        ("PPP with an unknown protocol 0x003d", 9, b"\0\x3d" + bytes(20)),
        ("PPPoE discovery", 1, ethernet(0x8863, bytes(20))),
        ("MPLS without IP in it", 1, ethernet(0x8847, label(17, True) + b"\x10\0\0\x21" + bytes(30))),
        ("NFLOG without a packet", 239, nflog(b"\x45")[:16] + bytes(8)),
        ("IP of an unknown version", 101, b"\x50" + V4[1:]),
        ("malformed", 1, ethernet(0x0800, b"\x50" + V4[1:])),
        ("malformed", 1, frame(V4[:32] + b"\x10" + V4[33:])),
        ("malformed", 1, frame(V4)[:30]),
        ("of link type 105 (IEEE 802.11)", 105, bytes(40)),
        ("of link type 147", 147, bytes(40)),
        ("of link type 147", 258, struct.pack("<III", 108, 1, 147) + bytes(136)),
        ("of link type 258", 258, struct.pack("<III", 108, 1, 258) + bytes(136)),
    ],
)
def test_packets_that_are_not_read_are_named(kind: str, link_type: int, data: bytes) -> None:
    assert found(link_type, data) == kind


def test_packets_cut_off_in_their_headers_are_named() -> None:
    assert found(1, frame(V4)[:40], len(frame(V4))) == "cut off in their headers"


def test_kinds_are_listed_most_frequent_first() -> None:
    layers = Layers()
    for data in (ARP, frame(V4), frame(udp(53, b"")), ARP, frame(pieces(V4, 8)[0])):
        layers.segment(Packet(0, 1, data, len(data)))
    assert layers.unread == {"ARP": 2, "UDP": 1, "fragments of IP packets that are not whole": 1}


def test_nesting_of_tunnels_is_limited() -> None:
    packet = V4
    for _ in range(MAX_LAYERS - 2):
        packet = ipv4(4, packet)
    assert isinstance(found(1, frame(packet)), Segment)
    assert found(1, frame(ipv4(4, ipv4(4, packet)))) == f"in more than {MAX_LAYERS} tunnels and tags"


def test_a_mirror_that_cuts_a_packet_leaves_a_gap_of_the_cut_bytes() -> None:
    """The outer packet is whole, the inner one gives its original length."""
    for size in range(6):
        segment = found(1, frame(vxlan(frame(V4)[: len(frame(V4)) - size])) + b"padding")
        assert isinstance(segment, Segment)
        assert (segment.data, segment.missing) == (b"hello"[: 5 - size], size)


def test_a_packet_too_long_for_its_length_field_is_as_long_as_its_frame() -> None:
    """As segmentation offload produces them."""
    for packet in (V4[:2] + bytes(2) + V4[4:], V6[:4] + bytes(2) + V6[6:]):
        for data in (frame(packet), frame(vxlan(frame(packet)))):
            segment = found(1, data)
            assert isinstance(segment, Segment)
            assert (segment.data, segment.missing) == (b"hello", 0)


@given(st.sampled_from([*LINKS, 147]), st.binary(max_size=120))
def test_no_frame_raises_an_exception(link_type: int, data: bytes) -> None:
    found(link_type, data)


@given(st.sampled_from(sorted(FRAMES)), st.data())
def test_no_damage_raises_an_exception(name: str, draw: st.DataObject) -> None:
    link_type, whole = FRAMES[name]
    data = bytearray(whole)
    for at in draw.draw(st.lists(st.integers(0, len(data) - 1), max_size=4)):
        data[at] = draw.draw(st.integers(0, 255))
    found(link_type, bytes(data))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ARP", 0x0806),
        ("RARP", 0x8035),
        ("LACP", 0x8809),
        ("PPPoE discovery", 0x8863),
        ("EAPOL", 0x888E),
        ("LLDP", 0x88CC),
        ("MACsec", 0x88E5),
        ("PTP", 0x88F7),
        ("CFM", 0x8902),
        ("loopback test", 0x9000),
        ("EtherType 0x0600", 0x0600),
    ],
)
def test_other_ethertypes_have_names(name: str, kind: int) -> None:
    assert found(1, ethernet(kind, bytes(20))) == name
    named = name if not name.startswith("EtherType") else f"GRE with an unknown protocol 0x{kind:04x}"
    assert found(101, gre(kind, bytes(20))) == named


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("ICMP", 1),
        ("IGMP", 2),
        ("IPsec ESP", 50),
        ("ICMPv6", 58),
        ("EIGRP", 88),
        ("OSPF", 89),
        ("PIM", 103),
        ("VRRP", 112),
        ("L2TP", 115),
        ("SCTP", 132),
        ("IP protocol 44", 44),  # of IPv6 alone
        ("IP protocol 60", 60),
    ],
)
def test_other_ip_protocols_have_names(name: str, protocol: int) -> None:
    assert found(101, ipv4(protocol, bytes(24))) == name


@pytest.mark.parametrize(
    ("name", "link_type"),
    [
        ("IEEE 802.11", 105),
        ("IEEE 802.11 with radiotap", 127),
        ("USB", 189),
        ("PPI", 192),
        ("Bluetooth", 201),
        ("USB", 220),
        ("USB", 249),
        ("Bluetooth", 251),
        ("netlink", 253),
    ],
)
def test_other_link_types_have_names(name: str, link_type: int) -> None:
    assert found(link_type, bytes(40)) == f"of link type {link_type} ({name})"


def test_each_encapsulation_is_among_the_frames() -> None:
    assert {link_type for link_type, _ in FRAMES.values()} == set(LINKS)


# ---- headers, field by field ----


def six(*headers: tuple[int, bytes], last: int = 6, data: bytes = V6[40:]) -> bytes:
    """A packet of IPv6. headers: the kind of each, and the bytes after its first."""
    kinds = [kind for kind, _ in headers] + [last]
    said = b"".join(bytes([following]) + rest for following, (_, rest) in zip(kinds[1:], headers, strict=True))
    return V6[:4] + struct.pack("!HB", len(said + data), kinds[0]) + V6[7:40] + said + data


@pytest.mark.parametrize("kind", [0, 43, 60, 135])
@pytest.mark.parametrize("units", [0, 1, 3])
def test_an_extension_of_ipv6_is_as_long_as_it_says(kind: int, units: int) -> None:
    segment = found(101, six((kind, bytes([units]) + bytes(6 + 8 * units))))
    assert isinstance(segment, Segment)
    assert segment.data == b"hello"


def test_ipv6_authentication_and_atomic_fragments_are_passed() -> None:
    authentication = (51, bytes([4]) + bytes(22))
    for headers in ([authentication], [(44, bytes(7))], [(44, b"\0\0\6" + bytes(4))], [(44, bytes(7)), authentication]):
        segment = found(101, six(*headers))
        assert isinstance(segment, Segment)
        assert segment.data == b"hello"


def test_a_segment_has_the_numbers_of_its_header() -> None:
    tcp = struct.pack("!HHIIBBHHH", 40000, 6379, 2**32 - 1, 77, 0x50, 0x12, 9, 0, 0)
    segment = found(101, ipv4(6, tcp + b"data"))
    assert isinstance(segment, Segment)
    assert (segment.sequence, segment.acknowledged, segment.flags, segment.data) == (2**32 - 1, 77, 0x12, b"data")
    assert [(end.host, end.port) for end in (segment.source, segment.target)] == [
        ("192.0.2.1", 40000),
        ("192.0.2.2", 6379),
    ]


@pytest.mark.parametrize(("words", "data"), [(4, None), (5, b"12345678"), (6, b"5678"), (7, b""), (8, None)])
def test_a_tcp_header_has_its_stated_length_and_lies_in_its_packet(words: int, data: bytes | None) -> None:
    tcp = struct.pack("!HHIIBBHHH", 40000, 6379, 1, 1, words << 4, 0x10, 9, 0, 0)
    segment = found(101, ipv4(6, tcp + b"12345678"))
    assert (segment.data if isinstance(segment, Segment) else None) == data
    assert isinstance(segment, Segment) or segment == "malformed"


@pytest.mark.parametrize(
    ("size", "is_last", "kind"), [(0, True, "malformed"), (12, False, "malformed"), (8, False, None)]
)
def test_a_fragment_has_bytes_and_ends_at_a_multiple_of_eight(size: int, is_last: bool, kind: str | None) -> None:
    fragment = 2 if is_last else 0x2000 | 2
    six_fragment = struct.pack("!BHI", 0, 16 | (not is_last), 7)
    for packet in (ipv4(6, bytes(size), number=7, fragment=fragment), six((44, six_fragment), data=bytes(size))):
        layers = Layers()
        assert layers.segment(Packet(0, 101, packet, len(packet))) is None
        assert layers.unread == {kind or "fragments of IP packets that are not whole": 1}
