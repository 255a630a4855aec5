"""Drive a handler with an RDB: one method for each kind of element; override those of interest."""

from __future__ import annotations

from collections.abc import Callable

from tap.rdb.json_parts import MASK, array_number, stream_id
from tap.rdb.keys import Key, begun, module_name
from tap.rdb.tape import Tape
from tap.rdb.tokens import *

_WITH_TTL = (22, 23, 24, 25)  # RDB types of hashes that give an expiry for each field
_KINDS = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f", DOUBLE: "d"}


class Handler:
    """The base class: every method does nothing.

    Strings are complete, and elements come one by one, in the order of the RDB, between begin_key() and end_key() of
    their key. A key's elements, serialized_bytes, encoding and module are not known at begin_key(), only at end_key().
    """

    def aux(self, name: bytes, value: bytes) -> None:
        """A field that the writer added: redis-ver, used-mem, repl-id and more."""

    def function(self, code: bytes) -> None:
        """A library of functions."""

    def begin_key(self, key: Key) -> None: ...

    def end_key(self, key: Key) -> None: ...

    def string(self, value: bytes) -> None: ...

    def list_element(self, value: bytes) -> None: ...

    def set_member(self, member: bytes) -> None: ...

    def zset_member(self, member: bytes, score: float) -> None: ...

    def hash_field(self, field: bytes, value: bytes, expires_at_ms: int | None) -> None: ...

    def stream_entry(self, entry_id: str, fields: list[tuple[bytes, bytes]]) -> None: ...

    def stream_group(self, name: bytes, last_id: str, entries_read: int | None) -> None:
        """A consumer group; its pending entries follow, then its consumers."""

    def stream_pending(self, entry_id: str, delivered_at_ms: int, deliveries: int) -> None: ...

    def stream_consumer(self, name: bytes, seen_at_ms: int, active_at_ms: int | None) -> None:
        """A consumer of the group; the pending entries it owns follow."""

    def stream_owned(self, entry_id: str) -> None: ...

    def array_element(self, index: int, value: bytes) -> None: ...

    def module_value(self, kind: str, value: int | bytes) -> None:
        """A value that a module saved; kind: u, i (integers), f, d (the bits of a float or a double) or s (bytes)."""


class HandlerReader:
    """A reader of the tape, for a parser with values, that calls a handler."""

    def __init__(self, handler: Handler, only: Callable[[Key], bool] | None = None) -> None:
        """only: which keys to pass on; None for all."""
        self._handler = handler
        self._only = only
        self._key: Key | None = None
        self._logical = -1
        self._has_ttl = False
        self._pieces: list[bytes] = []
        self._parts: list[bytes] = []  # strings of the element being read
        self._beside: Callable[[bytes], None] | None = None  # takes the next string outside of keys
        self._entry = ""
        self._fields = 0  # fields of the entry still to come
        self._index = 0

    def __call__(self, tape: Tape) -> None:
        n = memoryview(tape.numbers)[: tape.count].tolist()
        at = 0
        while at < len(n):
            token = n[at]
            if token == ITEM:
                text = tape.text(n[at + 1], n[at + 2])
                if self._pieces:
                    text, self._pieces = b"".join([*self._pieces, text]), []
                self._string(text)
            elif token == INTEGER:
                self._string(b"%d" % n[at + 1])
            elif token == BITS:
                self._double(memoryview(tape.scores)[at + 1])
            elif token == PIECE:
                if self._key is not None or self._beside is not None:
                    self._pieces.append(tape.text(n[at + 1], n[at + 2]))
            elif token == KEY:
                self._begin(begun(tape, at))
            elif token == END:
                self._end(*n[at + 1 : at + 4])
            elif self._key is not None:
                self._in_a_value(token, n[at + 1 : at + 1 + SIZES[token]])
            elif token == AUX:
                self._parts = []
                self._beside = self._aux
            elif token == FUNCTION:
                self._beside = self._function
            at += 1 + SIZES[token]

    def _aux(self, text: bytes) -> None:
        self._parts.append(text)
        if len(self._parts) == 2:
            self._beside = None
            self._handler.aux(*self._parts)

    def _function(self, code: bytes) -> None:
        self._beside = None
        self._handler.function(code)

    def _begin(self, key: Key) -> None:
        self._beside = None
        self._pieces = []
        self._parts = []
        self._key = None
        if self._only is None or self._only(key):
            self._key = key
            self._logical = TYPES.index(key.type)
            self._has_ttl = self._logical == HASH and key.rdb_type in _WITH_TTL
            self._handler.begin_key(key)

    def _end(self, elements: int, size: int, encoding: int) -> None:
        if self._key is not None:
            self._key.close(elements, size, encoding)
            self._handler.end_key(self._key)
            self._key = None

    def _string(self, text: bytes) -> None:
        handler = self._handler
        if self._key is None:
            if self._beside is not None:
                self._beside(text)
            return
        if self._logical == STRING:
            handler.string(text)
        elif self._logical == LIST:
            handler.list_element(text)
        elif self._logical == SET:
            handler.set_member(text)
        elif self._logical == MODULE_VALUE:
            handler.module_value("s", text)
        elif self._logical == ARRAY:
            handler.array_element(self._index, text)
        else:
            self._parts.append(text)
            self._maybe_whole()

    def _maybe_whole(self) -> None:
        """Pass the element on if all of its strings have arrived."""
        parts = self._parts
        if self._logical == ZSET and len(parts) == 2:
            self._parts = []
            self._handler.zset_member(parts[0], float(parts[1]))
        elif self._logical == HASH and len(parts) == 2 and not self._has_ttl:
            self._parts = []
            self._handler.hash_field(parts[0], parts[1], None)
        elif self._logical == STREAM_VALUE and self._fields and len(parts) == 2 * self._fields:
            self._parts = []
            self._fields = 0
            self._handler.stream_entry(self._entry, list(zip(parts[::2], parts[1::2], strict=True)))

    def _double(self, value: float) -> None:
        """A score, or an element of an array."""
        if self._key is not None and self._logical == ZSET:
            member = self._parts.pop()
            self._handler.zset_member(member, value)
        elif self._key is not None:
            self._handler.array_element(self._index, array_number(value))

    def _in_a_value(self, token: int, numbers: list[int]) -> None:
        handler, parts = self._handler, self._parts
        if token == EXPIRES:
            self._parts = []
            handler.hash_field(parts[0], parts[1], None if numbers[0] == NONE else numbers[0])
        elif token == ENTRY:
            self._entry = stream_id(*numbers[:2])
            self._fields = numbers[2]
            if self._fields == 0:
                handler.stream_entry(self._entry, [])
        elif token == GROUP:
            read = None if numbers[2] in (NONE, -1) else numbers[2]
            handler.stream_group(parts.pop(), stream_id(*numbers[:2]), read)
        elif token == PENDING:
            handler.stream_pending(stream_id(*numbers[:2]), numbers[2], numbers[3])
        elif token == CONSUMER:
            handler.stream_consumer(parts.pop(), numbers[0], None if numbers[1] == NONE else numbers[1])
        elif token == OWNED:
            handler.stream_owned(stream_id(*numbers))
        elif token == SLOT_OF:
            self._index = numbers[0] & MASK
        elif token == MODULE and self._key is not None:
            self._key.module = module_name(numbers[0])
        elif token in _KINDS:
            handler.module_value(_KINDS[token], numbers[0] if token == SIGNED else numbers[0] & MASK)
