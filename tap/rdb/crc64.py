# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""The checksum at the end of an RDB: CRC-64 with Jones' polynomial, reflected, initial value 0, not inverted.

Source: Redis 7.0 crc64.c, whose comment names another initial value than its code uses.

Each step takes eight bytes, with one table for each of the eight positions. A step depends on the one before it, which
leaves the processor waiting, so four lanes of 2 KiB are computed side by side and then combined. The CRC is linear, so
they can be: crc(A + B) = crc(A advanced over len(B) zero bytes) xor crc(B).
"""

import cython

_LANE = cython.declare(cython.Py_ssize_t, 2048)  # bytes of each of the four
_WORD = cython.declare(cython.Py_ssize_t, 8)


@cython.cclass
class _Tables:
    """near: advances a CRC over 8 bytes; far: over a lane of zeros. Both are indexed by a byte's position and value."""

    near: cython.ulonglong[2048]
    far: cython.ulonglong[2048]

    @cython.locals(byte=cython.int, place=cython.int, bit=cython.int, crc=cython.ulonglong)
    def __init__(self) -> None:
        if not cython.compiled:
            self.near = [0] * 2048
        for byte in range(256):
            crc = byte
            for _ in range(8):
                crc = (crc >> 1) ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
            self.near[1792 + byte] = crc
        for place in range(6, -1, -1):
            for byte in range(256):
                crc = self.near[(place + 1) * 256 + byte]
                self.near[place * 256 + byte] = (crc >> 8) ^ self.near[1792 + (crc & 0xFF)]
        if not cython.compiled:
            return
        for place in range(8):
            for bit in range(8):
                crc = cython.cast(cython.ulonglong, 1) << (8 * place + bit)
                for _ in range(_LANE // _WORD):
                    crc = moved(self.near, crc)
                self.far[place * 256 + (1 << bit)] = crc
            for byte in range(256):
                crc = 0
                for bit in range(8):
                    if byte >> bit & 1:
                        crc ^= self.far[place * 256 + (1 << bit)]
                self.far[place * 256 + byte] = crc


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def moved(table: cython.p_ulonglong, crc: cython.ulonglong) -> cython.ulonglong:
    return (
        table[crc & 0xFF]
        ^ table[256 + (crc >> 8 & 0xFF)]
        ^ table[512 + (crc >> 16 & 0xFF)]
        ^ table[768 + (crc >> 24 & 0xFF)]
        ^ table[1024 + (crc >> 32 & 0xFF)]
        ^ table[1280 + (crc >> 40 & 0xFF)]
        ^ table[1536 + (crc >> 48 & 0xFF)]
        ^ table[1792 + (crc >> 56)]
    )


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def word(p: cython.p_const_uchar, at: cython.Py_ssize_t) -> cython.ulonglong:
    """Eight bytes, unaligned and little-endian. Correct on x86-64 and arm64, which allow such reads."""
    return cython.cast("const unsigned long long *", p + at)[0]


_TABLES = _Tables()


@cython.cclass
class Crc64:
    """A running CRC; value: that of all bytes so far."""

    _tables: _Tables
    _value: cython.ulonglong

    def __init__(self) -> None:
        self._tables = _TABLES
        self._value = 0

    @property
    def value(self) -> int:
        return self._value

    @cython.locals(
        view="const unsigned char[::1]",
        p=cython.p_const_uchar,
        near=cython.p_ulonglong,
        far=cython.p_ulonglong,
        i=cython.Py_ssize_t,
        end=cython.Py_ssize_t,
        n=cython.Py_ssize_t,
        crc=cython.ulonglong,
        second=cython.ulonglong,
        third=cython.ulonglong,
        fourth=cython.ulonglong,
    )
    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        n = len(data)
        if n == 0:
            return
        crc = self._value
        i = 0
        near = self._tables.near
        if cython.compiled:
            far = self._tables.far
            view = data
            p = cython.address(view[0])
            while i + 4 * _LANE <= n:
                second = third = fourth = 0
                end = i + _LANE
                while i < end:
                    crc = moved(near, crc ^ word(p, i))
                    second = moved(near, second ^ word(p, i + _LANE))
                    third = moved(near, third ^ word(p, i + 2 * _LANE))
                    fourth = moved(near, fourth ^ word(p, i + 3 * _LANE))
                    i += _WORD
                crc = moved(far, moved(far, moved(far, crc) ^ second) ^ third) ^ fourth
                i += 3 * _LANE
            while i + _WORD <= n:
                crc = moved(near, crc ^ word(p, i))
                i += _WORD
        else:
            p = data
        while i < n:
            crc = near[1792 + ((crc ^ p[i]) & 0xFF)] ^ crc >> 8
            i += 1
        self._value = crc
