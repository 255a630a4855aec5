# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""The tape: what the parser found, written as a row of numbers for its readers.

An RDB holds up to hundreds of millions of elements, and every consumer (totals, keys, JSON lines, handlers) wants a
different part of them. A Python object, or even a call, per element would cost far more than parsing it.

So the parser writes tokens, 64-bit integers in one array, and does not copy strings: a token names them by place. When
the array is nearly full, and at the end of each piece of input, flush() calls the reader once with everything written
so far and starts again at the front. A reader is a loop over integers that handles the tokens it wants and skips the
others by SIZES. A hash {"f": "42"} with the name "users", at byte 16 of the first piece of input:

    input     ..  04  05 u s e r s  01  01 f  C0 2A  ..
                 16  17  18        23  24 25  26

    numbers   KEY 0 4 18 5 NONE -1 -1 16 4 | LENGTH 1 NONE | ITEM 25 1 | INTEGER 42 | END 1 12 8 | ..

A string is (start, size). With start >= 0 it is at source[start], in the input; with start < 0 it is at arena[~start],
where decompressed and constructed bytes are kept. text() takes either.

What always holds:

    A token is whole: flush() comes before it or after it. A value may spread over many calls of the reader, so a reader
    keeps the open key itself, and copies of the bytes it still needs.
    When the reader returns, it has read every token: the numbers and the bytes they name are overwritten next.
    Bytes of the arena below base survive a flush, because the parser still reads them: a key's name, a packed value, the
    window of a compressed string.

The cost: 128 KiB of numbers and 256 KiB of arena, whatever the size of the RDB and its values, because a string of more
than 64 KiB passes in pieces. Only a compressed key name, of at most 8 MiB, can make the arena grow.

    token        numbers after it
    KEY          db, rdb type, start, size, expires at (ms; NONE), freq (-1), idle seconds (-1), position, logical type
    END          elements, serialized bytes, encoding: of the last KEY. The value's tokens stand between the two
    LENGTH       count, bytes (NONE: not packed) of what follows: elements as the RDB counts them, entries of a packed
                 value (NONE: its header cannot say), nodes of a list or a stream
    ITEM         start, size: a string, or the last piece of one
    PIECE        start, size: of a string too large to be whole; more of it follows
    INTEGER      a string, as the integer whose decimal text it is
    BITS         a score, as the bits of its binary64
    EXPIRES      at (ms; NONE), after the value of a hash's field
    NODE         ms, seq, start, size: a stream's node as packed, or the next piece of one; its entries come before it
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
    MODULE_AUX   type id, when (1 before the keys, 2 after them); when values are read its data follow, then MODULE_END
    RESIZE       keys, keys that expire: of the db, as far as the writer knew
    HINT         opcode: sizes or slots, which only help a server to allocate memory

When the parser does not read values, only MODULE stands between KEY and END. The numbers are signed: a reader masks
IDs to 64 bits.
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
    """One array of numbers and one arena, both reused after every flush."""

    def __init__(self, reader: Callable[[Tape], None]) -> None:
        self.reader = reader
        numbers = memoryview(array("q", bytes(8 * TAPE_SIZE)))
        self.numbers = numbers
        self.scores = numbers.cast("B").cast("d")  # the same bytes
        self.count = 0
        self.source: Any = b""
        self.arena = bytearray(ARENA_SIZE)
        self.used = 0
        self.base = 0  # arena bytes below it are still in use: a flush does not free them
        self.a = cython.cast(cython.p_uchar, self.arena) if cython.compiled else self.arena

    def text(self, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> bytes:
        """The bytes that a token names; valid only while the reader is being called."""
        if start < 0:
            return bytes(self.a[-1 - start : size - 1 - start])
        return self.s[start : start + size]  # bytes, whether s is a C pointer or bytes

    # ---- for the parser ----

    def open(self, s: cython.p_const_uchar, source: object) -> cython.int:
        """Tokens from here on name bytes of source."""
        self.s = s
        self.source = source
        return 0

    def flush(self) -> cython.int:
        """Have the reader take everything on the tape, and empty it."""
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
        """Append one more number to the last token."""
        self.numbers[self.count] = number
        self.count += 1
        return 0

    def room(self, size: cython.Py_ssize_t) -> cython.int:
        """Make room in the arena for *size* more bytes, contiguous from used."""
        if self.used + size > len(self.arena):
            self.flush()
            if self.used + size > len(self.arena):  # a key's name may have megabytes
                self.arena = self.arena + bytearray(size)
                self.a = cython.cast(cython.p_uchar, self.arena) if cython.compiled else self.arena
        return 0

    @cython.locals(i=cython.Py_ssize_t, k=cython.Py_ssize_t, begin=cython.Py_ssize_t, left=cython.Py_ssize_t)
    def copy(self, data: bytes) -> cython.int:
        """Say a string that is neither in the source nor in the arena; a long one in pieces."""
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
