# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""LZF, the compression of strings in an RDB: literal runs, and copies of output from at most 8192 bytes before.

Input and output may come in pieces: an incomplete item is left for the next call, and so is one whose output does not
fit.

Source: liblzf, and Redis 7.0 lzf_d.c.
"""

import cython

HISTORY = 8192  # bytes back that an item can refer to
LONGEST = 264  # bytes of output at the most of one item, which has three bytes of input


class Expander:
    """Expands one string at a time. i, o: where the last call stopped in input and output, after the last sound item."""

    def __init__(self) -> None:
        self.i = 0
        self.o = 0
        self.done = 0  # bytes of the string expanded so far
        self.size = 0  # bytes that the string claims to expand to

    def begin(self, size: cython.longlong) -> cython.int:
        """Start the next string, which claims to expand to *size* bytes."""
        self.done = 0
        self.size = size
        return 0

    @cython.locals(c=cython.int, size=cython.int, distance=cython.int, taken=cython.int)
    def measure(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.bint:
        """Check p[i:n] without writing any output.

        Returns False if the item at i copies from before the string's start, or exceeds the string's size.
        """
        sound: cython.bint = True
        while i < n:
            c = p[i]
            if c < 32:
                if i + c + 2 > n:
                    break
                if self.done + c + 1 > self.size:
                    sound = False
                    break
                i += c + 2
                self.done += c + 1
                continue
            size = c >> 5
            distance = (c & 31) << 8
            taken = 2
            if size == 7:
                if i + 3 > n:
                    break
                size += p[i + 1]
                distance += p[i + 2]
                taken = 3
            elif i + 2 > n:
                break
            else:
                distance += p[i + 1]
            size += 2
            if distance >= self.done or self.done + size > self.size:
                sound = False
                break
            i += taken
            self.done += size
        self.i = i
        return sound

    @cython.locals(
        c=cython.int,
        size=cython.int,
        distance=cython.int,
        taken=cython.int,
        k=cython.int,
        start=cython.Py_ssize_t,
        begin=cython.Py_ssize_t,
    )
    def expand(
        self,
        p: cython.p_const_uchar,
        i: cython.Py_ssize_t,
        n: cython.Py_ssize_t,
        out: cython.p_uchar,
        o: cython.Py_ssize_t,
        room: cython.Py_ssize_t,
    ) -> cython.bint:
        """Expand p[i:n] to out[o:room]; earlier output precedes o. Returns False as measure() does."""
        begin = o
        most: cython.Py_ssize_t = o + (self.size - self.done)
        sound: cython.bint = True
        while i < n:
            c = p[i]
            if c < 32:
                if i + c + 2 > n:
                    break
                if o + c + 1 > most:
                    sound = False
                    break
                if o + c + 1 > room:
                    break
                for k in range(c + 1):
                    out[o + k] = p[i + 1 + k]
                i += c + 2
                o += c + 1
                continue
            size = c >> 5
            distance = (c & 31) << 8
            taken = 2
            if size == 7:
                if i + 3 > n:
                    break
                size += p[i + 1]
                distance += p[i + 2]
                taken = 3
            elif i + 2 > n:
                break
            else:
                distance += p[i + 1]
            size += 2
            if distance >= self.done + o - begin or o + size > most:
                sound = False
                break
            if o + size > room:
                break
            start = o - distance - 1
            for k in range(size):
                out[o + k] = out[start + k]
            i += taken
            o += size
        self.done += o - begin
        self.i = i
        self.o = o
        return sound
