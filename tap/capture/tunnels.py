"""Encapsulations: one step for each kind of frame, tag and tunnel, from its header to what it carries.

Each layer names the next one in a numbering of its own: link types, IP protocols, UDP ports, PPP protocols. All are
mapped to EtherTypes, which have a number for everything that can follow: an Ethernet frame in a tunnel is 0x6558, PPP
0x880B. So a step takes the bytes and the place where its header begins, and returns the EtherType of what follows and
the place where that begins. It raises Unread if there is nothing to follow, and IndexError or struct.error if the header
is cut off. Steps ignore what may follow the packet in its frame (padding, checksums): the lengths in IP headers end it.

To add an encapsulation, write one function and enter it in the table of the layer that carries it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

IPV4, IPV6, ETHERNET = 0x0800, 0x86DD, 0x6558
_MPLS, _PPP, _ERSPAN, _ERSPAN_3 = 0x8847, 0x880B, 0x88BE, 0x22EB
_MIN_ETHERTYPE = 0x0600  # below it: the length of a frame of IEEE 802.3, which LLC follows

Step = Callable[[bytes, int], tuple[int, int]]

_short = struct.Struct("!H").unpack_from
_little = struct.Struct("<I").unpack_from


class Unread(Exception):
    """The packet holds no TCP that can be read; the text names its kind."""


class UnreadLinkType(Unread):
    """The link type of the packet is unknown; the argument is its number."""

    def __str__(self) -> str:
        return link_type_name(*self.args)


# ---- link types: https://www.tcpdump.org/linktypes.html ----


def _ip(data: bytes, at: int) -> tuple[int, int]:
    version = data[at] >> 4
    if version not in (4, 6):
        raise Unread("IP of an unknown version")
    return IPV4 if version == 4 else IPV6, at


def _after(size: int) -> Step:
    """The step over a header of *size* bytes that IP follows."""
    return lambda data, at: _ip(data, at + size)


def _ethernet(data: bytes, at: int) -> tuple[int, int]:
    return _typed(data, at + 12)


def _typed(data: bytes, at: int) -> tuple[int, int]:
    """Read an EtherType, or a length that LLC follows."""
    kind = data[at] << 8 | data[at + 1]
    return (kind, at + 2) if kind >= _MIN_ETHERTYPE else _llc(data, at + 2)


def _llc(data: bytes, at: int) -> tuple[int, int]:
    """IEEE 802.2; SNAP frames have EtherTypes."""
    head = data[at : at + 3]
    if head == b"\xaa\xaa\x03" and data[at + 3 : at + 6] == b"\0\0\0":
        return _typed(data, at + 6)
    raise Unread("STP" if head == b"\x42\x42\x03" else "IEEE 802.2 LLC")


def _cooked(data: bytes, at: int) -> tuple[int, int]:
    return _typed(data, at + 14)


def _cooked_2(data: bytes, at: int) -> tuple[int, int]:
    (kind,) = _short(data, at)
    return (kind, at + 20) if kind >= _MIN_ETHERTYPE else _llc(data, at + 20)


def _cisco_hdlc(data: bytes, at: int) -> tuple[int, int]:
    return _typed(data, at + 2)


def _nflog(data: bytes, at: int) -> tuple[int, int]:
    """4 bytes, then attributes in the byte order of the capturing machine; number 9 is the packet."""
    at += 4
    while True:
        length, kind = struct.unpack_from("<HH", data, at)
        if kind > 0xFF:
            length, kind = struct.unpack_from(">HH", data, at)
        if kind == 9:
            return _ip(data, at + 4)
        if length < 4:
            raise Unread("NFLOG without a packet")
        at += length + (-length & 3)


def _pktap(data: bytes, at: int) -> tuple[int, int]:
    """macOS: the header's length, whether a packet follows, and the packet's link type."""
    (length,), (link_type,) = _little(data, at), _little(data, at + 8)
    step = LINKS.get(link_type)
    if step is None or step is _pktap:
        raise UnreadLinkType(link_type)
    return step(data, at + length)


def _pflog(data: bytes, at: int) -> tuple[int, int]:
    length = data[at]
    return _ip(data, at + length + (-length & 3))


# ---- between Ethernet and IP ----


def _tag(data: bytes, at: int) -> tuple[int, int]:
    """IEEE 802.1Q and 802.1ad."""
    return _typed(data, at + 2)


def _provider_backbone(data: bytes, at: int) -> tuple[int, int]:
    """IEEE 802.1ah: another Ethernet frame follows the tag."""
    return ETHERNET, at + 4


def _mpls(data: bytes, at: int) -> tuple[int, int]:
    """RFC 3032. The label stack does not say what follows: IP, recognized by its version, or Ethernet (RFC 4448)."""
    while not data[at + 2] & 1:
        at += 4
    at += 4
    nibble = data[at] >> 4
    if nibble in (4, 6):
        return _ip(data, at)
    if nibble == 0 and _is_readable(data, at + 4 + 12):  # after the control word
        return ETHERNET, at + 4
    if _is_readable(data, at + 12):
        return ETHERNET, at
    raise Unread("MPLS without IP in it")


def _is_readable(data: bytes, at: int) -> bool:
    return _short(data, at)[0] in (IPV4, IPV6, *BY_ETHERTYPE)


def _pppoe(data: bytes, at: int) -> tuple[int, int]:
    """RFC 2516."""
    return _ppp(data, at + 6)


def _ppp(data: bytes, at: int) -> tuple[int, int]:
    """RFC 1661, with the framing of RFC 1662 or without; the protocol may be compressed to one byte."""
    if data[at : at + 2] == b"\xff\x03":
        at += 2
    kind, at = (data[at], at + 1) if data[at] & 1 else (data[at] << 8 | data[at + 1], at + 2)
    found = {0x0021: IPV4, 0x0057: IPV6, 0x0281: _MPLS}.get(kind)
    if found is None:
        raise Unread(f"PPP with an unknown protocol 0x{kind:04x}" if kind < 0x8000 else "PPP control")
    return found, at


# ---- in IP ----


def _ipv4(data: bytes, at: int) -> tuple[int, int]:
    return IPV4, at


def _ipv6(data: bytes, at: int) -> tuple[int, int]:
    return IPV6, at


def _mpls_in_ip(data: bytes, at: int) -> tuple[int, int]:
    return _MPLS, at


def _ether_ip(data: bytes, at: int) -> tuple[int, int]:
    """RFC 3378."""
    return ETHERNET, at + 2


def _gre(data: bytes, at: int) -> tuple[int, int]:
    """RFC 2784 and 2890; version 1, as PPTP uses it: RFC 2637."""
    flags, kind = struct.unpack_from("!HH", data, at)
    version = flags & 7
    if version == 1 and kind == _PPP:
        return _PPP, at + 8 + 4 * (bool(flags & 0x1000) + bool(flags & 0x0080))
    if version or flags & 0x4000:
        raise Unread(f"GRE of version {version}" if version else "GRE with routes")
    has_number = bool(flags & 0x1000)
    at += 4 + 4 * (bool(flags & 0x8000) + bool(flags & 0x2000) + has_number)
    if kind == _ERSPAN:
        return ETHERNET, at + 8 * has_number  # ERSPAN type I has neither a sequence number nor a header
    if kind == _ERSPAN_3:
        return _erspan_3(data, at)
    return _known("GRE", kind, at)


def _erspan_3(data: bytes, at: int) -> tuple[int, int]:
    """draft-foschiano-erspan, section 4.3."""
    behind = at + 12 + 8 * (data[at + 11] & 1)
    what = data[at + 10] >> 2 & 0x1F
    if what == 0:
        return ETHERNET, behind
    if what == 2:
        return _ip(data, behind)
    raise Unread(f"ERSPAN with an unknown frame type {what}")


def _udp(data: bytes, at: int) -> tuple[int, int]:
    step = BY_PORT.get(data[at + 2] << 8 | data[at + 3])
    if step is None:
        raise Unread("UDP")
    return step(data, at + 8)


# ---- in UDP ----


def _vxlan(data: bytes, at: int) -> tuple[int, int]:
    """RFC 7348; if the bit of VXLAN-GPE is set a protocol is named: draft-ietf-nvo3-vxlan-gpe."""
    flags = data[at]
    if not flags & 0x08:
        raise Unread("UDP")
    if not flags & 0x04:
        return ETHERNET, at + 8
    found = {1: IPV4, 2: IPV6, 3: ETHERNET, 5: _MPLS}.get(data[at + 3])
    if found is None:
        raise Unread(f"VXLAN-GPE with an unknown protocol {data[at + 3]}")
    return found, at + 8


def _geneve(data: bytes, at: int) -> tuple[int, int]:
    """RFC 8926."""
    if data[at] >> 6:
        raise Unread("UDP")
    return _known("Geneve", _short(data, at + 2)[0], at + 8 + 4 * (data[at] & 0x3F))


def _tzsp(data: bytes, at: int) -> tuple[int, int]:
    """TaZmen Sniffer Protocol, used by MikroTik's mirrors: fields until number 1; number 0 has no length."""
    if data[at] != 1 or data[at + 2 : at + 4] != b"\0\1":
        raise Unread("UDP")
    at += 4
    while data[at] != 1:
        at += 1 if data[at] == 0 else 2 + data[at + 1]
    return ETHERNET, at + 1


