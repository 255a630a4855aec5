# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""SipHash-2-4 with 128 bits: a hash with a key, fast for short input, which comes in pieces of any size.

Without the key, two inputs that collide cannot be constructed, so sums of these hashes compare sets even of data that was
chosen to deceive. Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", and their reference code.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    MASK = 0xFFFFFFFFFFFFFFFF

DIGITS = cython.declare(cython.int, 24)  # more than a 64-bit number has


class SipHash:
    """One hash at a time. lo, hi: its two halves, after end(). end() may be called again after more input."""

    def __init__(self, key: bytes) -> None:
        """key: 16 bytes."""
        self.begin0 = int.from_bytes(key[:8], "little") ^ 0x736F6D6570736575
        self.begin1 = int.from_bytes(key[8:16], "little") ^ 0x646F72616E646F6D ^ 0xEE
        self.begin2 = int.from_bytes(key[:8], "little") ^ 0x6C7967656E657261
        self.begin3 = int.from_bytes(key[8:16], "little") ^ 0x7465646279746573
        self.lo = 0
        self.hi = 0
        if not cython.compiled:
            self.digits = bytearray(24)
        self.begin()

    def begin(self) -> cython.int:
        """Forget what was fed."""
        self.v0 = self.begin0
        self.v1 = self.begin1
        self.v2 = self.begin2
        self.v3 = self.begin3
        self.tail = 0
        self.filled = 0
        self.total = 0
        return 0

    @cython.locals(v0=cython.ulonglong, v1=cython.ulonglong, v2=cython.ulonglong, v3=cython.ulonglong)
    def mix(self, word: cython.ulonglong) -> cython.int:
        """Take one word in."""
        v0 = self.v0
        v1 = self.v1
        v2 = self.v2
        v3 = self.v3 ^ word
        for _ in range(2):
            v0 = (v0 + v1) & MASK
            v1 = (v1 << 13 | v1 >> 51) & MASK ^ v0
            v0 = (v0 << 32 | v0 >> 32) & MASK
            v2 = (v2 + v3) & MASK
            v3 = (v3 << 16 | v3 >> 48) & MASK ^ v2
            v0 = (v0 + v3) & MASK
            v3 = (v3 << 21 | v3 >> 43) & MASK ^ v0
            v2 = (v2 + v1) & MASK
            v1 = (v1 << 17 | v1 >> 47) & MASK ^ v2
            v2 = (v2 << 32 | v2 >> 32) & MASK
        self.v0 = v0 ^ word
        self.v1 = v1
        self.v2 = v2
        self.v3 = v3
        return 0

    @cython.locals(shift=cython.int)
    def word(self, number: cython.ulonglong) -> cython.int:
        """Feed a 64-bit number as its eight bytes."""
        if not cython.compiled:
            number &= MASK
        self.total += 8
        if self.filled == 0:
            return self.mix(number)
        shift = 8 * self.filled
        self.mix((self.tail | number << shift) & MASK)
        self.tail = number >> (64 - shift)
        return 0

    @cython.locals(i=cython.Py_ssize_t, k=cython.int, whole=cython.ulonglong)
    def feed(self, p: cython.p_const_uchar, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
        """Feed p[start:start+size]."""
        i = start
        end: cython.Py_ssize_t = start + size
        self.total += size
        while self.filled and i < end:
            self.tail |= cython.cast(cython.ulonglong, p[i]) << (8 * self.filled)
            self.filled += 1
            i += 1
            if self.filled == 8:
                self.filled = 0
                whole = self.tail
                self.tail = 0
                self.mix(whole)
        while i + 8 <= end:
            if cython.compiled:
                whole = (
                    cython.cast(cython.ulonglong, p[i])
                    | cython.cast(cython.ulonglong, p[i + 1]) << 8
                    | cython.cast(cython.ulonglong, p[i + 2]) << 16
                    | cython.cast(cython.ulonglong, p[i + 3]) << 24
                    | cython.cast(cython.ulonglong, p[i + 4]) << 32
                    | cython.cast(cython.ulonglong, p[i + 5]) << 40
                    | cython.cast(cython.ulonglong, p[i + 6]) << 48
                    | cython.cast(cython.ulonglong, p[i + 7]) << 56
                )
            else:
                whole = int.from_bytes(p[i : i + 8], "little")
            self.mix(whole)
            i += 8
        while i < end:
            self.tail |= cython.cast(cython.ulonglong, p[i]) << (8 * self.filled)
            self.filled += 1
            i += 1
        return 0

    @cython.locals(i=cython.int, left=cython.ulonglong)
    def decimal(self, number: cython.longlong) -> cython.Py_ssize_t:
        """Feed a number as its decimal text. Returns how many bytes that has."""
        if not cython.compiled:
            text = b"%d" % number
            self.feed(text, 0, len(text))
            return len(text)
        left = cython.cast(cython.ulonglong, number)
        if number < 0:
            left = 0 - left
        i = DIGITS
        while True:
            i -= 1
            self.digits[i] = 48 + left % 10
            left = left // 10
            if left == 0:
                break
        if number < 0:
            i -= 1
            self.digits[i] = 45
        self.feed(self.digits, i, DIGITS - i)
        return DIGITS - i

    @cython.locals(
        v0=cython.ulonglong,
        v1=cython.ulonglong,
        v2=cython.ulonglong,
        v3=cython.ulonglong,
        last=cython.ulonglong,
        turn=cython.int,
    )
    def end(self) -> cython.int:
        """Set lo and hi to the hash of all that was fed since begin()."""
        last = (cython.cast(cython.ulonglong, self.total) << 56 | self.tail) & MASK
        v0 = self.v0
        v1 = self.v1
        v2 = self.v2
        v3 = self.v3 ^ last
        for turn in range(10):
            if turn == 2:
                v0 ^= last
                v2 ^= 0xEE
            elif turn == 6:
                self.lo = v0 ^ v1 ^ v2 ^ v3
                v1 ^= 0xDD
            v0 = (v0 + v1) & MASK
            v1 = (v1 << 13 | v1 >> 51) & MASK ^ v0
            v0 = (v0 << 32 | v0 >> 32) & MASK
            v2 = (v2 + v3) & MASK
            v3 = (v3 << 16 | v3 >> 48) & MASK ^ v2
            v0 = (v0 + v3) & MASK
            v3 = (v3 << 21 | v3 >> 43) & MASK ^ v0
            v2 = (v2 + v1) & MASK
            v1 = (v1 << 17 | v1 >> 47) & MASK ^ v2
            v2 = (v2 << 32 | v2 >> 32) & MASK
        self.hi = v0 ^ v1 ^ v2 ^ v3
        return 0


def siphash(key: bytes, *pieces: bytes) -> bytes:
    """The 16 bytes of the hash of these pieces, one after the other."""
    one = SipHash(key)
    for piece in pieces:
        one.feed(piece, 0, len(piece))
    one.end()
    return int(one.lo).to_bytes(8, "little") + int(one.hi).to_bytes(8, "little")
