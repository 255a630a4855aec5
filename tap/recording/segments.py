"""TCP connections made of what a link received: SYN, data, FIN and RST as raw IP packets, with true sums and numbers."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from tap.recording.checksum import ones_sum

FIN = 0x01
SYN = 0x02
RST = 0x04
PUSH = 0x08
ACK = 0x10

MAX_DATA = 65_535 - 40  # an IPv4 packet says its length in 16 bits, both headers included
WINDOW = 65_535

_tcp_head = struct.Struct("!HHIIBBHHH").pack
_ipv4_head = struct.Struct("!BBHHHBBH").pack
_ipv6_head = struct.Struct("!IHBB").pack


@dataclass(frozen=True, slots=True)
class Endpoint:
    """host: an address in digits. Without a zone, which a packet cannot say."""

    host: str
    port: int


class Flow:
    """One connection of two endpoints, number 0, who opened it, and number 1.

    Sequence numbers begin at first[side]; every packet acknowledges all that the other side has sent before it.
    """

    def __init__(self, opener: Endpoint, other: Endpoint, first: tuple[int, int]) -> None:
        self._ports = opener.port, other.port
        hosts = [ipaddress.ip_address(end.host.partition("%")[0]) for end in (opener, other)]
        if hosts[0].version != hosts[1].version:  # one of them goes as an IPv4-mapped address, RFC 4291, 2.5.5.2
            hosts = [host if host.version == 6 else ipaddress.ip_address(f"::ffff:{host}") for host in hosts]
        self._hosts = hosts[0].packed, hosts[1].packed
        self._is_ipv4 = hosts[0].version == 4
        addresses = self._hosts[0] + self._hosts[1]
        self._address_sum = ones_sum(addresses) + 6  # of the pseudo header, but for the length
        heads = [
            _ipv4_head(0x45, 0, 0, 0, 0x4000, 64, 6, 0) + self._hosts[side] + self._hosts[1 - side] for side in (0, 1)
        ]
        self._ipv4_sum = ones_sum(heads[0])
        self._first = first
        self._next = [first[0], first[1]]
        self._acks = False  # until the other side has been heard

    def open(self) -> None:
        """As if the three packets that open it had been sent."""
        self.skip(0, 1)
        self.skip(1, 1)
        self._acks = True

    def position(self, side: int) -> int:
        """Bytes of the side until now, that has not ended."""
        return self._next[side] - self._first[side] - 1

    def skip(self, side: int, count: int) -> None:
        """That many bytes of the side are not in the recording."""
        self._next[side] += count

    def packet(self, side: int, flags: int, data: bytes | memoryview = b"") -> tuple[list[bytes | memoryview], int]:
        """The side's next packet, of at most MAX_DATA bytes: its pieces, and the bytes they are."""
        sequence = self._next[side] & 0xFFFFFFFF
        acknowledged = 0
        if side or self._acks:
            flags |= ACK
            acknowledged = self._next[1 - side] & 0xFFFFFFFF
        self._acks = self._acks or bool(side)
        size = 20 + len(data)
        options = b""
        if flags & SYN:
            # A window scale, so that 64 KB segments are no zero windows to who reads them.
            options = b"\x03\x03\x07\x00"
            size += 4
        source, target = self._ports[side], self._ports[1 - side]
        head = (
            _tcp_head(source, target, sequence, acknowledged, (5 + len(options) // 4) << 4, flags, WINDOW, 0, 0) + options
        )
        total = self._address_sum + size + ones_sum(head) + ones_sum(data)
        checksum = ~_folded(total) & 0xFFFF
        head = head[:16] + checksum.to_bytes(2, "big") + head[18:]
        self._next[side] += len(data) + bool(flags & SYN) + bool(flags & FIN)
        return [self._ip_head(side, size) + head, data], size + (20 if self._is_ipv4 else 40)

    def _ip_head(self, side: int, size: int) -> bytes:
        addresses = self._hosts[side] + self._hosts[1 - side]
        if not self._is_ipv4:
            return _ipv6_head(0x60000000, size, 6, 64) + addresses
        checksum = ~_folded(self._ipv4_sum + size + 20) & 0xFFFF
        return _ipv4_head(0x45, 0, size + 20, 0, 0x4000, 64, 6, checksum) + addresses


def _folded(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
