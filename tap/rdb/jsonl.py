# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""An RDB as lines of JSON, one line per key.

    {"db", "key", "type", "encoding", "rdb_type", "serialized_bytes", "elements", "expires_at_ms", "freq", "idle_s",
     "value"}

freq and idle_s appear only if the writer kept them. encoding, serialized_bytes and elements are known only at the end
of a key; they come after the value if its text exceeds a megabyte. A byte string is a JSON string if it is printable
UTF-8, and {"b64": ...} otherwise. Nothing is shortened; elements come in the order of the RDB.

    string   byte string                       hash     [[field, value, expires at (ms) or null]]
    list     [byte string]                     set      [byte string]
    zset     [[member, score as text]]         array    [[index, byte string]]
    stream   {"entries": [[id, [[field, value]]]], "length", "last_id", "first_id", "max_deleted_id", "entries_added",
              "groups": [{"name", "last_id", "entries_read", "pel": [{"id", "consumer", "delivery_time_ms",
              "delivery_count"}], "consumers": [{"name", "seen_time_ms", "active_time_ms", "pel": [id]}]}]}
    module   [[kind, value]], kind: i (signed), u (unsigned), f, d (float, double, as text), s (string)
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import IO, Any

import cython

from tap.rdb.json_parts import MASK, Groups, array_number, encoded, long_text, stream_id
from tap.rdb.keys import module_name
from tap.rdb.tokens import ENCODINGS, SIZES

if not cython.compiled:
    from tap.rdb.keys import Key, begun
    from tap.rdb.tape import Tape
    from tap.rdb.tokens import *

WRITE_SIZE = cython.declare(cython.Py_ssize_t, 256 * 1024)
SPILL_SIZE = cython.declare(cython.Py_ssize_t, 1024 * 1024)
WITH_TTL = (22, 23, 24, 25)  # RDB types of hashes whose fields can expire


class JsonText:
    """A growing buffer of JSON text. string() appends a byte string as JSON."""

    def __init__(self) -> None:
        self.data = bytearray(2 * WRITE_SIZE)
        self.room = len(self.data)
        self.size = 0
        self.p = cython.cast(cython.p_uchar, self.data) if cython.compiled else self.data

    def make_room(self, size: cython.Py_ssize_t) -> cython.int:
        if self.size + size > self.room:
            self.data = self.data + bytearray(self.room + size)
            self.room = len(self.data)
            self.p = cython.cast(cython.p_uchar, self.data) if cython.compiled else self.data
        return 0

    def put(self, c: cython.int) -> cython.int:
        self.make_room(1)
        self.p[self.size] = c
        self.size += 1
        return 0

    @cython.locals(i=cython.Py_ssize_t, n=cython.Py_ssize_t, p=cython.p_const_uchar)
    def raw(self, text: bytes) -> cython.int:
        n = len(text)
        self.make_room(n)
        p = text
        for i in range(n):
            self.p[self.size + i] = p[i]
        self.size += n
        return 0

    @cython.locals(i=cython.Py_ssize_t)
    def text(self, other: JsonText) -> cython.int:
        self.make_room(other.size)
        for i in range(other.size):
            self.p[self.size + i] = other.p[i]
        self.size += other.size
        return 0

    @cython.locals(begin=cython.Py_ssize_t, i=cython.Py_ssize_t, j=cython.Py_ssize_t, c=cython.uchar)
    def integer(self, value: cython.longlong) -> cython.int:
        self.make_room(24)
        if value < 0:
            if value < -(10**18):
                return self.raw(b"%d" % value)
            self.put(45)
            value = -value
        begin = self.size
        while True:
            self.p[self.size] = 48 + value % 10
            self.size += 1
            value //= 10
            if value == 0:
                break
        i = begin
        j = self.size - 1
        while i < j:
            c = self.p[i]
            self.p[i] = self.p[j]
            self.p[j] = c
            i += 1
            j -= 1
        return 0

    def quoted_integer(self, value: cython.longlong) -> cython.int:
        self.put(34)
        self.integer(value)
        return self.put(34)

    @cython.locals(i=cython.Py_ssize_t, o=cython.Py_ssize_t, c=cython.uchar)
    def string(self, p: cython.p_const_uchar, size: cython.Py_ssize_t) -> cython.int:
        self.make_room(2 * size + 2)
        o = self.size
        self.p[o] = 34
        o += 1
        for i in range(size):
            c = p[i]
            if c < 32 or c > 126:
                return self.raw(encoded(bytes(p[0:size])))
            if c == 34 or c == 92:
                self.p[o] = 92
                o += 1
            self.p[o] = c
            o += 1
        self.p[o] = 34
        self.size = o + 1
        return 0


