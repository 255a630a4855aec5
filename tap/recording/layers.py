"""From a captured frame to the TCP segment in it: Ethernet, VLAN tags, Linux cooked (v1, v2), loopback, raw IP."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from functools import lru_cache

from tap.recording.pcapng import Packet
from tap.recording.segments import Endpoint

_NULL, _ETHERNET, _LOOP, _COOKED, _COOKED_2 = 0, 1, 108, 113, 276
_RAW = {12, 14, 101, 228, 229}
KNOWN_LINK_TYPES = {_NULL, _ETHERNET, _LOOP, _COOKED, _COOKED_2, *_RAW}

_VLAN_TAGS = {0x8100, 0x88A8, 0x9100}
_IPV4, _IPV6 = 0x0800, 0x86DD
_EXTENSIONS = {0, 43, 60, 135}  # of IPv6: hop by hop, routing, destination, mobility; length in units of 8
_FRAGMENT, _AUTHENTICATION = 44, 51
_TCP = 6

_tcp_head = struct.Struct("!HHIIBB").unpack_from


@dataclass(slots=True)
class Segment:
    """data: what was captured; missing: bytes behind it that were on the wire and are not in the capture."""

    source: Endpoint
    target: Endpoint
    sequence: int
    acknowledged: int
    flags: int
    data: bytes
    missing: int


def segment(packet: Packet) -> Segment | None:
    """The TCP segment in a packet; None if there is none, or its headers are cut off."""
    data = packet.data
    try:
        at = _network_layer(packet.link_type, data)
        if at is None:
            return None
        version = data[at] >> 4
        if version == 4:
            return _ipv4(data, at, packet.size)
        return _ipv6(data, at, packet.size) if version == 6 else None
    except (IndexError, struct.error):
        return None


def _network_layer(link_type: int, data: bytes) -> int | None:
    """Where the IP header begins."""
    if link_type in _RAW:
        return 0
    if link_type in (_NULL, _LOOP):
        return 4
    if link_type == _COOKED:
        at = 14
    elif link_type == _COOKED_2:
        at = 0
    elif link_type == _ETHERNET:
        at = 12
    else:
        return None
    kind = data[at] << 8 | data[at + 1]
    at += 20 if link_type == _COOKED_2 else 2
    while kind in _VLAN_TAGS:
        kind = data[at + 2] << 8 | data[at + 3]
        at += 4
    return at if kind in (_IPV4, _IPV6) else None


def _ipv4(data: bytes, at: int, size: int) -> Segment | None:
    length, _, fragment = struct.unpack_from("!HHH", data, at + 2)
    if data[at + 9] != _TCP or fragment & 0x3FFF:
        return None
    end = at + length if length else size  # 0: offloaded, longer than it can say
    return _tcp(data, at + (data[at] & 15) * 4, end, data[at + 12 : at + 16], data[at + 16 : at + 20])


def _ipv6(data: bytes, at: int, size: int) -> Segment | None:
    (length,) = struct.unpack_from("!H", data, at + 4)
    end = at + 40 + length if length else size
    kind, hosts = data[at + 6], (data[at + 8 : at + 24], data[at + 24 : at + 40])
    at += 40
    while kind != _TCP:
        if kind in _EXTENSIONS:
            kind, at = data[at], at + 8 + data[at + 1] * 8
        elif kind == _AUTHENTICATION:
            kind, at = data[at], at + 8 + data[at + 1] * 4
        elif kind == _FRAGMENT and not (data[at + 2] << 8 | data[at + 3]) & 0xFFF9:
            kind, at = data[at], at + 8
        else:
            return None
    return _tcp(data, at, end, *hosts)


def _tcp(data: bytes, at: int, end: int, source: bytes, target: bytes) -> Segment | None:
    ports_and_more = _tcp_head(data, at)
    begin = at + (ports_and_more[4] >> 4) * 4
    if begin > end or begin < at + 20:
        return None
    captured = data[begin:end]  # not what Ethernet padded it with
    return Segment(
        _endpoint(source, ports_and_more[0]),
        _endpoint(target, ports_and_more[1]),
        ports_and_more[2],
        ports_and_more[3],
        ports_and_more[5],
        captured,
        end - begin - len(captured),
    )


@lru_cache(4096)
def _endpoint(host: bytes, port: int) -> Endpoint:
    return Endpoint(str(ipaddress.ip_address(host)), port)
