"""The classic pcap container, in either byte order, with micro- or nanoseconds; and the choice of a file's reader.

Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Protocol

from tap.capture.pcapng import MAGIC, MAX_BLOCK, Packet, PcapngReader, accept
from tap.capture.problems import Problems

KINDS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


# Compression that is recognized but not read, and the command that undoes it.
_COMPRESSED = {
    b"\xfd7zX": ("xz", "xz -dk FILE"),
    b"BZh": ("bzip2", "bzip2 -dk FILE"),
    b"\x04\x22\x4d\x18": ("lz4", "lz4 -d FILE"),
    b"\x1f\x9d": ("compress", "gzip -dk FILE"),
    b"PK\x03\x04": ("zip", "unzip FILE"),
    b"7z\xbc\xaf": ("7-Zip", "7z x FILE"),
    b"LZIP": ("lzip", "lzip -dk FILE"),
    b"\x89LZO": ("lzop", "lzop -d FILE"),
    b"\x1f\x8b": ("gzip twice", "gzip -dk FILE"),
    b"\x28\xb5\x2f\xfd": ("zstd twice", "zstd -d FILE"),
}


class PacketReader(Protocol):
    """The reader of a container. The iterators it returns must be exhausted. problems: what could not be read."""

    problems: Problems

    def feed(self, data: bytes) -> Iterator[Packet]: ...

    def close(self) -> Iterator[Packet]: ...


class NotACapture(Exception):
    """The file is not a capture; the text says what it is instead."""


def reader_for(head: bytes, check_section: Callable[[str], None] = accept) -> PacketReader:
    """The reader for a file that begins with these bytes; four are enough. Raises NotACapture.

    check_section: see PcapngReader.
    """
    if head[:4] == MAGIC:
        return PcapngReader(check_section)
    if head[:4] in KINDS:
        return PcapReader()
    if not head:
        raise NotACapture("it is empty")
    for magic, (name, command) in _COMPRESSED.items():
        if head.startswith(magic):
            raise NotACapture(f"it is compressed with {name}, which is not read; decompress it first: {command}")
    if head.startswith((b"REDIS", b"VALKEY")):
        raise NotACapture("it is an RDB; see redis-tap rdb")
    raise NotACapture(f"it is not a capture, neither pcapng nor pcap: it begins with {head[:16]!r}")


class PcapReader:
    """Reads packets from the bytes of a file, however they are split. A record with an impossible length ends reading."""

    def __init__(self) -> None:
        self.problems = Problems()
        self._buffer = bytearray()
        self._start = 0  # of the buffer, in the file
        self._needed = 24  # bytes, before anything can be read
        self._heading: Callable[[bytes, int], tuple[int, ...]] | None = None
        self._unit: int  # nanoseconds
        self._link_type: int
        self._is_lost = False

    def feed(self, data: bytes) -> Iterator[Packet]:
        """As PcapngReader.feed."""
        if self._is_lost:
            return
        self._buffer += data
        if len(self._buffer) < self._needed:
            return
        buffer, at = bytes(self._buffer), 0
        if self._heading is None:
            order, self._unit = KINDS[buffer[:4]]
            self._heading = struct.Struct(order + "4I").unpack_from
            (link_type,) = struct.unpack_from(order + "I", buffer, 20)
            self._link_type = link_type & 0xFFFF  # the upper bits give the size of the checksum that ends each frame
            at = 24
        heading, unit, link_type = self._heading, self._unit, self._link_type
        end = len(buffer) - 16
        self._needed = 16
        while at <= end:
            seconds, fraction, captured, size = heading(buffer, at)
            if captured > MAX_BLOCK:
                self.problems.add(
                    "packets", f"byte {self._start + at}: damaged, a packet of {captured} bytes; the rest is not read"
                )
                self._is_lost = True
                self._buffer.clear()
                return
            if at + captured > end:
                self._needed = 16 + captured
                break
            time = seconds * 1_000_000_000 + fraction * unit
            yield Packet(time, link_type, buffer[at + 16 : at + 16 + captured], size)
            at += 16 + captured
        del self._buffer[:at]
        self._start += at

    def close(self) -> Iterator[Packet]:
        """Note the end of the file."""
        if self._buffer:
            self.problems.add(
                "ends", f"cut off: the last {len(self._buffer)} bytes, from byte {self._start} on, are not a whole packet"
            )
        return iter(())
