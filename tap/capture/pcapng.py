"""The pcapng container: blocks read from bytes and written as bytes. Nothing here opens a file.

Two libraries were tried first, dpkt 1.9.8 and python-pcapng 2.1.1; neither goes on after a damaged block. The reader of
dpkt drops packet comments, returns times as floats, which cannot hold nanoseconds, and knows a single interface; dpkt
writes 150,000 packets a second. python-pcapng keeps comments and reads 70,000 packets a second. tap.capture.packets
writes four million.

Source of the format: draft-ietf-opsawg-pcapng, sections 3 and 4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tap.capture.problems import Problems

SECTION = 0x0A0D0D0A
INTERFACE = 1
OLD_PACKET = 2
SIMPLE_PACKET = 3
ENHANCED_PACKET = 6
MAGIC = b"\x0a\x0d\x0d\x0a"
RAW_IP = 101  # LINKTYPE_RAW: the packet begins with its IPv4 or IPv6 header

MAX_BLOCK = 2**24  # bytes; packets are smaller than 300 KB, and a longer block than this is taken for damage
MAX_INTERFACES = 2**16  # of a section
MAX_TIME = 2**64  # nanoseconds since the epoch: the year 2554
APPLICATION = "redis-tap"  # by which a recording names its writer
MAX_COMMENT = 65_000  # an option's length has 16 bits

_COMMENT = 1
_HARDWARE_OS_APPLICATION = 4
_NAME = 2
_RESOLUTION = 9
_OFFSET = 14

_length = struct.Struct("<I").pack
_option_head = struct.Struct("<HH").pack
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


@dataclass(slots=True)  # not frozen: that would double the time to create one
class Packet:
    """A captured packet.

    time: nanoseconds since the epoch. link_type: a LINKTYPE number. data: the captured bytes; size: bytes on the wire.
    comments: those of its block, oldest first.
    """

    time: int
    link_type: int
    data: bytes
    size: int
    comments: tuple[str, ...] = ()


# ---- out ----


def heading(application: str, *texts: str) -> bytes:
    """The beginning of a file: a section header, and its one interface of raw IP packets with times in nanoseconds.

    texts: the comments of the section.
    """
    options = _option(_HARDWARE_OS_APPLICATION, application.encode()) + comments(texts)
    section = _block(SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options)
    options = _option(_NAME, APPLICATION.encode()) + _option(_RESOLUTION, b"\x09") + _option(0, b"")
    return section + _block(INTERFACE, struct.pack("<HHI", RAW_IP, 0, 0) + options)


def comments(texts: Sequence[str]) -> bytes:
    """The options of a block with these comments."""
    return b"".join(_option(_COMMENT, text.encode()[:MAX_COMMENT]) for text in texts) + _option(0, b"")


def _option(code: int, value: bytes) -> bytes:
    return _option_head(code, len(value)) + value + _PADDING[len(value) & 3]


def _block(kind: int, body: bytes) -> bytes:
    length = _length(12 + len(body))
    return _length(kind) + length + body + length


# ---- in ----


@dataclass(slots=True)
class _Interface:
    link_type: int
    per_second: int = 1_000_000
    offset: int = 0  # seconds

    def nanoseconds(self, ticks: int) -> int:
        return ticks * 1_000_000_000 // self.per_second + self.offset * 1_000_000_000


def accept(comment: str) -> None:
    """The check that accepts every section."""


class PcapngReader:
    """Reads packets out of the bytes of a file, however they are split, and goes on after a damaged block.

    check_section: called with each comment in the header of a section, before any packet of that section; its exceptions
    propagate out of feed(). problems: what could not be read.
    """

    def __init__(self, check_section: Callable[[str], None] = accept) -> None:
        self._check_section = check_section
        self.problems = Problems()
        self._buffer = bytearray()
        self._start = 0  # of the buffer, in the file
        self._order = "<"
        self.interfaces: list[_Interface] = []
        self._damaged_from: int | None = None
        self._last = 0
        self._said: set[str] = set()

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Take the file's next bytes and yield the packets they complete. Exhaust the iterator before the next call."""
        self._buffer += data
        return self._packets(at_end=False)

    def close(self) -> Iterator[Packet]:
        """Yield what the end of the file still allows, and note an incomplete block. Exhaust this iterator, too."""
        begin = self._start if self._damaged_from is None else self._damaged_from
        known = len(self.problems)
        yield from self._packets(at_end=True)
        end = self._start + len(self._buffer)
        if self._damaged_from is None and self._buffer:
            self._damaged_from = self._start
        if self._damaged_from == begin and len(self.problems) == known:
            self.problems.add(
                "ends", f"cut off: the last {end - begin} bytes, from byte {begin} on, are not a whole block"
            )
        else:
            self._end_damage(end)

    def _packets(self, at_end: bool) -> Iterator[Packet]:
        """at_end: an incomplete block stays incomplete, and there may be whole ones after its beginning."""
        buffer = self._buffer
        at = 0
        while len(buffer) - at >= 12:
            length = self._block_length(at)
            if length is not None and len(buffer) - at < length and not at_end:
                break
            if length is None or buffer[at + length - 4 : at + length] != buffer[at + 4 : at + 8]:
                if self._damaged_from is None:
                    self._damaged_from = self._start + at
                at += 4
                continue
            self._end_damage(self._start + at)
            try:
                found = self._read(at, length)
            except (struct.error, IndexError):
                self.problems.add("blocks", f"byte {self._start + at}: a block that is damaged inside; left out")
                found = None
            if found is not None:
                yield found
            at += length
        del buffer[:at]
        self._start += at

    def _end_damage(self, end: int) -> None:
        if self._damaged_from is not None:
            self.problems.add("stretches", f"bytes {self._damaged_from} to {end} are damaged; skipped")
            self._damaged_from = None

    def _block_length(self, at: int) -> int | None:
        """The length in the header of the block at *at*; None if no block can have it.

        Within damage only packets are accepted as blocks, and an interface if there is none yet.
        """
        buffer = self._buffer
        if buffer[at : at + 4] == MAGIC:
            magic = bytes(buffer[at + 8 : at + 12])
            if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                return None
            order = "<" if magic[0] == 0x4D else ">"
            (length,) = struct.unpack_from(order + "I", buffer, at + 4)
        else:
            kind, length = struct.unpack_from(self._order + "II", buffer, at)
            if self._damaged_from is not None and kind != ENHANCED_PACKET and (kind != INTERFACE or self.interfaces):
                return None
        return length if 12 <= length <= MAX_BLOCK and length % 4 == 0 else None

    def _read(self, at: int, length: int) -> Packet | None:
        buffer, order = self._buffer, self._order
        if buffer[at : at + 4] == MAGIC:
            self._order = "<" if buffer[at + 8] == 0x4D else ">"
            self.interfaces.clear()
            for comment in self._comments(at + 24, at + length - 4):
                self._check_section(comment)
            return None
        (kind,) = struct.unpack_from(order + "I", buffer, at)
        if kind == ENHANCED_PACKET:
            number, high, low, captured, size = struct.unpack_from(order + "5I", buffer, at + 8)
            data_at = at + 28
        elif kind == OLD_PACKET:
            number, _, high, low, captured, size = struct.unpack_from(order + "HHIIII", buffer, at + 8)
            data_at = at + 28
        elif kind == SIMPLE_PACKET:
            (size,) = struct.unpack_from(order + "I", buffer, at + 8)
            captured = min(size, length - 16)
            return Packet(self._last, self.interfaces[0].link_type, bytes(buffer[at + 12 : at + 12 + captured]), size)
        else:
            if kind == INTERFACE and len(self.interfaces) < MAX_INTERFACES:
                self.interfaces.append(self._interface(at, length))
            return None
        options_at, end = data_at + captured + (-captured & 3), at + length - 4
        if options_at > end:
            raise IndexError
        interface = self.interfaces[number] if number < len(self.interfaces) else self._undescribed(at)
        time = interface.nanoseconds(high << 32 | low)
        if 0 <= time < MAX_TIME:
            self._last = time
        else:
            self._say_once(at, "its time is out of range; the time of the packet before is used")
        comments = () if options_at == end else self._comments(options_at, end)
        return Packet(self._last, interface.link_type, bytes(buffer[data_at : data_at + captured]), size, comments)

    def _undescribed(self, at: int) -> _Interface:
        """The interface of a packet whose description is damaged or missing: the best guess is that of heading()."""
        self._say_once(at, "its interface is not described, the file's head may be damaged; read as a tap writes it")
        return _Interface(RAW_IP, 1_000_000_000)

    def _say_once(self, at: int, problem: str) -> None:
        """Report a problem for the first packet that has it: if one has it, all may."""
        if problem not in self._said:
            self._said.add(problem)
            self.problems.add(problem, f"byte {self._start + at}: a packet, maybe not the only one: {problem}")

    def _interface(self, at: int, length: int) -> _Interface:
        (link_type,) = struct.unpack_from(self._order + "H", self._buffer, at + 8)
        interface = _Interface(link_type)
        for code, value in self._options(at + 16, at + length - 4):
            if code == _RESOLUTION and value:
                exponent = value[0] & 0x7F
                interface.per_second = 2**exponent if value[0] & 0x80 else 10**exponent
            elif code == _OFFSET and len(value) == 8:
                (interface.offset,) = struct.unpack(self._order + "q", value)
        return interface

    def _comments(self, at: int, end: int) -> tuple[str, ...]:
        return tuple(value.decode(errors="replace") for code, value in self._options(at, end) if code == _COMMENT)

    def _options(self, at: int, end: int) -> Iterator[tuple[int, bytes]]:
        while at + 4 <= end:
            code, size = struct.unpack_from(self._order + "HH", self._buffer, at)
            if code == 0:
                return
            yield code, bytes(self._buffer[at + 4 : min(end, at + 4 + size)])
            at += 4 + size + (-size & 3)
