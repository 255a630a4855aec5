"""Captures concatenated in one file (mergecap -a, cat), recognized by the time of their packets.

Within a capture time goes forward, except for the small amount by which packets of several queues or interfaces are
mixed up, and except when a clock is set. A step back over much of the elapsed time is neither: there another capture
begins. It may hold the other direction of the same connections, so it has to be merged with the part before it.

Only the headers of packets are read, which costs little compared with reading the packets. The search for parts ends at
the first header that cannot be read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tap.capture.pcap import KINDS
from tap.capture.pcapng import APPLICATION, ENHANCED_PACKET, INTERFACE, MAGIC, MAX_BLOCK, OLD_PACKET, PcapngReader

HEADING = 256  # bytes within which the first block of a file names its writer
MAX_PARTS = 16  # the file is read once for each
MIXED_UP = 100_000_000  # nanoseconds; a smaller step back is a mix-up of packets
CLOCK_SET = 10_000_000_000  # nanoseconds; a smaller step back, over less than half of the elapsed time, is a clock set


class PartCounter:
    """Assigns packets, one after the other, to parts numbered from 0 on."""

    def __init__(self) -> None:
        self._number = 0
        self._first: int | None = None
        self._latest = 0

    def part(self, time: int) -> int:
        """The part of the next packet, whose time this is."""
        back = self._latest - time
        if self._first is None:
            self._first = self._latest = time
        elif back > MIXED_UP and (back > CLOCK_SET or back > (self._latest - self._first) // 2):
            self._number += 1
            self._first = self._latest = time
        elif back < 0:
            self._latest = time
        return self._number


def count_parts(chunks: Iterator[bytes]) -> int:
    """The number of parts in a capture with these bytes. A recording of redis-tap is always one part."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEADING:
            break
    if head[:4] == MAGIC and APPLICATION.encode() not in head[: int.from_bytes(head[4:8], "little")]:
        times = _pcapng_times(head, chunks)
    elif head[:4] in KINDS:
        times = _pcap_times(head, chunks)
    else:
        return 1
    steps, number = PartCounter(), 0
    for time in times:
        number = steps.part(time)
        if number == MAX_PARTS:
            return 1  # the times are meaningless
    return number + 1


def _pcap_times(head: bytes, chunks: Iterator[bytes]) -> Iterator[int]:
    order, unit = KINDS[head[:4]]
    heading = struct.Struct(order + "3I").unpack_from
    buffer, at = bytearray(head), 24
    while True:
        end = len(buffer) - 16
        while at <= end:
            seconds, fraction, captured = heading(buffer, at)
            if captured > MAX_BLOCK:
                return
            yield seconds * 1_000_000_000 + fraction * unit
            at += 16 + captured
        at = _drop(buffer, at)
        chunk = next(chunks, None)
        if chunk is None:
            return
        buffer += chunk


def _pcapng_times(head: bytes, chunks: Iterator[bytes]) -> Iterator[int]:
    described = PcapngReader()  # gets only sections and interfaces, which say how times are encoded
    buffer, at, order = bytearray(head), 0, "<"
    while True:
        while at + 28 <= len(buffer):
            if buffer[at : at + 4] == MAGIC:
                order = "<" if buffer[at + 8] == 0x4D else ">"
            kind, length = struct.unpack_from(order + "II", buffer, at)
            if not 12 <= length <= MAX_BLOCK or length % 4:
                return
            if kind in (ENHANCED_PACKET, OLD_PACKET):
                number, high, low = struct.unpack_from(order + "III", buffer, at + 8)
                number = number if kind == ENHANCED_PACKET else number >> 16 if order == ">" else number & 0xFFFF
                if number >= len(described.interfaces):
                    return
                yield described.interfaces[number].nanoseconds(high << 32 | low)
            elif kind == INTERFACE or buffer[at : at + 4] == MAGIC:
                if at + length > len(buffer):
                    break
                list(described.feed(bytes(buffer[at : at + length])))
            at += length
        at = _drop(buffer, at)
        chunk = next(chunks, None)
        if chunk is None:
            return
        buffer += chunk


def _drop(buffer: bytearray, at: int) -> int:
    """Delete the buffer up to *at*. Returns the same place in the rest."""
    passed = min(at, len(buffer))
    del buffer[:passed]
    return at - passed
