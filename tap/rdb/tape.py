# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""What the parser found, as a row of numbers: one vocabulary for every reader, and no Python object per element.

A reader is called with the tape each time there is something on it, and must have read all of it when it returns:
afterwards the numbers and the bytes they point to are written over. A token is its number and the numbers that belong
to it. Bytes are named by (start, size): at start of the source, the bytes that were fed, or, below zero, at ~start of
the arena, where decompressed and other made bytes are. text() takes both.

    token        numbers after it
    KEY          db, rdb type, start, size, expires at (ms; NONE), freq (-1), idle seconds (-1), position, logical type
    END          elements, serialized bytes, encoding: of the last KEY. The value's tokens stand between the two
    LENGTH       count, bytes (NONE: not packed) of what follows: elements as the RDB counts them, entries of a packed
                 value (NONE: its header cannot say), nodes of a list or a stream
    ITEM         start, size: a string, or the last piece of one
    PIECE        start, size: of a string too large to be whole; more of it follows
    INTEGER      a string, as the integer whose decimal text it is
    BITS         a score, as the bits of its binary64
    EXPIRES      at (ms; NONE), behind the value of a hash's field
    NODE         ms, seq, start, size: of a stream, as it is packed, or the next piece of it; its entries stand before
    ENTRY        ms, seq, fields: an entry of a stream; its fields and values follow
    STREAM       length, last ms, last seq, first ms, first seq, deleted ms, deleted seq, entries added; NONE: not said
    GROUP        last ms, last seq, entries read; its name is the string before
    PENDING      ms, seq, delivered at (ms), deliveries: of the group
    CONSUMER     seen at (ms), active at (ms; NONE); its name is the string before
    OWNED        ms, seq: pending at the consumer
    MODULE       type id. Then UNSIGNED, SIGNED, FLOAT, DOUBLE with their bits, and strings
    MODULE_END   bytes, from the type id to the end mark
    SLOT_OF      index of the element that follows in an array
    INSERTED     index of the last ARINSERT into the array, before its elements
    DB           number
    AUX          two strings follow: name and value
    FUNCTION     a string follows: a library's code
    MODULE_AUX   type id, when (1 before the keys, 2 after them); at the depth of values its data follow, and MODULE_END
    RESIZE       keys, keys that expire: of the db, as far as the writer knew
    HINT         opcode: slots

At the depth of keys, only MODULE stands between KEY and END. 64 bits are signed here: a reader of IDs masks them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import cython

if not cython.compiled:
    from tap.rdb.tokens import *

ARENA_SIZE = 256 * 1024  # bytes


class Tape:
    """One row of numbers and one arena, used again and again."""

    def __init__(self, reader: Callable[[Tape], None]) -> None:
        self.reader = reader
        numbers = memoryview(array("q", bytes(8 * TAPE_SIZE)))
        self.numbers = numbers
        self.scores = numbers.cast("B").cast("d")  # the same bytes
        self.count = 0
        self.source: Any = b""
        self.arena = bytearray(ARENA_SIZE)
        self.used = 0
        self.base = 0  # below it the arena is in use, and a flush frees nothing
        self.a = cython.cast(cython.p_uchar, self.arena) if cython.compiled else self.arena

    def text(self, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> bytes:
        """The bytes that a token names, for as long as the reader is being called."""
        if start < 0:
            return bytes(self.a[-1 - start : size - 1 - start])
        return self.s[start : start + size]  # of pointers and of bytes alike these are bytes

    # ---- for the parser ----

    def open(self, s: cython.p_const_uchar, source: object) -> cython.int:
        """From now on the bytes that tokens name are in source."""
        self.s = s
        self.source = source
        return 0

    def flush(self) -> cython.int:
        """Have all of it read."""
        if self.count:
            self.reader(self)
            self.count = 0
        self.used = self.base
        return 0

    def say(self, token: cython.longlong) -> cython.int:
        if self.count + ROOM > TAPE_SIZE:
            self.flush()
        self.numbers[self.count] = token
        self.count += 1
        return 0

    def say1(self, token: cython.longlong, a: cython.longlong) -> cython.int:
        if self.count + ROOM > TAPE_SIZE:
            self.flush()
        self.numbers[self.count] = token
        self.numbers[self.count + 1] = a
        self.count += 2
        return 0

    def say2(self, token: cython.longlong, a: cython.longlong, b: cython.longlong) -> cython.int:
        if self.count + ROOM > TAPE_SIZE:
            self.flush()
        self.numbers[self.count] = token
        self.numbers[self.count + 1] = a
        self.numbers[self.count + 2] = b
        self.count += 3
        return 0

    def say4(
        self,
        token: cython.longlong,
        a: cython.longlong,
        b: cython.longlong,
        c: cython.longlong,
        d: cython.longlong,
    ) -> cython.int:
        self.say2(token, a, b)
        self.numbers[self.count] = c
        self.numbers[self.count + 1] = d
        self.count += 2
        return 0

    def add(self, number: cython.longlong) -> cython.int:
        """One more number of the last token."""
        self.numbers[self.count] = number
        self.count += 1
        return 0

    def room(self, size: cython.Py_ssize_t) -> cython.int:
        """Make sure that the arena takes so many bytes more, in one piece at used."""
        if self.used + size > len(self.arena):
            self.flush()
            if self.used + size > len(self.arena):  # a key of megabytes
                self.arena = self.arena + bytearray(size)
                self.a = cython.cast(cython.p_uchar, self.arena) if cython.compiled else self.arena
        return 0

    @cython.locals(i=cython.Py_ssize_t, k=cython.Py_ssize_t, begin=cython.Py_ssize_t, left=cython.Py_ssize_t)
    def copy(self, data: bytes) -> cython.int:
        """A string that is in neither place; a long one in pieces."""
        begin = 0
        left = len(data)
        while True:
            k = min(left, LARGE)
            left -= k
            self.room(k)
            if self.count + ROOM > TAPE_SIZE:
                self.flush()
            self.say2(PIECE if left else ITEM, ~self.used, k)
            for i in range(k):
                self.a[self.used + i] = data[begin + i]
            self.used += k
            begin += k
            if left == 0:
                return 0