class JsonLines:
    """A reader of the tape, for a parser with values; call close() after the last byte. records: lines so far."""

    def __init__(
        self,
        write: Callable[[memoryview], Any],
        *,
        spool: Callable[[], IO[bytes]] = io.BytesIO,
        only: Callable[[Key], bool] | None = None,
    ) -> None:
        """spool: creates a file for one long string, whose JSON form is known only at its end. only: which keys to write;
        None for all.
        """
        self.write = write
        self.spool = spool
        self.only = only
        self.out = JsonText()
        self.value = JsonText()
        self.kinds: dict[int, bytes] = {}
        self.records = 0
        self.key: Any = None
        self.open = False
        self.wanted = True
        self.logical = 0
        self.has_ttl = False
        self.index = 0
        self.spilled = False
        self.long: Any = None
        self.entries = 0
        self.fields = 0
        self.groups: Any = None
        self.name = b""

    def close(self) -> None:
        """Write what is still held.

        A record cut off by damage or by the end of the RDB is left out. If it exceeds a megabyte its beginning has been
        written already, and then the last line is not valid JSON.
        """
        self._write_out()

    def _write_out(self) -> None:
        if self.out.size:
            self.write(memoryview(self.out.data)[: self.out.size])
            self.out.size = 0

    @cython.locals(n="const long long[::1]", at=cython.Py_ssize_t, end=cython.Py_ssize_t, token=cython.longlong)
    def __call__(self, tape: Tape) -> None:
        n = tape.numbers
        at = 0
        end = tape.count
        while at < end:
            token = n[at]
            if not (self.open and self.wanted) and token != KEY and token != END:
                at += 1 + SIZES[token]
            elif token == ITEM:
                if self.long is not None:
                    self.long.write(tape.text(n[at + 1], n[at + 2]))
                    self.long_string()
                elif n[at + 1] >= 0:
                    self.element(tape.s, n[at + 1], n[at + 2])
                else:
                    self.element(tape.a, -1 - n[at + 1], n[at + 2])
                at += 3
            elif token == INTEGER:
                self.number(n[at + 1])
                at += 2
            elif token == KEY:
                self.begin(tape, at)
                at += 10
            elif token == END:
                if self.wanted:
                    self.end(tape, at)
                self.open = False
                at += 4
            elif token == BITS:
                self.score(tape.scores[at + 1])
                at += 2
            elif token == EXPIRES:
                self.expiry(n[at + 1])
                at += 2
            elif token == PIECE:
                if self.long is None:
                    self.long = self.spool()
                self.long.write(tape.text(n[at + 1], n[at + 2]))
                at += 3
            elif token == LENGTH:
                at += 3
            elif token == NODE:
                at += 5
            else:
                self.rarer(token, [n[at + 1 + k] for k in range(SIZES[token])])
                at += 1 + SIZES[token]
            if self.value.size > SPILL_SIZE:
                self.spill()
        if self.out.size > WRITE_SIZE:
            self._write_out()

    # ---- a record ----

    @cython.locals(n="const long long[::1]", key=Key)
    def begin(self, tape: Tape, at: cython.Py_ssize_t) -> cython.int:
        key = begun(tape, at)
        self.key = key
        self.open = True
        self.wanted = self.only is None or self.only(key)
        if not self.wanted:
            return 0
        self.logical = key.logical
        self.has_ttl = self.logical == HASH and key.rdb_type in WITH_TTL
        self.index = 0
        self.spilled = False
        self.value.size = 0
        if self.logical == STREAM_VALUE:
            self.value.raw(b'{"entries":[')
            self.entries = 0
            self.fields = 0
            self.groups = None
        elif self.logical != STRING and self.logical != GCRA:
            self.value.put(91)
        return 0

    @cython.locals(n="const long long[::1]", key=Key)
    def end(self, tape: Tape, at: cython.Py_ssize_t) -> cython.int:
        n = tape.numbers
        key = self.key
        key.elements = n[at + 1]
        key.serialized_bytes = n[at + 2]
        key.code = n[at + 3]
        if self.logical == STREAM_VALUE:
            self.end_stream()
        elif self.logical != STRING and self.logical != GCRA:
            self.value.put(93)
        self.records += 1
        if not self.spilled:
            self.head(key, False)
        self.out.text(self.value)
        if self.spilled:
            self.out.raw(b',"encoding":"%s","serialized_bytes":' % ENCODINGS[key.code].encode())
            self.out.integer(key.serialized_bytes)
            self.out.raw(b',"elements":')
            self.out.integer(key.elements)
        self.out.raw(b"}\n")
        if self.out.size > WRITE_SIZE:
            self._write_out()
        return 0

    @cython.locals(kind=cython.longlong, n=cython.Py_ssize_t)
    def head(self, key: Key, early: bool) -> None:
        """Write what comes before the value. early: the value has not ended."""
        out = self.out
        out.raw(b'{"db":')
        out.integer(key.db)
        out.raw(b',"key":')
        out.string(key.key, len(key.key))
        kind = key.rdb_type << 16 | key.code << 1 | early
        words = None if key.module else self.kinds.get(kind)
        if words is None:
            encoding = "" if early else f',"encoding":"{key.encoding}"'
            words = f',"type":{json.dumps(key.type)}{encoding},"rdb_type":{key.rdb_type}'.encode()
            if not key.module:
                self.kinds[kind] = words
        out.raw(words)
        if not early:
            out.raw(b',"serialized_bytes":')
            out.integer(key.serialized_bytes)
            out.raw(b',"elements":')
            out.integer(key.elements)
        out.raw(b',"expires_at_ms":')
        if key.expiry == NONE:
            out.raw(b"null")
        else:
            out.integer(key.expiry)
        if key.frequency >= 0:
            out.raw(b',"freq":')
            out.integer(key.frequency)
        if key.idleness >= 0:
            out.raw(b',"idle_s":')
            out.integer(key.idleness)
        out.raw(b',"value":')

    def end_stream(self) -> None:
        for text in self.groups.texts() if self.groups is not None else ("}",):
            self.value.raw(text.encode())
            if self.value.size > SPILL_SIZE:
                self.spill()

    def spill(self) -> None:
        """Write what there is of a large value."""
        if not self.spilled:
            self.spilled = True
            self.head(self.key, True)
        self._write_out()
        self.write(memoryview(self.value.data)[: self.value.size])
        self.value.size = 0

    # ---- elements ----

    def element(self, p: cython.p_const_uchar, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
        """A string at p[start]."""
        if self.logical == ZSET and self.index & 1:
            return self.score(float(bytes(p[start : start + size])))
        if self.logical == STREAM_VALUE and self.fields == 0:
            self.name = bytes(p[start : start + size])  # of a group or a consumer: the next token says which
            return 0
        self.before()
        if cython.compiled:
            self.value.string(p + start, size)
        else:
            self.value.string(p[start : start + size], size)
        return self.after()

    def number(self, value: cython.longlong) -> cython.int:
        """A string that is an integer."""
        if self.logical == ZSET and self.index & 1:
            if -(10**16) < value < 10**16:
                self.value.raw(b',"')
                self.value.integer(value)
                self.value.raw(b'.0"]')
                self.index += 1
                return 0
            return self.score(float(value))
        if self.logical == STREAM_VALUE and self.fields == 0:
            self.name = b"%d" % value
            return 0
        self.before()
        self.value.quoted_integer(value)
        return self.after()

    def before(self) -> cython.int:
        """Write the punctuation before a string, which depends on the type of the value."""
        if self.logical == LIST or self.logical == SET:
            if self.index:
                self.value.put(44)
        elif self.logical == HASH or self.logical == STREAM_VALUE:
            if self.index & 1:
                self.value.put(44)
            else:
                if self.index:
                    self.value.put(44)
                self.value.put(91)
        elif self.logical == ZSET:
            if self.index:
                self.value.put(44)
            self.value.put(91)
        elif self.logical == MODULE_VALUE:
            self.value.raw(b',["s",' if self.index else b'["s",')
        return 0

    def after(self) -> cython.int:
        self.index += 1
        if self.logical == HASH:
            if self.index & 1 == 0 and not self.has_ttl:
                self.value.raw(b",null]")
        elif self.logical == STREAM_VALUE:
            if self.index & 1 == 0:
                self.value.put(93)
                self.fields -= 1
                if self.fields == 0:
                    self.value.raw(b"]]")
        elif self.logical == MODULE_VALUE or self.logical == ARRAY:
            self.value.put(93)
        return 0

    def score(self, value: cython.double) -> cython.int:
        """Write a score, or a number in an array."""
        if self.logical == ZSET:
            self.value.raw(b',"%s"]' % repr(value).encode())
            self.index += 1
            return 0
        self.before()
        self.value.raw(b'"%s"' % array_number(value))
        return self.after()

    def expiry(self, at: cython.longlong) -> cython.int:
        if at == NONE:
            return self.value.raw(b",null]")
        self.value.put(44)
        self.value.integer(at)
        return self.value.put(93)

    def long_string(self) -> None:
        """Write a string that came in pieces and is now complete."""
        whole, self.long = self.long, None
        if self.logical == STREAM_VALUE and self.fields == 0:
            whole.seek(0)
            self.name = whole.read()
            return
        self.before()
        for piece in long_text(whole):
            self.value.raw(piece)
            if self.value.size > SPILL_SIZE:
                self.spill()
        whole.close()
        self.after()

    def rarer(self, token: int, numbers: list[int]) -> None:
        """Handle the tokens that only some types of values have."""
        value = self.value
        if token == ENTRY:
            value.raw(b",[" if self.entries else b"[")
            value.raw(b'"%s",[' % stream_id(*numbers[:2]).encode())
            self.entries += 1
            self.index = 0
            self.fields = numbers[2]
            if self.fields == 0:
                value.raw(b"]]")
        elif token == STREAM:
            value.raw(b"]")
            self.groups = Groups(self.entries, numbers)
        elif token in (GROUP, PENDING, CONSUMER, OWNED):
            if self.groups is not None:
                self.groups.take(token, numbers, self.name)
        elif token == MODULE:
            if self.key is not None:
                self.key.module = module_name(numbers[0])
        elif token == SLOT_OF:
            value.raw(b",[" if self.index else b"[")
            value.raw(b"%d," % (numbers[0] & MASK))
        elif token in (UNSIGNED, SIGNED, FLOAT, DOUBLE):
            bits = numbers[0] & MASK
            if token == UNSIGNED:
                text = f'["u",{bits}]'
            elif token == SIGNED:
                text = f'["i",{numbers[0]}]'
            elif token == FLOAT:
                text = f'["f","{struct.unpack("<f", struct.pack("<I", bits))[0]!r}"]'
            else:
                text = f'["d","{struct.unpack("<d", struct.pack("<Q", bits))[0]!r}"]'
            if self.logical == GCRA:
                text = str(bits)
            value.raw((b"," if self.index else b"") + text.encode())
            self.index += 1
