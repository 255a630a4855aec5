# cython: boundscheck=False, wraparound=False
"""The checksum at the end of an RDB: CRC-64 with Jones' polynomial, reflected, from 0 and not inverted.

Redis 7.0 crc64.c, whose comment names another initial value than its code uses. Eight bytes at a time, by a table for
each of their places.
"""

import cython


@cython.cclass
class Crc64:
    """value: the CRC of all bytes so far."""

    _table: cython.ulonglong[2048]
    _value: cython.ulonglong

    @cython.locals(byte=cython.int, place=cython.int, crc=cython.ulonglong)
    def __init__(self) -> None:
        self._value = 0
        if not cython.compiled:
            self._table = [0] * 2048
        for byte in range(256):
            crc = byte
            for _ in range(8):
                crc = (crc >> 1) ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
            self._table[byte] = crc
        for place in range(1, 8):
            for byte in range(256):
                crc = self._table[(place - 1) * 256 + byte]
                self._table[place * 256 + byte] = (crc >> 8) ^ self._table[crc & 0xFF]

    @property
    def value(self) -> int:
        return self._value

    @cython.locals(
        view="const unsigned char[::1]",
        p=cython.p_const_uchar,
        i=cython.Py_ssize_t,
        n=cython.Py_ssize_t,
        crc=cython.ulonglong,
    )
    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        n = len(data)
        if n == 0:
            return
        crc = self._value
        i = 0
        if cython.compiled:
            view = data
            p = cython.address(view[0])
            # Right where memory is little-endian and read from any address, as on x86-64 and arm64.
            while i + 8 <= n:
                crc ^= cython.cast("const unsigned long long *", p + i)[0]
                crc = (
                    self._table[1792 + (crc & 0xFF)]
                    ^ self._table[1536 + (crc >> 8 & 0xFF)]
                    ^ self._table[1280 + (crc >> 16 & 0xFF)]
                    ^ self._table[1024 + (crc >> 24 & 0xFF)]
                    ^ self._table[768 + (crc >> 32 & 0xFF)]
                    ^ self._table[512 + (crc >> 40 & 0xFF)]
                    ^ self._table[256 + (crc >> 48 & 0xFF)]
                    ^ self._table[crc >> 56]
                )
                i += 8
        else:
            p = data
        while i < n:
            crc = self._table[(crc ^ p[i]) & 0xFF] ^ crc >> 8
            i += 1
        self._value = crc
