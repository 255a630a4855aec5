# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Packets constructed from the bytes that a connection carried: SYN, data, FIN and RST as raw IP packets with correct
sequence numbers and checksums, each in a pcapng block.

Every recorded byte passes through this module, in the event loop. Source of the block's format:
draft-ietf-opsawg-pcapng, section 4.3.
"""

import ipaddress
from typing import Any

import cython

from tap.capture.pcapng import ENHANCED_PACKET
from tap.capture.segments import ACK, FIN, MAX_DATA, SYN, WINDOW, Endpoint

if cython.compiled:
    from cython.cimports.cpython.buffer import Py_buffer, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
    from cython.cimports.libc.string import memcpy

_MAX_DATA = cython.declare(cython.Py_ssize_t, MAX_DATA)
_WINDOW = cython.declare(cython.ulonglong, WINDOW)
_KIND = cython.declare(cython.ulonglong, ENHANCED_PACKET)
_ACK = cython.declare(cython.int, ACK)
_FIN = cython.declare(cython.int, FIN)
_SYN = cython.declare(cython.int, SYN)
# A window scale option: without it a reader takes a segment of 64 KB for one that fills the window.
_SCALE = cython.declare(cython.ulonglong, 0x03030700)

_FIRST_CAPACITY = cython.declare(cython.Py_ssize_t, 2**16)  # bytes
_GROWTH = cython.declare(cython.Py_ssize_t, 4)  # times the capacity before
_BLOCK = cython.declare(cython.Py_ssize_t, 28)  # bytes before the packet
_TCP = cython.declare(cython.Py_ssize_t, 20)


class Blocks:
    """A buffer of consecutive blocks, reused after clear().

    flows: those with packets in the buffer. size: bytes.
    """

    def __init__(self) -> None:
        self.flows: set[TcpFlow] = set()
        self._last: TcpFlow | None = None  # the one whose packet came last
        self._buffer = bytearray()
        self._capacity = 0
        self.size = 0
        self._grow(_FIRST_CAPACITY)

    def view(self) -> memoryview:
        """The blocks; release the view before adding others."""
        return memoryview(self._buffer)[: self.size]

    def clear(self) -> None:
        """Empty the buffer."""
        self.size = 0
        self.flows = set()
        self._last = None

    def _grow(self, needed: cython.Py_ssize_t) -> cython.int:
        old = self._buffer
        self._capacity = max(needed, _GROWTH * self._capacity)
        self._buffer = bytearray(self._capacity)
        self._buffer[: self.size] = old[: self.size]
        self._p = cython.cast(cython.p_uchar, self._buffer) if cython.compiled else self._buffer
        return 0


class TcpFlow:
    """One connection of two endpoints; side 0 opened it, side 1 accepted it.

    Sequence numbers begin at first[side]; every packet acknowledges everything that the other side has sent before it.
    """

    def __init__(self, opener: Endpoint, other: Endpoint, first: tuple[int, int], owner: Any = None) -> None:
        hosts = [ipaddress.ip_address(end.host.partition("%")[0]) for end in (opener, other)]
        if hosts[0].version != hosts[1].version:  # write the IPv4 one as an IPv4-mapped address, RFC 4291, 2.5.5.2
            hosts = [host if host.version == 6 else ipaddress.ip_address(f"::ffff:{host}") for host in hosts]
        self._is_ipv4 = hosts[0].version == 4
        # Don't fragment, 64 hops, TCP.
        fixed = bytes.fromhex("4500 0000 0000 4000 4006 0000" if self._is_ipv4 else "6000 0000 0000 0640")
        self._head = len(fixed) + 2 * len(hosts[0].packed)  # bytes of the IP header
        ends = [(host.packed, end.port.to_bytes(2, "big")) for host, end in zip(hosts, (opener, other), strict=True)]
        # The headers of each side, with its ports after them.
        self._heads = [fixed + ends[side][0] + ends[1 - side][0] + ends[side][1] + ends[1 - side][1] for side in (0, 1)]
        self._ip_sum = ones_sum(self._heads[0][: self._head])
        # The sum of the pseudo header and the ports, without the length.
        self._address_sum = ones_sum(self._heads[0][len(fixed) :]) + 6
        if not cython.compiled:
            self._first = [0, 0]
            self._next = [0, 0]
        self._first[0] = self._next[0] = first[0]
        self._first[1] = self._next[1] = first[1]
        self._acks = False  # whether side 0 sends ACKs: not before a packet of side 1
        self.owner = owner

    def open(self) -> None:
        """Set the numbers as if the three packets of the handshake had been sent."""
        self.skip(0, 1)
        self.skip(1, 1)
        self._acks = True

    def position(self, side: cython.int) -> int:
        """Bytes of the side so far. Correct only before its FIN."""
        return self._next[side] - self._first[side] - 1

    def skip(self, side: cython.int, count: cython.longlong) -> None:
        """Leave out *count* bytes of the side; below 0: the next packet repeats that many."""
        self._next[side] += count

    def write(
        self,
        out: Blocks,
        time: cython.ulonglong,
        side: cython.int,
        flags: cython.int,
        data: bytes | memoryview = b"",
        options: bytes = b"",
    ) -> int:
        """Add the side's next packet, or as many as its data needs, to the blocks. Returns the size of all blocks.

        time: nanoseconds since the epoch. options: those of the first packet's block, as pcapng encodes them.
        """
        if cython.compiled:
            view = cython.declare(Py_buffer)
            PyObject_GetBuffer(data, cython.address(view), PyBUF_SIMPLE)
            try:
                self.put(out, time, side, flags, cython.cast(cython.p_const_uchar, view.buf), view.len, options)
            finally:
                PyBuffer_Release(cython.address(view))
        else:
            self.put(out, time, side, flags, data, len(data), options)
        return out.size

    @cython.locals(at=cython.Py_ssize_t, size=cython.Py_ssize_t)
    def put(
        self,
        out: Blocks,
        time: cython.ulonglong,
        side: cython.int,
        flags: cython.int,
        data: cython.p_const_uchar,
        n: cython.Py_ssize_t,
        options: bytes,
    ) -> cython.int:
        """As write(), for n bytes at data."""
        if out._last is not self:
            out._last = self
            out.flows.add(self)
        at = 0
        while True:
            size = min(n - at, _MAX_DATA)
            self._packet(out, time, side, flags, data, at, size, options)
            at += size
            if at >= n:
                return 0
            options = b""

    def ends(self) -> list[bytes]:
        """The ends() of each side's packets."""
        return [ends(head) for head in self._heads]

    def parts(self, packet: bytes) -> tuple[int, int, int, int]:
        """A packet of this flow taken apart: its side, position in the side's bytes, flags, and size of its data."""
        side, at = self.ends().index(ends(packet)), self._head
        behind = (self._next[side] - int.from_bytes(packet[at + 4 : at + 8], "big")) & 0xFFFFFFFF
        return side, self.position(side) - behind, packet[at + 13], len(packet) - at - (packet[at + 12] >> 4) * 4

    @cython.locals(
        p=cython.p_uchar,
        ip=cython.Py_ssize_t,
        tcp=cython.Py_ssize_t,
        start=cython.Py_ssize_t,
        end=cython.Py_ssize_t,
        total=cython.Py_ssize_t,
        length=cython.ulonglong,
        sequence=cython.ulonglong,
        acknowledged=cython.ulonglong,
        words=cython.ulonglong,
        head=bytes,
    )
    def _packet(
        self,
        out: Blocks,
        time: cython.ulonglong,
        side: cython.int,
        flags: cython.int,
        data: cython.p_const_uchar,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
        options: bytes,
    ) -> cython.int:
        sequence = self._next[side] & 0xFFFFFFFF
        acknowledged = 0
        if side or self._acks:
            flags |= _ACK
            acknowledged = self._next[1 - side] & 0xFFFFFFFF
        if side:
            self._acks = True
        self._next[side] += size + ((flags & _SYN) != 0) + ((flags & _FIN) != 0)

        ip = out.size + _BLOCK
        tcp = ip + self._head
        start = tcp + _TCP + (4 if flags & _SYN else 0)
        end = start + size
        length = end - ip
        total = _BLOCK + length + (-length & 3) + len(options) + 4
        if out.size + total > out._capacity:
            out._grow(out.size + total)
        p = out._p

        little32(p, out.size, _KIND)
        little32(p, out.size + 4, total)
        little32(p, out.size + 8, 0)
        little32(p, out.size + 12, time >> 32)
        little32(p, out.size + 16, time & 0xFFFFFFFF)
        little32(p, out.size + 20, length)
        little32(p, out.size + 24, length)

        head = self._heads[side]
        copy(p, ip, head, 0, self._head + 4)
        if self._is_ipv4:
            big16(p, ip + 2, length)
            big16(p, ip + 10, ~folded(self._ip_sum + length) & 0xFFFF)
        else:
            big16(p, ip + 4, length - self._head)

        words = (start - tcp) << 10 | flags  # the header's length in words, in the upper four bits
        big32(p, tcp + 4, sequence)
        big32(p, tcp + 8, acknowledged)
        big16(p, tcp + 12, words)
        big16(p, tcp + 14, _WINDOW)
        big32(p, tcp + 16, 0)
        words += self._address_sum + (end - tcp) + (sequence >> 16) + (sequence & 0xFFFF)
        words += (acknowledged >> 16) + (acknowledged & 0xFFFF) + _WINDOW
        if flags & _SYN:
            big32(p, tcp + 20, _SCALE)
            words += (_SCALE >> 16) + (_SCALE & 0xFFFF)
        copy(p, start, data, at, size)
        words += added(p, start, end)
        big16(p, tcp + 16, ~folded(words) & 0xFFFF)

        while end - ip & 3:
            p[end] = 0
            end += 1
        if options:
            copy(p, end, options, 0, len(options))
        little32(p, out.size + total - 4, total)
        out.size += total
        return 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def little32(p: cython.p_uchar, at: cython.Py_ssize_t, value: cython.ulonglong) -> cython.void:
    p[at] = value & 0xFF
    p[at + 1] = value >> 8 & 0xFF
    p[at + 2] = value >> 16 & 0xFF
    p[at + 3] = value >> 24


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def big32(p: cython.p_uchar, at: cython.Py_ssize_t, value: cython.ulonglong) -> cython.void:
    p[at] = value >> 24
    p[at + 1] = value >> 16 & 0xFF
    p[at + 2] = value >> 8 & 0xFF
    p[at + 3] = value & 0xFF


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def big16(p: cython.p_uchar, at: cython.Py_ssize_t, value: cython.ulonglong) -> cython.void:
    p[at] = value >> 8
    p[at + 1] = value & 0xFF


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def copy(
    p: cython.p_uchar, at: cython.Py_ssize_t, q: cython.p_const_uchar, begin: cython.Py_ssize_t, size: cython.Py_ssize_t
) -> cython.void:
    if cython.compiled:
        memcpy(p + at, q + begin, size)
    else:
        p[at : at + size] = memoryview(q)[begin : begin + size]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def folded(total: cython.ulonglong) -> cython.ulonglong:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.locals(total=cython.ulonglong)