def _known(tunnel: str, kind: int, at: int) -> tuple[int, int]:
    if kind not in (IPV4, IPV6) and kind not in BY_ETHERTYPE and kind not in _ETHERTYPES:
        raise Unread(f"{tunnel} with an unknown protocol 0x{kind:04x}")
    return kind, at


# ---- the tables ----

LINKS: dict[int, Step] = {
    0: _after(4),
    1: _ethernet,
    9: _ppp,
    12: _ip,
    14: _ip,
    50: _ppp,
    51: _pppoe,
    101: _ip,
    104: _cisco_hdlc,
    108: _after(4),
    109: _after(12),
    113: _cooked,
    117: _pflog,
    228: _ip,
    229: _ip,
    239: _nflog,
    258: _pktap,
    276: _cooked_2,
}
BY_ETHERTYPE: dict[int, Step] = {
    ETHERNET: _ethernet,
    0x8100: _tag,
    0x8847: _mpls,
    0x8848: _mpls,
    0x8864: _pppoe,
    _PPP: _ppp,
    0x88A8: _tag,
    0x88E7: _provider_backbone,
    0x9100: _tag,
    0x9200: _tag,
}
BY_PROTOCOL: dict[int, Step] = {4: _ipv4, 17: _udp, 41: _ipv6, 47: _gre, 97: _ether_ip, 137: _mpls_in_ip}
BY_PORT: dict[int, Step] = {
    4754: _gre,  # RFC 8086
    4789: _vxlan,
    4790: _vxlan,
    6081: _geneve,
    6635: _mpls_in_ip,  # RFC 7510
    8472: _vxlan,  # Linux's default, older than the assigned port
    37008: _tzsp,
}

