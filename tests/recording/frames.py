"""Frames, tags and tunnels around packets of IP, made by the RFCs."""

from __future__ import annotations

import ipaddress
import struct

from tap.capture.packets import TcpFlow
from tap.capture.segments import PUSH, Endpoint
from tests.recording.support import next_packets, plain_sum

MACS = bytes.fromhex("02 00 00 00 00 01 02 00 00 00 00 02")
HERE, THERE = "192.0.2.1", "192.0.2.2"  # between which tunnels are
ENDS = Endpoint("10.0.0.1", 50000), Endpoint("10.0.0.2", 6379)
SIXES = Endpoint("fd00::1", 50000), Endpoint("fd00::2", 6379)


def ip(data: bytes = b"hello", ends: tuple[Endpoint, Endpoint] = ENDS) -> bytes:
    (packet,) = next_packets(TcpFlow(*ends, (100, 200)), 0, PUSH, data)
    return packet


def ethernet(kind: int, data: bytes) -> bytes:
    return MACS + kind.to_bytes(2, "big") + data


def of(packet: bytes) -> int:
    """The EtherType of a packet of IP."""
    return 0x0800 if packet[0] >> 4 == 4 else 0x86DD


def frame(packet: bytes) -> bytes:
    """Ethernet around a packet of IP."""
    return ethernet(of(packet), packet)


def ipv4(protocol: int, data: bytes, *, number: int = 0, fragment: int = 0, options: bytes = b"") -> bytes:
    """fragment: flags and place, in units of 8 bytes."""
    words = 5 + len(options) // 4
    head = bytearray(
        struct.pack("!BBHHHBBH", 0x40 | words, 0, words * 4 + len(data), number, fragment, 64, protocol, 0)
        + ipaddress.ip_address(HERE).packed
        + ipaddress.ip_address(THERE).packed
        + options
    )
    head[10:12] = (0xFFFF - plain_sum(bytes(head))).to_bytes(2, "big")
    return bytes(head) + data


def ipv6(protocol: int, data: bytes) -> bytes:
    hosts = ipaddress.ip_address("2001:db8::1").packed + ipaddress.ip_address("2001:db8::2").packed
    return struct.pack("!IHBB", 6 << 28, len(data), protocol, 64) + hosts + data


def udp(port: int, data: bytes) -> bytes:
    return ipv4(17, struct.pack("!HHHH", 50123, port, 8 + len(data), 0) + data)


def vxlan(inner: bytes, port: int = 4789) -> bytes:
    return udp(port, b"\x08\0\0\0" + b"\0\0\x2a\0" + inner)


def gre(kind: int, inner: bytes, *, flags: int = 0, fields: bytes = b"") -> bytes:
    return ipv4(47, struct.pack("!HH", flags, kind) + fields + inner)


def geneve(kind: int, inner: bytes, options: bytes = b"") -> bytes:
    return udp(6081, struct.pack("!BBHI", len(options) // 4, 0, kind, 42 << 8) + options + inner)


def label(number: int, is_last: bool) -> bytes:
    """An MPLS label."""
    return struct.pack("!I", number << 12 | is_last << 8 | 64)


def nflog(packet: bytes, order: str = "<") -> bytes:
    """As Linux delivers it: the hook's number and the prefix, then the packet."""

    def attribute(kind: int, value: bytes) -> bytes:
        return struct.pack(f"{order}HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)

    family = 2 if packet[0] >> 4 == 4 else 10
    return (
        struct.pack("!BBH", family, 0, 5) + attribute(1, b"\x08\0\1\0") + attribute(10, b"tap\0") + attribute(9, packet)
    )


def pieces(packet: bytes, size: int, number: int = 7) -> list[bytes]:
    """A packet of IPv4 without options, or of IPv6 without extensions, in fragments of size bytes, a multiple of 8."""
    is_4 = packet[0] >> 4 == 4
    data = packet[20:] if is_4 else packet[40:]
    found = []
    for at in range(0, len(data), size):
        more, part = at + size < len(data), data[at : at + size]
        if is_4:
            head = bytearray(packet[:20])
            head[2:8] = struct.pack("!HHH", 20 + len(part), number, more << 13 | at // 8)
            head[10:12] = b"\0\0"
            head[10:12] = (0xFFFF - plain_sum(bytes(head))).to_bytes(2, "big")
            found.append(bytes(head) + part)
        else:
            extension = struct.pack("!BBHI", packet[6], 0, at | more, number)
            found.append(packet[:4] + struct.pack("!HB", 8 + len(part), 44) + packet[7:40] + extension + part)
    return found
