# cython: boundscheck=False, wraparound=False
"""LZF, as servers compress strings with: literal runs, and copies of what was put out at most 8192 bytes before.

The format: liblzf, and Redis 7.0 lzf_d.c. Works on whole strings and in pieces: what ends inside of an item waits for
the rest, what does not fit waits for room.
"""

import cython

HISTORY = 8192  # bytes back that an item can refer to
MAX_EXPANSION = 88  # times: three bytes make 264 at the most
LONGEST = 264  # bytes that one item makes


class Expander:
    """Begin a string by setting done to 0. i, o: how far the last call came in its input and output."""

    def __init__(self) -> None:
        self.i = 0
        self.o = 0
        self.done = 0  # bytes of the string that came out so far

    @cython.locals(c=cython.int, size=cython.int, distance=cython.int)
    def measure(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.bint:
        """Follow p[i:n] without putting out anything. False: it refers to what was never there."""
        while i < n:
            c = p[i]
            if c < 32:
                if i + c + 2 > n:
                    break
                i += c + 2
                self.done += c + 1
                continue
            size = c >> 5
            distance = (c & 31) << 8
            if size == 7:
                if i + 3 > n:
                    break
                size += p[i + 1]
                i += 1
            elif i + 2 > n:
                break
            distance += p[i + 1]
            i += 2
            if distance >= self.done:
                return False
            self.done += size + 2
        self.i = i
        return True

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
        """Expand p[i:n] to out[o:room]; before o is what came out before. False as measure()."""
        begin = o
        while i < n:
            c = p[i]
            if c < 32:
                if i + c + 2 > n or o + c + 1 > room:
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
            if o + size > room:
                break
            if distance >= self.done + o - begin:
                return False
            start = o - distance - 1
            for k in range(size):
                out[o + k] = out[start + k]
            i += taken
            o += size
        self.done += o - begin
        self.i = i
        self.o = o
        return True
