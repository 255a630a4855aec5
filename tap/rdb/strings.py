# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""The building blocks of an RDB: lengths, strings, and packed values inside strings.

An incomplete unit waits for more bytes. A string of more than 64 KiB passes in pieces, and a compressed one through a
window in the arena, so memory does not depend on the size of a string.

Source: Redis 8.0 rdb.c, rdbLoadLenByRef and rdbGenericLoadStringObject.
"""

from __future__ import annotations

from collections.abc import Callable

import cython

from tap.rdb.problem import Problem

if not cython.compiled:
    from tap.rdb.integers import as_signed, big32, i64_of_i32, u16, u32
    from tap.rdb.lzf import Expander
    from tap.rdb.packed import Packed
    from tap.rdb.states import *
    from tap.rdb.tape import Tape
    from tap.rdb.tokens import *

MAX_STRING = cython.declare(cython.longlong, 2**40)  # bytes; far above proto-max-bulk-len, which users may raise
WINDOW = cython.declare(cython.Py_ssize_t, 128 * 1024)  # bytes of arena through which a long compressed string passes
HISTORY = cython.declare(cython.Py_ssize_t, 8192)  # as in lzf.py
LONGEST = cython.declare(cython.Py_ssize_t, 264)
NOT_ITS_SIZE = "a compressed string that does not expand to its size"
UNLIMITED = cython.declare(cython.longlong, 2**62)


class Strings:
    """The parser's state, and the methods that read one unit at p[i].

    Each of these methods returns where the next unit begins, or NEED or BAD. After NEED the state is as before and wanted
    says how many bytes are needed; after BAD the state is BROKEN and problem is set. kind, number, size and expanded are
    scratch: each string or length overwrites them.
    """

    def __init__(self, reader: Callable[[Tape], None], values: bool, size: int | None) -> None:
        self.tape = Tape(reader)
        self.packed = Packed(self.tape, values)
        self.expander = Expander()
        self.values = values
        self.leftover = bytearray()
        self.wanted = 0
        self.base = 0
        self.limit = UNLIMITED if size is None else size
        self.state = MAGIC
        self.after = RECORD
        self.problem: Problem | None = None
        self.db = 0
        self.key_start = 0
        self.key_size = 0
        self.key = b""
        self.key_open = False
        self.kind = 0
        self.number = 0
        self.size = 0
        self.expanded = 0
        self.emits = False
        self.blob = False
        self.window = 0
        self.window_end = 0
        self.long_at = 0  # where the string began that passes in pieces; its problems are reported with this position

    def need(self, i: cython.Py_ssize_t, size: cython.longlong) -> cython.Py_ssize_t:
        """Note that the unit needs *size* bytes from i on."""
        self.wanted = i + size
        return NEED

    def bad(self, i: cython.Py_ssize_t, why: str, kind: str = "damaged") -> cython.Py_ssize_t:
        key: bytes | None = None
        if self.key_open:
            key = self.key or self.tape.text(self.key_start, self.key_size)
        self.problem = Problem(kind, self.base + i, why, self.db, key)
        self.state = BROKEN
        return BAD

    @cython.locals(c=cython.int)
    def length(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read a plain length into number, as a signed 64-bit integer."""
        if i >= n:
            return self.need(i, 1)
        c = p[i]
        if c < 64:
            self.number = c
            return i + 1
        if c < 128:
            if i + 2 > n:
                return self.need(i, 2)
            self.number = (c & 63) << 8 | p[i + 1]
            return i + 2
        if c == 0x80:
            if i + 5 > n:
                return self.need(i, 5)
            self.number = big32(p, i + 1)
            return i + 5
        if c == 0x81:
            if i + 9 > n:
                return self.need(i, 9)
            self.number = as_signed(cython.cast(cython.ulonglong, big32(p, i + 1)) << 32 | big32(p, i + 5))
            return i + 9
        return self.bad(i, f"byte 0x{c:02x} where a length was expected")

    @cython.locals(j=cython.Py_ssize_t)
    def counted(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """As length(), for a count of items that take at least one byte each."""
        j = self.length(p, i, n)
        if j >= 0 and (self.number < 0 or self.number > self.limit - self.base - j):
            count = self.number if self.number >= 0 else self.number + 2**64
            return self.bad(i, f"a count of {count}, for which there is no room")
        return j

    @cython.locals(c=cython.int, j=cython.Py_ssize_t)
    def header(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read a string's head into kind, size (of its bytes in the file), expanded and, for an integer, number."""
        if i >= n:
            return self.need(i, 1)
        c = p[i]
        if c < 0xC0:
            j = self.length(p, i, n)
            if j < 0:
                return j
            self.kind = PLAIN_BYTES
            self.size = self.number
        elif c == 0xC3:
            j = self.length(p, i + 1, n)
            if j < 0:
                return j
            self.size = self.number
            j = self.length(p, j, n)
            if j < 0:
                return j
            self.kind = LZF
            self.expanded = self.number
            if self.expanded < 0 or self.size < 0 or self.expanded // 88 > self.size or self.size == 0:
                return self.bad(i, f"a compressed string of {self.size} bytes that claims to expand to {self.expanded}")
        elif c < 0xC3:
            self.kind = DECIMAL
            self.size = 1 << (c & 3)
            j = i + 1
            if j + self.size > n:
                return self.need(i, 1 + self.size)
            if c == 0xC0:
                self.number = p[j] - 256 if p[j] >= 128 else p[j]
            elif c == 0xC1:
                self.number = u16(p, j)
                if self.number >= 2**15:
                    self.number -= 2**16
            else:
                self.number = i64_of_i32(u32(p, j))
            return j + self.size
        else:
            return self.bad(i, f"byte 0x{c:02x} where a string was expected")
        if self.size < 0 or self.size > MAX_STRING or self.size > self.limit - self.base - j:
            size = self.size if self.size >= 0 else self.size + 2**64
            return self.bad(i, f"a string of {size} bytes, for which there is no room")
        return j

    @cython.locals(j=cython.Py_ssize_t, at=cython.Py_ssize_t)
    def string(
        self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t, emits: cython.bint, then: cython.int
    ) -> cython.Py_ssize_t:
        """Read a string; emits: write it on the tape. *then*: the next state, for a long one after its last piece."""
        j = self.header(p, i, n)
        if j < 0:
            return j
        if self.kind == DECIMAL:
            if emits:
                self.tape.say1(INTEGER, self.number)
        elif self.size > LARGE or (self.kind == LZF and self.expanded > LARGE):
            self.long_at = self.base + i
            self.after = then
            self.emits = emits
            self.blob = False
            self.state = RAW
            if self.kind == LZF:
                self.begin_window()
            return j
        elif j + self.size > n:
            return self.need(i, j - i + self.size)
        elif self.kind == PLAIN_BYTES:
            if emits:
                self.tape.say2(ITEM, j, self.size)
            j += self.size
        else:
            if emits:
                at = self.expand_whole(p, j)
                if at < 0:
                    return self.bad(i, NOT_ITS_SIZE)
                self.tape.base = self.tape.used
                self.tape.say2(ITEM, ~at, self.expanded)
                self.tape.base = 0
            else:
                self.expander.begin(self.expanded)
                if (
                    not self.expander.measure(p, j, j + self.size)
                    or self.expander.i != j + self.size
                    or self.expander.done != self.expanded
                ):
                    return self.bad(i, NOT_ITS_SIZE)
            j += self.size
        self.state = then
        return j

    @cython.locals(at=cython.Py_ssize_t, end=cython.Py_ssize_t)
    def expand_whole(self, p: cython.p_const_uchar, i: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Expand the compressed string p[i : i + size] into the arena. Returns its place there; BAD if it is damaged."""
        self.tape.room(self.expanded)
        at = self.tape.used
        end = at + self.expanded
        self.expander.begin(self.expanded)
        if not self.expander.expand(p, i, i + self.size, self.tape.a, at, end):
            return BAD
        if self.expander.i != i + self.size or self.expander.o != end:
            return BAD
        self.tape.used = end
        return at

    def begin_window(self) -> cython.int:
        """Start a compressed string that is too large to be expanded in one piece."""
        self.tape.flush()
        self.window = 0
        self.window_end = 0
        self.expander.begin(self.expanded)
        self.state = COMPRESSED
        return 0

    @cython.locals(at=cython.Py_ssize_t)
    def whole(
        self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t, most: cython.longlong
    ) -> cython.Py_ssize_t:
        """Read the rest of a string whose head ends at i: its place goes to number, its size to size."""
        if self.kind == DECIMAL:
            text: bytes = b"%d" % self.number
            self.tape.room(len(text))
            at = self.tape.used
            for k in range(len(text)):
                self.tape.a[at + k] = text[k]
            self.tape.used = at + len(text)
            self.number = ~at
            self.size = len(text)
            return i
        if self.size > most or (self.kind == LZF and self.expanded > most):
            return self.bad(i, f"a name of more than {most} bytes", "unknown")
        if i + self.size > n:
            return self.need(i, self.size)
        if self.kind == PLAIN_BYTES:
            self.number = i
            return i + self.size
        at = self.expand_whole(p, i)
        if at < 0:
            return self.bad(i, NOT_ITS_SIZE)
        self.number = ~at
        i += self.size
        self.size = self.expanded
        return i

    @cython.locals(k=cython.Py_ssize_t)
    def raw(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read more of a long string."""
        k = min(self.size, n - i)
        self.size -= k
        if self.emits:
            self.tape.say2(PIECE if self.size else ITEM, i, k)
        if self.size == 0:
            self.state = self.after
        return i + k

    @cython.locals(j=cython.Py_ssize_t, k=cython.Py_ssize_t, at=cython.Py_ssize_t)
    def blob_string(
        self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t, form: cython.int, role: cython.int
    ) -> cython.Py_ssize_t:
        """Read a string that holds a packed value."""
        j = self.header(p, i, n)
        if j < 0:
            return j
        if self.kind == DECIMAL:
            return self.bad(i, "an integer where a packed value was expected")
        if self.kind == PLAIN_BYTES:
            if self.size > LARGE:
                self.long_at = self.base + i
                self.packed.begin(form, role, self.size)
                self.state = BLOB_RAW
                return j
            if j + self.size > n:
                return self.need(i, j - i + self.size)
            self.packed.begin(form, role, self.size)
            k = self.packed.walk(p, j, j + self.size, False)
            if k != j + self.size or not self.packed.done:
                return self.bad(i, self.packed.problem or "a packed value that runs over its end")
            if not self.blob_done():
                return self.bad(i, self.packed.problem)
            return k
        if self.expanded > LARGE or self.size > LARGE:
            self.long_at = self.base + i
            self.packed.begin(form, role, self.expanded)
            self.emits = False
            self.blob = True
            self.begin_window()
            return j
        if j + self.size > n:
            return self.need(i, j - i + self.size)
        self.packed.begin(form, role, self.expanded)
        at = self.expand_whole(p, j)
        if at < 0:
            return self.bad(i, NOT_ITS_SIZE)
        if self.values:
            self.tape.base = self.tape.used
        k = self.packed.walk(self.tape.a, at, at + self.expanded, True)
        self.tape.base = 0
        if not self.values:
            self.tape.used = at
        if k != at + self.expanded or not self.packed.done:
            return self.bad(i, self.packed.problem or "a packed value that runs over its end")
        j += self.size
        if not self.blob_done():
            return self.bad(i, self.packed.problem)
        return j

    @cython.locals(k=cython.Py_ssize_t)
    def blob_raw(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read more of a long packed value."""
        k = min(self.size, n - i)
        k = self.packed.walk(p, i, i + k, False)
        if k < 0:
            return self.bad(self.long_at - self.base, self.packed.problem)
        self.size -= k - i
        if self.packed.done:
            self.state = END_OF_BLOB
            if self.size:
                return self.bad(self.long_at - self.base, "a packed value that ends before its string does")
        elif k == i:
            if n - i >= self.size:
                return self.bad(self.long_at - self.base, "a packed value that runs over its end")
            return self.need(i, n - i + 1)
        return k

    @cython.locals(
        k=cython.Py_ssize_t,
        end=cython.Py_ssize_t,
        shift=cython.Py_ssize_t,
        j=cython.Py_ssize_t,
        whole=cython.bint,
        sound=cython.bint,
    )
    def compressed(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read more of a long compressed string; its output passes through a window in the arena."""
        end = min(n, i + self.size)
        if not self.blob and not self.emits:
            sound = self.expander.measure(p, i, end)
            self.window = self.window_end = 0
        else:
            if self.window_end + LONGEST > WINDOW:
                self.tape.flush()
                shift = min(self.window, self.window_end - HISTORY)
                for j in range(self.window_end - shift):
                    self.tape.a[j] = self.tape.a[j + shift]
                self.window -= shift
                self.window_end -= shift
            sound = self.expander.expand(p, i, end, self.tape.a, self.window_end, WINDOW)
            self.window_end = self.expander.o
            self.tape.base = self.tape.used = self.window_end
        k = self.expander.i
        whole = k - i == self.size
        if whole and self.expander.done != self.expanded:
            sound = False
        # Walk the output that precedes the damage first: had the input come in smaller pieces, it would have been walked
        # before the damage was seen, and the result must not depend on the split.
        if self.blob:
            shift = self.packed.walk(self.tape.a, self.window, self.window_end, True)
            if shift < 0:
                return self.bad(self.long_at - self.base, self.packed.problem)
            if sound and whole and not self.packed.done:
                return self.bad(self.long_at - self.base, "a packed value that runs over its end")
            if sound and shift == self.window and k == i and self.window_end + LONGEST > WINDOW and self.window == 0:
                return self.bad(self.long_at - self.base, "a packed value with an entry that never ends")
            self.window = shift
        elif self.emits and self.window_end > self.window:
            self.tape.say2(ITEM if sound and whole else PIECE, ~self.window, self.window_end - self.window)
            self.window = self.window_end
        if not sound:
            return self.bad(self.long_at - self.base, NOT_ITS_SIZE)
        self.size -= k - i
        if whole:
            self.tape.flush()
            self.tape.base = self.tape.used = 0
            self.state = END_OF_BLOB if self.blob else self.after
            self.blob = False
        elif k == i and self.window_end + LONGEST <= WINDOW:
            if n - i >= self.size:
                return self.bad(self.long_at - self.base, NOT_ITS_SIZE)
            return self.need(i, n - i + 1)
        return k

    def blob_done(self) -> cython.bint:
        """Go on after a packed value that has been walked to its end. Returns False if its numbers do not agree."""
        raise NotImplementedError
