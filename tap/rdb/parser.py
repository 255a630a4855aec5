# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""The parser: bytes of an RDB in, in pieces of any size; a tape of their content out.

An RDB is read as a sequence of units: a record's head, a string, an element, an entry of a packed value. Between calls
the parser always stands between two units. An incomplete unit is kept until the rest arrives, some 64 KiB at the most,
and a longer string passes in pieces. So memory does not depend on the size of a value, and the result does not depend
on how the bytes were split.

Types and opcodes are those of Redis up to RDB 15 and of Valkey up to 81; the magic distinguishes the two. Source: Redis
8.0 and Valkey 9.1 rdb.c. What RDB 13 to 15 and 81 added is taken from other readers of such files, not from a server.
"""

from __future__ import annotations

from collections.abc import Callable

import cython

from tap.rdb.crc64 import Crc64
from tap.rdb.problem import Problem

if not cython.compiled:
    from tap.rdb.integers import i64, i64_of_i32, u32
    from tap.rdb.states import *
    from tap.rdb.tape import Tape
    from tap.rdb.tokens import *
    from tap.rdb.values import Values

COMPILED: bool = cython.compiled

REDIS_VERSIONS = cython.declare(cython.int, 15)
VALKEY_VERSIONS = cython.declare(cython.int, 81)
FIRST_VALKEY = cython.declare(cython.int, 80)

# Bytes. A kept beginning of a unit is first tried with this much of the new input: usually that completes the unit, and
# the rest of the input is then read in place, without copying it.
BRIDGE = cython.declare(cython.Py_ssize_t, 1024)
MAX_KEY = cython.declare(cython.longlong, 8 * 2**20)  # bytes; a key has to be held whole
FIRST_OPCODE = cython.declare(cython.int, 200)
MAX_DB = cython.declare(cython.longlong, 2**31 - 1)


class Parser(Values):
    """Reads one RDB; the reader receives its content on the tape.

    values: write the elements of values on the tape, not only keys. problem: None while nothing is wrong. checksum:
    "ok", "wrong", "disabled" (the writer left it out), "absent" (before RDB 5) or "unchecked"; "" before the end.
    valkey, version: from the magic. keys: complete records so far.
    """

    def __init__(
        self, reader: Callable[[Tape], None], *, values: bool = False, checks: bool = True, size: int | None = None
    ) -> None:
        """checks: verify the checksum. size: bytes of the whole RDB, if known; a length that exceeds it is damage."""
        super().__init__(reader, values, size)
        self.begin()
        self.crc = Crc64()
        self.checks = checks
        self.checksum = ""
        self.names_version = False
        self.freq = -1
        self.idle = -1
        self.key_position = 0
        self.keys = 0

    @property
    def position(self) -> int:
        """The number of bytes read as complete units."""
        return self.base

    @property
    def finished(self) -> bool:
        """Whether the RDB's end has been read; its checksum may still be wrong."""
        return self.state == DONE

    @cython.locals(
        n=cython.Py_ssize_t,
        begin=cython.Py_ssize_t,
        end=cython.Py_ssize_t,
        held=cython.Py_ssize_t,
        taken=cython.Py_ssize_t,
    )
    def feed(self, data: bytes | bytearray | memoryview) -> int:
        """Take the next bytes. Returns how many of them belong to the RDB: all, unless it ends within them.

        After a problem the end of the RDB cannot be found any more, so all further bytes count as belonging to it.
        """
        n = len(data)
        begin = 0
        while begin < n:
            if self.state >= DONE:
                return begin if self.state == DONE else n
            held = len(self.leftover)
            if held == 0:
                return begin + self.take(memoryview(data)[begin:])
            end = n if self.wanted > held + BRIDGE else min(n, begin + max(held, BRIDGE))
            self.leftover += memoryview(data)[begin:end]
            if len(self.leftover) >= self.wanted:
                taken = self.take(bytes(self.leftover))
                if self.state == DONE:
                    return begin + taken - held
                if end < n and len(self.leftover) <= end - begin:  # the kept unit is complete
                    end -= len(self.leftover)
                    self.leftover = bytearray()
                    self.wanted = 0
            begin = end
        return n

    @cython.locals(
        view="const unsigned char[::1]",
        p=cython.p_const_uchar,
        i=cython.Py_ssize_t,
        j=cython.Py_ssize_t,
        n=cython.Py_ssize_t,
    )
    def take(self, data: bytes | memoryview) -> cython.Py_ssize_t:
        """Read the complete units of data and keep the rest. Returns how many of its bytes belong to the RDB."""
        n = len(data)
        if cython.compiled:
            view = data
            p = cython.address(view[0])
        else:
            p = data = bytes(data)
        self.tape.open(p, data)
        i = 0
        while i < n or self.state >= END_OF_VALUE:
            j = self.step(p, i, n)
            if j < 0:
                break
            i = j
            if self.state == DONE:
                break
        if self.key_open and not self.key:
            self.key = self.tape.text(self.key_start, self.key_size)
        self.tape.flush()
        if self.state == BROKEN:
            self.leftover = bytearray()
            self.base += i
            return n
        if self.state == DONE:
            self.leftover = bytearray()
            self.base += i
            return i
        if self.checks:
            self.crc.feed(memoryview(data)[:i])
        self.leftover = bytearray(memoryview(data)[i:])
        self.wanted = max(self.wanted - i, 0)
        self.base += i
        return n

    def close(self) -> Problem | None:
        """Report that there are no more bytes. Returns what is wrong with the RDB; None if it is whole and sound."""
        if self.state == RECORD and self.leftover and self.leftover[0] < FIRST_OPCODE:
            self.type = self.leftover[0]
            if self.begin_value():
                self.state = RECORD
            else:
                self.unknown_type(0)
        if self.state < DONE:
            end = self.base + len(self.leftover)
            where = "it is empty" if end == 0 else f"it ends here, {_WITHIN.get(self.state, 'inside a value')}"
            self.bad(len(self.leftover), where, "truncated")
        found: Problem | None = self.problem
        return found

    # ---- records ----

    def step(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read one unit at p[i]. Returns where the next one begins, NEED or BAD."""
        s: cython.int = self.state
        if s == RECORD:
            return self.record(p, i, n)
        if s == ITEMS:
            return self.items(p, i, n)
        if s == END_OF_VALUE:
            return self.value_end(i)
        if s == STRING_VALUE:
            return self.string_value(p, i, n)
        if s == COUNT:
            return self.count(p, i, n)
        if s == BLOB or s == NODE_ID or s == STREAM_NODES or s == STREAM_END:
            return self.stream(p, i, n)
        if s == LIST_NODE:
            return self.list_node(p, i, n)
        if s == BLOB_RAW:
            return self.blob_raw(p, i, n)
        if s == END_OF_BLOB:
            return i if self.blob_done() else self.bad(self.long_at - self.base, self.packed.problem)
        if s == RAW:
            return self.raw(p, i, n)
        if s == COMPRESSED:
            return self.compressed(p, i, n)
        if s == AUX_NAME or s == AUX_VALUE:
            return self.aux(p, i, n)
        if s == LIBRARY:
            return self.string(p, i, n, True, RECORD)
        if s == MINIMUM:
            if i + 8 > n:
                return self.need(i, 8)
            self.minimum = i64(p, i)
            self.state = COUNT if self.type == 24 else BLOB
            return i + 8
        if GROUP_NAME <= s <= NACKED:
            return self.group(p, i, n)
        if IDEMPOTENCE <= s <= IDEMPOTENCE_END:
            return self.idempotence(p, i, n)
        if MODULE_ID <= s <= METADATA_CLASS:
            return self.module_part(p, i, n)
        if s == ARRAY_HEAD or s == ARRAY_ELEMENT:
            return self.array(p, i, n)
        if TEMPLATE_HEAD <= s <= TEMPLATE_NAME or s == TEMPLATE_VALUE:
            return self.template(p, i, n)
        if s == COMMAND or s == COMMAND_ARGUMENT:
            return self.resp(p, i, n)
        if s == CHECKSUM:
            return self.check(p, i, n)
        if s >= END_OF_CONSUMER:
            return self.pass_on(i)
        return self.magic(p, i, n)

    def magic(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        if n < 9:
            return self.need(i, 9)
        head: bytes = bytes(p[0:9])
        self.valkey = head[:6] == b"VALKEY"
        digits: bytes = head[6:] if self.valkey else head[5:]
        if not self.valkey and head[:5] != b"REDIS":
            return self.bad(0, f"this is not an RDB: it begins with {head!r}")
        if not digits.isdigit() or int(digits) == 0:
            return self.bad(0, f"an RDB version that is not a number: {head!r}")
        self.version = int(digits)
        if self.valkey != (self.version >= FIRST_VALKEY):
            return self.bad(0, f"no server writes RDB version {self.version} under this name: {head!r}", "unknown")
        if self.version > (VALKEY_VERSIONS if self.valkey else REDIS_VERSIONS):
            known = f"{VALKEY_VERSIONS if self.valkey else REDIS_VERSIONS}"
            return self.bad(0, f"RDB version {self.version}; this redis-tap knows those up to {known}", "unknown")
        self.state = RECORD
        return 9

    @cython.locals(c=cython.int)
    def record(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        c = p[i]
        if c < FIRST_OPCODE:
            return self.key_record(p, i, n)
        return self.opcode(p, i, n, c)

    @cython.locals(j=cython.Py_ssize_t)
    def opcode(
        self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t, c: cython.int
    ) -> cython.Py_ssize_t:
        if c == 0xFC:
            if i + 9 > n:
                return self.need(i, 9)
            self.expires = i64(p, i + 1)
            return self.attribute(i, i + 9)
        if c == 0xFE:
            j = self.length(p, i + 1, n)
            if j < 0:
                return j
            if self.number < 0 or self.number > MAX_DB:
                return self.bad(i, f"database number {self.number}")
            self.db = self.number
            self.tape.say1(DB, self.db)
            return j
        if c == 0xFF:
            if self.version >= 5:
                self.state = CHECKSUM
            else:
                self.checksum = "absent"
                self.state = DONE
            return i + 1
        if c == 0xFA:
            self.tape.say(AUX)
            self.state = AUX_NAME
            return i + 1
        if c == 0xFB:
            j = self.length(p, i + 1, n)  # the sizes are a hint, and may be wrong
            if j < 0:
                return j
            self.left = self.number
            j = self.length(p, j, n)
            if j >= 0:
                self.tape.say2(RESIZE, self.left, self.number)
            return j
        if c == 0xFD:
            if i + 5 > n:
                return self.need(i, 5)
            self.expires = (i64_of_i32(u32(p, i + 1))) * 1000
            return self.attribute(i, i + 5)
        if c == 0xF9:
            if i + 2 > n:
                return self.need(i, 2)
            self.freq = p[i + 1]
            return self.attribute(i, i + 2)
        if c == 0xF8:
            j = self.length(p, i + 1, n)
            if j < 0:
                return j
            self.idle = self.number
            return self.attribute(i, j)
        if c == 0xF7:
            j = self.length(p, i + 1, n)
            if j < 0:
                return j
            self.module = self.number
            j = self.length(p, j, n)
            if j < 0:
                return j
            if self.number != 2:
                return self.bad(i, f"module data that begins with {self.number} instead of 2")
            j = self.length(p, j, n)
            if j < 0:
                return j
            self.tape.say2(MODULE_AUX, self.module, self.number)
            self.module_after = RECORD
            self.module_says = self.values
            self.module_position = self.base + i + 1
            self.state = MODULE_PART
            return j
        if c == 0xF5:
            self.tape.say(FUNCTION)
            self.state = LIBRARY
            return i + 1
        if c == 0xF4:
            return self.lengths(p, i, n, 3)
        if c == 0xF3 and self.valkey:
            j = self.header(p, i + 1, n)
            if j < 0:
                return j
            j = self.whole(p, j, n, 4096)
            if j < 0:
                return j
            j = self.length(p, j, n)
            if j < 0:
                return j
            if self.number < 0 or self.number > 16384:
                return self.bad(i, f"an import of {self.number} ranges of slots")
            self.left = self.number
            while self.left:
                j = self.length(p, j, n)
                if j >= 0:
                    j = self.length(p, j, n)
                if j < 0:
                    return j
                self.left -= 1
            self.tape.say1(HINT, c)
            return j
        if c == 0xF3 and self.version >= 13:
            j = self.length(p, i + 1, n)
            if j < 0:
                return j
            if self.number < 0 or self.number > 7:
                return self.bad(i, f"key metadata of {self.number} classes")
            self.classes = self.number
            if self.classes:
                self.attribute(i, i)  # marks the beginning; the bytes are counted where the metadata end
                self.metadata_at = self.base + i
                self.state = METADATA_CLASS
                return j
            return self.attribute(i, j)
        if c == 0xF2 and self.valkey:
            self.state = COMMAND
            return i + 1
        if c == 0xF2 and self.version >= 15:
            self.state = TEMPLATE_HEAD
            return i + 1
        return self.bad(i, f"opcode {c}, which this redis-tap does not know", "unknown")

    def attribute(self, i: cython.Py_ssize_t, j: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Count p[i:j] as part of the next key; other records may stand between the two. Returns j."""
        if self.attributes == 0:
            self.attributes_at = self.base + i
        self.attributes += j - i
        return j

    @cython.locals(j=cython.Py_ssize_t)
    def aux(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read an AUX field, which the writer added: its name or its value."""
        if self.state == AUX_NAME:
            j = self.string(p, i, n, True, AUX_VALUE)
            if j > 0:
                self.names_version = False
                if self.kind == PLAIN_BYTES and j - i == 11 and p[i] == 10:
                    self.names_version = bytes(p[i:j]) == b"\x0avalkey-ver"
            return j
        j = self.string(p, i, n, True, RECORD)
        if j > 0 and self.names_version and self.kind == PLAIN_BYTES:
            numbers = bytes(p[i + 1 : j]).split(b".")
            if len(numbers) > 1 and numbers[0].isdigit() and numbers[1].isdigit() and len(numbers[0] + numbers[1]) < 6:
                self.valkey_version = int(numbers[0]) * 100 + int(numbers[1])
        return j

    @cython.locals(j=cython.Py_ssize_t, c=cython.int)
    def lengths(
        self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t, count: cython.int
    ) -> cython.Py_ssize_t:
        """Read an opcode followed by *count* numbers that only help a server to allocate memory."""
        c = p[i]
        j = i + 1
        while count:
            j = self.length(p, j, n)
            if j < 0:
                return j
            count -= 1
        self.tape.say1(HINT, c)
        return j

    @cython.locals(j=cython.Py_ssize_t, c=cython.int)
    def key_record(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        c = p[i]
        self.type = c
        known: cython.bint = self.begin_value()
        j = self.key_name(p, i + 1, n)
        if j == NEED:
            self.state = RECORD
            return j
        if not known:
            if j >= 0:  # an unknown type need not be followed by a name
                self.key = self.tape.text(self.key_start, self.key_size)
                self.key_open = True
            return self.unknown_type(i)
        if j == BAD:
            return j
        self.key_position = self.base + i
        self.key_open = True
        self.key = b""
        if self.key_start < 0:
            self.key = self.tape.text(self.key_start, self.key_size)
        self.elements = 0
        self.part = 0
        if self.key_start < 0:
            self.tape.base = self.tape.used  # a flush before the token must not free the name
        # One token in two steps: say4() has made room for all of its numbers.
        self.tape.say4(KEY, self.db, c, self.key_start, self.key_size)
        self.tape.add(self.expires)
        self.tape.add(self.freq)
        self.tape.add(self.idle)
        self.tape.add(self.attributes_at if self.attributes else self.key_position)
        self.tape.add(self.logical)
        self.tape.base = 0
        return j

    def unknown_type(self, i: cython.Py_ssize_t) -> cython.Py_ssize_t:
        return self.bad(i, f"value type {self.type}, which this redis-tap does not know", "unknown")

    @cython.locals(j=cython.Py_ssize_t)
    def key_name(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read a key's name into key_start and key_size."""
        if i < n and p[i] < 64:
            self.key_size = p[i]
            self.key_start = i + 1
            j = i + 1 + self.key_size
            return j if j <= n else self.need(i, 1 + self.key_size)
        j = self.header(p, i, n)
        if j < 0:
            return j
        j = self.whole(p, j, n, MAX_KEY)
        if j >= 0:
            self.key_start = self.number
            self.key_size = self.size
        return j

    def value_end(self, i: cython.Py_ssize_t) -> cython.Py_ssize_t:
        self.tape.say2(END, self.elements, self.base + i - self.key_position + self.attributes)
        self.tape.add(self.encoding)
        self.keys += 1
        self.key_open = False
        self.expires = NONE
        self.freq = -1
        self.idle = -1
        self.attributes = 0
        self.state = RECORD
        return i

    # ---- commands, in an RDB of Valkey 81 ----

    @cython.locals(j=cython.Py_ssize_t, c=cython.int)
    def resp(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read a command in the middle of the snapshot: *<argc>, and each argument with its $<length>."""
        c = 42 if self.state == COMMAND else 36
        if p[i] != c:
            return self.bad(i, "a command that cannot be read")
        j = i
        while j < n and p[j] != 10:
            j += 1
            if j - i > 24:
                break
        if j == n and j - i <= 24:
            return self.need(i, j - i + 1)
        digits: bytes = bytes(p[i + 1 : j]).removesuffix(b"\r")
        if not digits.isdigit() or len(digits) > 12:
            return self.bad(i, "a command that cannot be read")
        if c == 42:
            self.left = int(digits)
            self.state = COMMAND_ARGUMENT if self.left else RECORD
            return j + 1
        self.left -= 1
        self.size = int(digits) + 2
        self.emits = False
        self.after = COMMAND_ARGUMENT if self.left else RECORD
        self.state = RAW
        return j + 1

    # ---- the end ----

    def check(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        if i + 8 > n:
            return self.need(i, 8)
        if self.checks:
            self.crc.feed(memoryview(self.tape.source)[:i])
        written: int = i64(p, i) % 2**64
        self.state = DONE
        if written == 0:
            self.checksum = "disabled"
        elif not self.checks:
            self.checksum = "unchecked"
        elif written == self.crc.value:
            self.checksum = "ok"
        else:
            self.checksum = "wrong"
            text = f"the checksum is 0x{written:016x}, of these bytes it is 0x{self.crc.value:016x}"
            self.problem = Problem("checksum", self.base + i, text, self.db, None)
        return i + 8


_WITHIN = {0: "inside its first line", 1: "where a record or the end was expected", 45: "before its checksum"}
