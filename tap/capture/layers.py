"""From a captured frame to the TCP segment in it, through whatever encapsulates it: see tunnels.py.

The same packet may have been captured inside a tunnel and outside of it. A segment does not record its encapsulation, so
both copies belong to the same connection, and its bytes count once.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from tap.capture.fragments import Fragments
from tap.capture.pcapng import Packet
from tap.capture.segments import Endpoint
from tap.capture.tunnels import (
    BY_ETHERTYPE,
    BY_PROTOCOL,
    IPV4,
    IPV6,
    LINKS,
    Unread,
    UnreadLinkType,
    ethertype_name,
    protocol_name,
)

MAX_LAYERS = 32  # frames, tags, tunnels; an MPLS label stack counts as one

_EXTENSIONS = {0, 43, 60, 135}  # of IPv6: hop by hop, routing, destination, mobility; length in units of 8
_FRAGMENT, _AUTHENTICATION = 44, 51
_TCP = 6

_ipv4_head = struct.Struct("!BxHHHxB2x4s4s").unpack_from
_ipv6_head = struct.Struct("!4xHBx16s16s").unpack_from
_tcp_head = struct.Struct("!HHIIBB").unpack_from


@dataclass(slots=True)
class Segment:
    """One TCP segment. data: the captured bytes; missing: bytes after them that were sent but not captured."""

    source: Endpoint
    target: Endpoint
    sequence: int
    acknowledged: int
    flags: int
    data: bytes
    missing: int


class Layers:
    """Finds the segments in the packets of a capture; holds fragments until their packet is complete."""

    def __init__(self) -> None:
        self._unread: Counter[str] = Counter()
        self._fragments = Fragments()

    @property
    def unread(self) -> dict[str, int]:
        """The number of packets so far without readable TCP, by kind, most first."""
        found = self._unread.copy()
        found["fragments of IP packets that are not whole"] = self._fragments.lost + self._fragments.waiting
        return {kind: count for kind, count in found.most_common() if count}

    def segment(self, packet: Packet) -> Segment | None:
        """The TCP segment in a packet, or in the one that a fragment completes; None if none can be read."""
        try:
            return self._segment(packet)
        except Unread as what:
            self._unread[str(what)] += 1
        except (IndexError, struct.error):
            self._unread["cut off in their headers" if packet.size > len(packet.data) else "malformed"] += 1
        return None

    def _segment(self, packet: Packet) -> Segment | None:
        data = packet.data
        limit = packet.size  # the end of the packet, by the lengths in all layers so far
        if limit < len(data):
            limit = len(data)
        step = LINKS.get(packet.link_type)
        if step is None:
            raise UnreadLinkType(packet.link_type)
        kind, at = step(data, 0)
        for _ in range(MAX_LAYERS):
            if kind == IPV4:
                first, length, number, fragment, protocol, source, target = _ipv4_head(data, at)
                if first >> 4 != 4:
                    raise Unread("malformed")
                end = at + length if length else limit  # 0: segmentation offload, longer than the field can express
                at += (first & 15) * 4
                if fragment & 0x3FFF:
                    key = source, target, number, protocol
                    is_last, place = not fragment & 0x2000, (fragment & 0x1FFF) * 8
                    whole = self._whole(key, place, is_last, data[at : min(end, limit)], end - at, packet.time)
                    if whole is None:
                        return None
                    (data, end), at = whole, 0
                    limit = end
            elif kind == IPV6:
                length, protocol, source, target = _ipv6_head(data, at)
                end = at + 40 + length if length else limit
                at += 40
            else:
                step = BY_ETHERTYPE.get(kind)
                if step is None:
                    raise Unread(ethertype_name(kind))
                kind, at = step(data, at)
                continue
            while protocol != _TCP:
                if protocol in _EXTENSIONS and kind == IPV6:
                    protocol, at = data[at], at + 8 + data[at + 1] * 8
                elif protocol == _AUTHENTICATION:
                    protocol, at = data[at], at + 8 + data[at + 1] * 4
                elif protocol == _FRAGMENT and kind == IPV6:
                    protocol, fragment, number = struct.unpack_from("!BxHI", data, at)
                    at += 8
                    if not fragment & 0xFFF9:
                        continue
                    key = source, target, number, protocol
                    is_last, place = not fragment & 1, fragment & 0xFFF8
                    whole = self._whole(key, place, is_last, data[at : min(end, limit)], end - at, packet.time)
                    if whole is None:
                        return None
                    (data, end), at = whole, 0
                    limit = end
                else:
                    break
            if end < limit:
                limit = end
            if protocol == _TCP:
                return _tcp(data, at, end, limit, source, target)
            step = BY_PROTOCOL.get(protocol)
            if step is None:
                raise Unread(protocol_name(protocol))
            kind, at = step(data, at)
        raise Unread(f"in more than {MAX_LAYERS} tunnels and tags")

    def _whole(
        self, key: tuple[bytes, bytes, int, int], place: int, is_last: bool, data: bytes, size: int, time: int
    ) -> tuple[bytes, int] | None:
        if size <= 0 or (size % 8 and not is_last):
            raise Unread("malformed")
        return self._fragments.add(key, place, is_last, data, size, time)


def _tcp(data: bytes, at: int, end: int, limit: int, source: bytes, target: bytes) -> Segment:
    source_port, target_port, sequence, acknowledged, words, flags = _tcp_head(data, at)
    begin = at + (words >> 4) * 4
    if begin > end or begin < at + 20:
        raise Unread("malformed")
    captured = data[begin:limit]  # without Ethernet's padding
    return Segment(
        _endpoint(source, source_port),
        _endpoint(target, target_port),
        sequence,
        acknowledged,
        flags,
        captured,
        end - begin - len(captured),
    )


@lru_cache(4096)
def _endpoint(host: bytes, port: int) -> Endpoint:
    return Endpoint(str(ipaddress.ip_address(host)), port)
