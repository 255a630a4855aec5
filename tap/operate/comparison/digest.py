# cython: boundscheck=False, wraparound=False, cdivision=True
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Every key of an RDB as one small record, from which equal keys are recognized without their values.

A server keeps one value in many forms: a set as a listpack, an intset or a hash table, a hash table in whatever order its
buckets have. The digest of a value is therefore made of its elements, as they come off the tape, whatever their form:

    string, list, stream, gcra    one hash of all elements, in their order
    set, hash, zset, array        the sum of the elements' hashes modulo 2**128, which has no order
    module                        one hash of the numbers and strings that the module saved, in the order it saved them

An element is hashed with its size after each string, so that no two different elements are fed the same bytes; an integer
as the decimal text that it stands for; a score as its binary64, where -0 is 0; a field of a hash with its expiry. The
hash is keyed (siphash.py) with a key that is drawn for each comparison, so that data cannot be made to collide.

Of a stream count its entries, length and last ID; its groups with their last ID and pending entries; consumers, and what
is pending at each. When a consumer was last seen does not count: a replica keeps its own time. Nor does when and how
often a pending entry was delivered: a consumer that reads it again changes that on the master alone. What RDBs of Redis
6.2 lack (entries added, the highest deleted ID, entries read by a group) is hashed apart, and counts only where both
sides have it: a replica of Redis 7.0 has -1 entries read by a group, for its master does not send it the number.

A record, little-endian, is followed by the key's name:

    size of the name u32, db i32, type u64, expiry i64 (ms; NONE), more u64, elements u64, digest lo u64, hi u64

more: of a stream the hash of what may be lacking, 0 if it is lacking; of a module's value the ID of its type; else 0.
A library of functions has a record, too, with db -1, type 9, and its name or else its code as the name.

Records go to one of 256 partitions by the hash of db and name. For each partition a reader keeps the sum of its records'
hashes: where the sums of two sides agree, so do the records, and they are not read.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from typing import Any

import cython

from tap.rdb.json_parts import array_number
from tap.rdb.tokens import SIZES

if not cython.compiled:
    from tap.operate.comparison.siphash import SipHash
    from tap.rdb.tape import Tape
    from tap.rdb.tokens import *

PARTITIONS = 256
HEAD = 56  # bytes of a record before the name
LIBRARY = 9  # the type of a library of functions: one more than those of tokens.py
AUX_BYTES = 64  # of an AUX field that are kept

N_PARTITIONS = cython.declare(cython.int, 256)
HEAD_SIZE = cython.declare(cython.Py_ssize_t, 56)
BUFFER = cython.declare(cython.Py_ssize_t, 16 * 1024)  # bytes of each partition that are held
# Cython would make a Python object of a literal that an int cannot hold.
ALL = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)
LOW = cython.declare(cython.ulonglong, 0xFFFFFFFF)
FNV_BASIS = cython.declare(cython.ulonglong, 0xCBF29CE484222325)
FNV_PRIME = cython.declare(cython.ulonglong, 0x100000001B3)
EXACT_DIGITS = cython.declare(cython.int, 15)  # a binary64 holds any integer of so many, and 10 to that power


