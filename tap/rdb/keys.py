# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""The keys of an RDB as objects, without their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cython

from tap.rdb.tokens import ENCODINGS, SIZES, TYPES

if not cython.compiled:
    from tap.rdb.tape import Tape
    from tap.rdb.tokens import *

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Key:
    """One key of an RDB.

    db, key: the database number, and the name as bytes. rdb_type: the type byte. position: of the record's first byte in
    the RDB. serialized_bytes: size of the record there, attributes and name included. elements: number of members,
    fields, list elements or stream entries; 1 for a string. module: the module type's name; None for other types.
    """

    def __init__(self) -> None:
        self.db = 0
        self.key = b""
        self.rdb_type = 0
        self.position = 0
        self.serialized_bytes = 0
        self.elements = 0
        self.logical = 0
        self.code = 0
        self.expiry = NONE
        self.frequency = -1
        self.idleness = -1
        self.module: str | None = None

    def close(self, elements: int, serialized_bytes: int, encoding: int) -> None:
        """Set what only the token END gives."""
        self.elements = elements
        self.serialized_bytes = serialized_bytes
        self.code = encoding

    @property
    def type(self) -> str:
        """As TYPE returns it: "string", "list", "set", "zset", "hash", "stream", or the name of a module's type."""
        return self.module or TYPES[self.logical]

    @property
    def encoding(self) -> str:
        """What OBJECT ENCODING returned at the writer, as far as the RDB shows."""
        return ENCODINGS[self.code]

    @property
    def expires_at_ms(self) -> int | None:
        """Unix time in milliseconds."""
        return None if self.expiry == NONE else self.expiry

    @property
    def freq(self) -> int | None:
        """The LFU counter, 0 to 255, where the writer's eviction policy kept one."""
        return None if self.frequency < 0 else self.frequency

    @property
    def idle_s(self) -> int | None:
        """Seconds since the last access, where the writer's eviction policy kept that."""
        return None if self.idleness < 0 else self.idleness

    def __repr__(self) -> str:
        return f"<Key {self.key!r} db={self.db} type={self.type} serialized_bytes={self.serialized_bytes}>"


@cython.locals(key=Key, n="const long long[::1]")
def begun(tape: Tape, at: cython.Py_ssize_t) -> Key:
    """The key whose token is at this place of the tape. What only END gives is not set."""
    n = tape.numbers
    key = Key.__new__(Key)  # skips __init__: everything it sets is set here
    key.elements = 0
    key.serialized_bytes = 0
    key.code = 0
    key.module = None
    key.db = n[at + 1]
    key.rdb_type = n[at + 2]
    key.key = tape.text(n[at + 3], n[at + 4])
    key.expiry = n[at + 5]
    key.frequency = n[at + 6]
    key.idleness = n[at + 7]
    key.position = n[at + 8]
    key.logical = n[at + 9]
    return key


class KeyReader:
    """A reader of the tape: calls each(keys) with the list of keys that ended on it."""

    def __init__(self, each: Callable[[list[Key]], None]) -> None:
        self.each = each
        self.found: list[Key] = []
        self.current: Any = None

    @cython.locals(n="const long long[::1]", at=cython.Py_ssize_t, end=cython.Py_ssize_t, token=cython.longlong)
    def __call__(self, tape: Tape) -> None:
        n = tape.numbers
        at = 0
        end = tape.count
        while at < end:
            token = n[at]
            if token == KEY:
                self.current = begun(tape, at)
                at += 10
            elif token == END:
                self.current.elements = n[at + 1]
                self.current.serialized_bytes = n[at + 2]
                self.current.code = n[at + 3]
                self.found.append(self.current)
                at += 4
            else:
                if token == MODULE and self.current is not None:
                    self.current.module = module_name(n[at + 1])
                at += 1 + SIZES[token]
        if self.found:
            found, self.found = self.found, []
            self.each(found)


def module_name(type_id: int) -> str:
    """The nine characters of a module type's ID, six bits each; the lowest ten bits are the encoding version."""
    bits = type_id & (2**64 - 1)
    return "".join(ALPHABET[bits >> (10 + 6 * (8 - place)) & 63] for place in range(9))