def added(p: cython.p_const_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.ulonglong:
    """The one's complement sum of the 16-bit words, RFC 1071: most significant byte first, an odd last one is a high one.

    0 to 65535; of two representations of zero, 65535 unless every byte is 0.
    """
    if cython.compiled:
        total = 0
        # Words in memory order, as RFC 1071 (2) B allows. Correct on little-endian machines that read unaligned words,
        # such as x86-64 and arm64. The sum of 2^32 of them fits in total.
        while at + 8 <= end:
            total += cython.cast("const unsigned int *", p + at)[0]
            total += cython.cast("const unsigned int *", p + at + 4)[0]
            at += 8
        while at + 2 <= end:
            total += p[at] | cython.cast(cython.ulonglong, p[at + 1]) << 8
            at += 2
        if at < end:
            total += p[at]
        total = folded(total)
        total = (total & 0xFF) << 8 | total >> 8
    else:
        total = int.from_bytes(p[at:end], "big")
        if end - at & 1:
            total <<= 8
        total = total and (total % 0xFFFF or 0xFFFF)
    return total


def ones_sum(data: bytes) -> int:
    """The sum from which IP and TCP checksums are made: see added()."""
    return added(data, 0, len(data))


def ends(packet: bytes) -> bytes:
    """A packet's addresses and ports, as they stand in it."""
    return packet[12:24] if packet[0] >> 4 == 4 else packet[8:44]