class Digest:
    """A reader of the tape, for a parser with values; call close() after the last byte.

    keys: records written. created: "ctime" of the AUX fields, seconds; None if the RDB has none.
    """

    def __init__(
        self,
        key: bytes,
        put: Callable[[int, memoryview], Any],
        *,
        only: Callable[[int, bytes], bool] | None = None,
        expiries: bool = True,
        functions: bool = True,
    ) -> None:
        """key: of the hash, 16 bytes. put: takes records of a partition. only: which keys, by db and name; None for all.

        expiries: whether expiries of keys and fields are hashed; a record has its key's in any case. functions: whether
        libraries have records.
        """
        self.hash = SipHash(key)
        self.more = SipHash(key)
        self.put = put
        self.only = only
        self.expiries = expiries
        self.functions = functions
        self.keys = 0
        self.aux: dict[bytes, bytes] = {}
        self.buffer = bytearray(N_PARTITIONS * BUFFER)
        self.b = cython.cast(cython.p_uchar, self.buffer) if cython.compiled else self.buffer
        pun = memoryview(array("d", [0.0]))
        self.pun = pun
        self.pun_bits = pun.cast("B").cast("q")
        self.open = False
        self.beside: list[bytes] | None = None  # strings outside of keys that are read: an AUX field, or a library
        self.in_function = False
        self.name = b""
        self.lo = 0
        self.hi = 0
        if not cython.compiled:
            self.used = [0] * 256
            self.sums_lo = [0] * 256
            self.sums_hi = [0] * 256
            self.counts = [0] * 256

    @property
    def created(self) -> int | None:
        said = self.aux.get(b"ctime", b"")
        return int(said) if re.fullmatch(rb"[0-9]{1,12}", said) else None

    @property
    def sums(self) -> list[tuple[int, int, int]]:
        """The number of records of each partition, and the halves of the sum of their hashes."""
        return [(self.counts[k], self.sums_lo[k], self.sums_hi[k]) for k in range(N_PARTITIONS)]

    @cython.locals(k=cython.int)
    def close(self) -> None:
        """Put the records that are still held."""
        for k in range(N_PARTITIONS):
            self.flush(k)

    @cython.locals(n="const long long[::1]", at=cython.Py_ssize_t, end=cython.Py_ssize_t, token=cython.longlong)
    def __call__(self, tape: Tape) -> None:
        n = tape.numbers
        at = 0
        end = tape.count
        while at < end:
            token = n[at]
            if token == KEY:
                self.begin(tape, at)
                at += 10
            elif token == END:
                if self.open:
                    self.end(n[at + 1])
                at += 4
            elif not self.open:
                if self.beside is not None or token == AUX or token == FUNCTION:
                    self.outside(tape, at)
                at += 1 + SIZES[token]
            elif token == ITEM:
                if n[at + 1] >= 0:
                    self.string(tape.s, n[at + 1], n[at + 2])
                else:
                    self.string(tape.a, -1 - n[at + 1], n[at + 2])
                at += 3
            elif token == INTEGER:
                self.integer(n[at + 1])
                at += 2
            elif token == BITS:
                self.score(tape.scores[at + 1])
                at += 2
            elif token == EXPIRES:
                self.hash.word(n[at + 1] if self.expiries else NONE)
                self.element()
                at += 2
            elif token == PIECE:
                if n[at + 1] >= 0:
                    self.hash.feed(tape.s, n[at + 1], n[at + 2])
                else:
                    self.hash.feed(tape.a, -1 - n[at + 1], n[at + 2])
                self.size += n[at + 2]
                at += 3
            elif token == LENGTH:
                at += 3
            elif token == NODE:
                at += 5
            else:
                self.rarer(tape, at, token)
                at += 1 + SIZES[token]

    # ---- a record ----

    @cython.locals(n="const long long[::1]", t=cython.longlong)
    def begin(self, tape: Tape, at: cython.Py_ssize_t) -> cython.int:
        n = tape.numbers
        self.beside = None
        self.db = n[at + 1]
        self.name = tape.text(n[at + 3], n[at + 4])
        self.open = self.only is None or bool(self.only(self.db, self.name))
        if not self.open:
            return 0
        t = n[at + 2]
        self.logical = n[at + 9]
        self.expiry = n[at + 5]
        self.has_ttl = self.logical == HASH and 22 <= t <= 25
        self.is_sum = self.logical == SET or self.logical == HASH or self.logical == ZSET or self.logical == ARRAY
        self.size = 0
        self.part = 0
        self.lo = 0
        self.hi = 0
        self.extra = 0
        self.lacks = False
        self.hash.begin()
        if self.logical == STREAM_VALUE:
            self.more.begin()
        return 0

    def end(self, elements: cython.longlong) -> cython.int:
        if not self.is_sum:
            self.hash.end()
            self.lo = self.hash.lo
            self.hi = self.hash.hi
        if self.logical == STREAM_VALUE:
            self.more.end()
            self.extra = 0 if self.lacks else self.more.lo | 1
        self.record(self.logical, elements)
        self.open = False
        return 0

    @cython.locals(
        k=cython.int,
        o=cython.Py_ssize_t,
        i=cython.Py_ssize_t,
        size=cython.Py_ssize_t,
        low=cython.ulonglong,
        p=cython.p_const_uchar,
    )
    def record(self, kind: cython.longlong, elements: cython.longlong) -> cython.int:
        """Write a record of the key that is open."""
        one = self.hash
        p = self.name
        size = len(self.name)
        one.begin()
        one.word(self.db)
        one.feed(p, 0, size)
        one.end()
        k = one.lo & 255
        one.word(kind)
        one.word(self.expiry if self.expiries else NONE)
        one.word(self.extra)
        one.word(elements)
        one.word(self.lo)
        one.word(self.hi)
        one.end()
        low = (self.sums_lo[k] + one.lo) & ALL
        self.sums_hi[k] = (self.sums_hi[k] + one.hi + (1 if low < one.lo else 0)) & ALL
        self.sums_lo[k] = low
        self.counts[k] += 1
        self.keys += 1
        if self.used[k] + HEAD_SIZE + size > BUFFER:
            self.flush(k)
        if HEAD_SIZE + size > BUFFER:
            self.head(0, size, kind, elements)
            self.put(k, memoryview(bytes(self.b[0:HEAD_SIZE]) + self.name))
            return 0
        o = k * BUFFER + self.used[k]
        self.head(o, size, kind, elements)
        o += HEAD_SIZE
        for i in range(size):
            self.b[o + i] = p[i]
        self.used[k] += HEAD_SIZE + size
        return 0

    @cython.locals(i=cython.int)
    def head(
        self, o: cython.Py_ssize_t, size: cython.Py_ssize_t, kind: cython.longlong, elements: cython.longlong
    ) -> cython.int:
        """Write a record's head to the buffer."""
        self.number(o, size | (cython.cast(cython.ulonglong, self.db) & LOW) << 32)
        self.number(o + 8, kind)
        self.number(o + 16, self.expiry)
        self.number(o + 24, self.extra)
        self.number(o + 32, elements)
        self.number(o + 40, self.lo)
        self.number(o + 48, self.hi)
        return 0

    @cython.locals(i=cython.int)
    def number(self, o: cython.Py_ssize_t, value: cython.ulonglong) -> cython.int:
        for i in range(8):
            self.b[o + i] = value >> (8 * i) & 255
        return 0

    def flush(self, k: cython.int) -> cython.int:
        if self.used[k]:
            self.put(k, memoryview(self.buffer)[k * BUFFER : k * BUFFER + self.used[k]])
            self.used[k] = 0
        return 0

    # ---- elements ----

    def string(self, p: cython.p_const_uchar, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
        """A string, or the last piece of one."""
        if self.logical == ZSET and self.part == 1:
            return self.score(self.decimal(p, start, size))
        self.hash.feed(p, start, size)
        return self.string_end(size)

    @cython.locals(i=cython.Py_ssize_t, end=cython.Py_ssize_t, mantissa=cython.longlong, digits=cython.int, c=cython.int)
    def decimal(self, p: cython.p_const_uchar, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.double:
        """The number that a text stands for, correctly rounded: the quotient of two exact integers (Clinger 1990)."""
        end = start + size
        i = start + 1 if size and p[start] == 45 else start
        mantissa = 0
        digits = 0
        power: cython.double = 0.0  # of ten, once the point has passed
        while i < end and digits <= EXACT_DIGITS:
            c = p[i]
            if 48 <= c <= 57:
                mantissa = mantissa * 10 + c - 48
                digits += 1
                power *= 10.0
            elif c == 46 and power == 0.0:
                power = 1.0
            else:
                break
            i += 1
        if i < end or digits == 0 or digits > EXACT_DIGITS:
            return float(bytes(p[start : start + size]))
        if p[start] == 45:
            mantissa = -mantissa
        return mantissa / power if power > 1.0 else cython.cast(cython.double, mantissa)

    def integer(self, value: cython.longlong) -> cython.int:
        if self.logical == ZSET and self.part == 1:
            return self.score(value)
        return self.string_end(self.hash.decimal(value))

    def string_end(self, size: cython.Py_ssize_t) -> cython.int:
        self.hash.word(self.size + size)
        self.size = 0
        if not self.is_sum:
            return 0
        self.part += 1
        if self.logical == HASH:
            if self.part == 2 and not self.has_ttl:
                self.hash.word(NONE)
                self.element()
        elif self.logical != ZSET:
            self.element()
        return 0

    def score(self, value: cython.double) -> cython.int:
        """A score, or a number in an array."""
        if self.logical == ARRAY:
            text: bytes = array_number(value)
            self.hash.feed(text, 0, len(text))
            return self.string_end(len(text))
        self.pun[0] = value + 0.0
        self.hash.word(self.pun_bits[0])
        return self.element()

    @cython.locals(low=cython.ulonglong)
    def element(self) -> cython.int:
        """Add the element that is complete to the sum."""
        self.hash.end()
        low = (self.lo + self.hash.lo) & ALL
        self.hi = (self.hi + self.hash.hi + (1 if low < self.lo else 0)) & ALL
        self.lo = low
        self.hash.begin()
        self.part = 0
        return 0

    @cython.locals(n="const long long[::1]", k=cython.int, own=cython.int)
    def rarer(self, tape: Tape, at: cython.Py_ssize_t, token: cython.longlong) -> cython.int:
        """Handle the tokens that only some types of values have."""
        n = tape.numbers
        own = SIZES[token]
        if token == MODULE and self.logical == MODULE_VALUE:
            self.extra = n[at + 1] & ALL
        elif token == MODULE_END or token == HINT:
            return 0
        elif token == INSERTED:
            self.hash.word(token)
            self.hash.word(n[at + 1])
            return self.element()
        elif token == STREAM:
            own = 3
            if n[at + 4] == NONE:
                self.lacks = True
            self.more.word(n[at + 6])
            self.more.word(n[at + 7])
            self.more.word(n[at + 8])
        elif token == GROUP:
            own = 2
            if n[at + 3] == NONE or n[at + 3] == -1:
                self.lacks = True
            self.more.word(n[at + 3])
        elif token == PENDING:
            own = 2
        elif token == CONSUMER:
            own = 0
        if token != SLOT_OF:
            self.hash.word(token)
        for k in range(own):
            self.hash.word(n[at + 1 + k])
        return 0

    # ---- beside keys ----

    def outside(self, tape: Tape, at: int) -> None:
        """An AUX field, or a library of functions."""
        n = tape.numbers
        token = n[at]
        if token == AUX or token == FUNCTION:
            self.beside = []
            self.in_function = token == FUNCTION
            self.hash.begin()
            self.size = 0
            self.name = b""
            return
        beside = self.beside
        if beside is None:
            return
        if token == ITEM or token == PIECE:
            text = tape.text(n[at + 1], n[at + 2])
        elif token == INTEGER:
            text = b"%d" % n[at + 1]
        else:
            return
        if self.in_function:
            self.hash.feed(text, 0, len(text))
            if self.name == b"":
                self.name = library_name(text)
        if token == PIECE:
            return
        beside.append(text[:AUX_BYTES])
        if self.in_function:
            self.beside = None
            if self.functions:
                self.hash.end()
                self.lo = self.hash.lo
                self.hi = self.hash.hi
                self.db = -1
                self.expiry = NONE
                self.extra = 0
                self.record(LIBRARY, 1)
                self.keys -= 1
        elif len(beside) == 2:
            self.beside = None
            if len(self.aux) < AUX_BYTES:
                self.aux[beside[0]] = beside[1]


def library_name(code: bytes) -> bytes:
    """The name that a library gives itself in its first line: #!lua name=mylib. Its first line if it gives none."""
    line = code[:1024].split(b"\n", 1)[0]
    found = re.search(rb"name=(\S+)", line)
    return found[1] if found else line


@cython.locals(
    p=cython.p_const_uchar,
    at=cython.Py_ssize_t,
    end=cython.Py_ssize_t,
    size=cython.Py_ssize_t,
    i=cython.Py_ssize_t,
    mixed=cython.ulonglong,
)
def add_records(data: bytes, found: set[bytes], passes: int, number: int) -> int:
    """Add the whole records in data to a set: all, or of several passes those of one. Returns the bytes they take."""
    p = data
    at = 0
    end = len(data)
    many: cython.ulonglong = passes
    wanted: cython.ulonglong = number
    while at + HEAD_SIZE <= end:
        size = HEAD_SIZE + (p[at] | p[at + 1] << 8 | p[at + 2] << 16 | cython.cast(cython.Py_ssize_t, p[at + 3]) << 24)
        if at + size > end:
            break
        if many > 1:
            mixed = FNV_BASIS  # FNV-1a of the name
            for i in range(at + HEAD_SIZE, at + size):
                mixed = ((mixed ^ p[i]) * FNV_PRIME) & ALL
        if many == 1 or mixed % many == wanted:
            found.add(data[at : at + size])
        at += size
    return at