# ---- names of what cannot be read ----

_ETHERTYPES = {
    0x0806: "ARP",
    0x8035: "RARP",
    0x8809: "LACP",
    0x8863: "PPPoE discovery",
    0x888E: "EAPOL",
    0x88CC: "LLDP",
    0x88E5: "MACsec",
    0x88F7: "PTP",
    0x8902: "CFM",
    0x9000: "loopback test",
}
_PROTOCOLS = {
    1: "ICMP",
    2: "IGMP",
    50: "IPsec ESP",
    58: "ICMPv6",
    88: "EIGRP",
    89: "OSPF",
    103: "PIM",
    112: "VRRP",
    115: "L2TP",
    132: "SCTP",
}
_UNREAD_LINK_TYPES = {
    105: "IEEE 802.11",
    127: "IEEE 802.11 with radiotap",
    189: "USB",
    192: "PPI",
    201: "Bluetooth",
    220: "USB",
    249: "USB",
    251: "Bluetooth",
    253: "netlink",
}


def ethertype_name(kind: int) -> str:
    return _ETHERTYPES.get(kind, f"EtherType 0x{kind:04x}")


def protocol_name(protocol: int) -> str:
    return _PROTOCOLS.get(protocol, f"IP protocol {protocol}")


def link_type_name(link_type: int) -> str:
    name = _UNREAD_LINK_TYPES.get(link_type)
    return f"of link type {link_type}" + ("" if name is None else f" ({name})")
