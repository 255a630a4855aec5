"""rdbtools' callbacks, corrected where their output does not say what the RDB holds.

    json        bytes that are not UTF-8 are written as \\xFF. A backslash that could be read as the beginning of such an
                escape is written as \\x5C
    diff        the same for every byte that is not printable. A character that could be read as part of the format
                ("->", ".", "{", "[0]") is written as its \\xHH, too
    memory      CSV: a key that contains a comma, a quote or a line break is quoted as in RFC 4180. Arrays and GCRA values
                have rows of their own
    protocol    an expiry that is not a whole second becomes a PEXPIREAT. Streams, modules' values, arrays, GCRA values,
                functions and the expiries of a hash's fields become the commands that a server writes into its AOF

Whatever rdbtools writes unambiguously stays as it is, byte for byte: SET, EXPIREAT and everything else its users know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tap.console.rdbtools import rdbtools
from tap.rdb.callbacks import Extended
from tap.rdb.crc64 import Crc64

_tools = rdbtools()
_Json: Any = _tools.JSONCallback
_Protocol: Any = _tools.ProtocolCallback
_Diff: Any = _tools.DiffCallback
_Memory: Any = _tools.MemoryCallback
_Rows: Any = _tools.PrintAllKeys

_LIKE_AN_ESCAPE = re.compile(rb"\\(?=x[0-9A-F]{2})")
_BACKSLASH = rb"\\x5C"


class Json(_Json):  # type: ignore[misc]
    def encode_key(self, key: Any) -> bytes:
        return super().encode_key(_unambiguous(key))  # type: ignore[no-any-return]

    def encode_value(self, val: Any) -> bytes:
        return super().encode_value(_unambiguous(val))  # type: ignore[no-any-return]


def _unambiguous(text: Any) -> Any:
    return _LIKE_AN_ESCAPE.sub(_BACKSLASH, text) if isinstance(text, bytes) else text


# What separates a name from what follows it, and the index after a list's name.
_SEPARATOR = re.compile(rb" (?=->|\.|\{)|\[(?=\d+\]\Z)")
# What the value of a string must not look like: a member with its score, a stream, a module.
_OTHER_VALUE = re.compile(rb"\{.*, score=|stream-items=|module-name=", re.DOTALL)


class Diff(_Diff):  # type: ignore[misc]
    def encode_key(self, key: Any) -> bytes:
        found: bytes = super().encode_key(_unambiguous(key))
        return _SEPARATOR.sub(lambda separator: b"\\x%02X" % separator[0][0], found)

    def encode_value(self, val: Any) -> bytes:
        found: bytes = super().encode_value(_unambiguous(val))
        return b"\\x%02X" % found[0] + found[1:] if _OTHER_VALUE.match(found) else found


# ---- memory ----

_TO_QUOTE = re.compile('[,"\r\n]')

# Sizes in bytes of an array's header, a slice's header, and an element of a sparse slice, on 64 bits. Source: Redis 8.8
# sparsearray.h and .c.
_ARRAY = 80
_SLICE = 40
_SPARSE_ELEMENT = 10
_SLICE_ELEMENTS = 4096
_SPARSE_ELEMENTS = 10  # the most in a sparse slice
_SMALL_STRING = 7  # bytes; stored in the element itself


class MemoryRows(_Rows):  # type: ignore[misc]
    def next_record(self, record: Any) -> None:
        if self._largest is None and record.key is not None and _TO_QUOTE.search(record.key):
            doubled = record.key.replace('"', '""')
            record = record._replace(key=f'"{doubled}"')
        super().next_record(record)


class MemoryReport(_Memory, Extended):  # type: ignore[misc]
    def start_array(self, key: Any, length: int, expiry: Any, info: dict[str, Any]) -> None:
        self._current_encoding = "sliced_array"
        self._current_length = length
        self._key_expiry = expiry
        self._current_size = self.top_level_object_overhead(key, expiry) + self.malloc_overhead(_ARRAY)
        self._largest_element = 0
        self._slice = (-1, 0, 0, 0)

    def array_set(self, key: Any, index: int, element: Any) -> None:
        """Count an element. Elements come in the order of their indexes, so one slice is open at a time."""
        number, place = divmod(index, _SLICE_ELEMENTS)
        if number != self._slice[0]:
            self._end_slice()
            self._slice = (number, place, place, 0)
        _, first, last, count = self._slice
        self._slice = (number, min(first, place), max(last, place), count + 1)
        size = self.element_length(element)
        self._largest_element = max(self._largest_element, size)
        if isinstance(element, bytes) and size > _SMALL_STRING:
            self._current_size += self.malloc_overhead(size + (2 if size < 2**15 else 8))

    def _end_slice(self) -> None:
        _, first, last, count = self._slice
        if count > _SPARSE_ELEMENTS:
            self._current_size += self.malloc_overhead(_SLICE + 8 * self.next_power(last - first))
        elif count:
            self._current_size += self.malloc_overhead(_SLICE + _SPARSE_ELEMENT * count)

    def end_array(self, key: Any) -> None:
        self._end_slice()
        self._end("array", key, self._largest_element)

    def gcra(self, key: Any, value: int, expiry: Any, info: dict[str, Any]) -> None:
        self._current_encoding = "gcra"
        self._current_length = 1
        self._key_expiry = expiry
        self._current_size = self.top_level_object_overhead(key, expiry)
        self._end("gcra", key, self.element_length(value))

    def _end(self, kind: str, key: Any, largest: int) -> None:
        figures = self._current_size, self._current_encoding, self._current_length, largest
        self.emit_record(kind, key, *figures, self._key_expiry)
        self.end_key()


# ---- protocol ----

_RDB_OF_MODULES = 9  # the RDB version in a RESTORE: every server that can restore a module's value accepts it
_MODULE_2 = 7


class Protocol(_Protocol, Extended):  # type: ignore[misc]
    """Writes the commands that Redis 8.8 writes: aof.c, rewriteObject and the functions it calls."""

    _expires_at: int | None = None  # milliseconds; of the current key, where rdbtools keeps those of all keys of a db

    def pre_expiry(self, key: Any, expiry: int | None) -> None:
        self._expires_at = expiry

    def post_expiry(self, key: Any) -> None:
        at, self._expires_at = self._expires_at, None
        if at is not None:
            self.emit(*((b"PEXPIREAT", key, at) if at % 1000 else (b"EXPIREAT", key, at // 1000)))

    def function(self, code: Any) -> None:
        self.emit(b"FUNCTION", b"LOAD", b"REPLACE", code)

    def hash_field_expires(self, key: Any, field: Any, at_ms: int) -> None:
        self.emit(b"HPEXPIREAT", key, at_ms, b"FIELDS", 1, field)

    # ---- arrays, and what GCRA remembers ----

    def start_array(self, key: Any, length: int, expiry: Any, info: dict[str, Any]) -> None:
        self.pre_expiry(key, expiry)

    def array_set(self, key: Any, index: int, element: Any) -> None:
        self.emit(b"ARSET", key, index, element)

    def array_inserted(self, key: Any, index: int) -> None:
        self.emit(b"ARSEEK", key, index + 1)

    def end_array(self, key: Any) -> None:
        self.post_expiry(key)

    def gcra(self, key: Any, value: int, expiry: Any, info: dict[str, Any]) -> None:
        self.pre_expiry(key, expiry)
        self.emit(b"GCRASETVALUE", key, value)
        self.post_expiry(key)

    # ---- streams ----

    def start_stream(self, key: Any, listpacks_count: int, expiry: Any, info: dict[str, Any]) -> None:
        self.pre_expiry(key, expiry)
        self._entries = 0

    def stream_entry(self, key: Any, entry_id: str, fields: list[tuple[Any, Any]]) -> None:
        self._entries += 1
        self.emit(b"XADD", key, entry_id.encode(), *(one for pair in fields for one in pair))

    def stream_state(self, key: Any, last_id: str, max_deleted_id: str | None, entries_added: int | None) -> None:
        if self._entries == 0:  # an XADD that keeps nothing is the only way to create an empty stream
            self.emit(b"XADD", key, b"MAXLEN", 0, b"0-1", b"x", b"y")
        more: tuple[Any, ...] = ()
        if max_deleted_id is not None:
            more = (b"ENTRIESADDED", entries_added, b"MAXDELETEDID", max_deleted_id.encode())
        self.emit(b"XSETID", key, last_id.encode(), *more)

    def end_stream(self, key: Any, items: int, last_entry_id: str, cgroups: Iterable[dict[str, Any]]) -> None:
        for group in cgroups:
            self._group(key, group)
        self.post_expiry(key)

    def _group(self, key: Any, group: dict[str, Any]) -> None:
        name, read = group["name"], group["entries_read"]
        more = () if read is None else (b"ENTRIESREAD", read)
        self.emit(b"XGROUP", b"CREATE", key, name, group["last_entry_id"].encode(), *more)
        pending = {entry["id"]: entry for entry in group["pending"]}
        for consumer in group["consumers"]:
            # Servers write this only for consumers without entries. But XCLAIM of a deleted entry creates no consumer.
            self.emit(b"XGROUP", b"CREATECONSUMER", key, name, consumer["name"])
            for entry in [pending.pop(one["id"]) for one in consumer["pending"] if one["id"] in pending]:
                delivered = (b"TIME", entry["delivery_time_ms"], b"RETRYCOUNT", entry["delivery_count"])
                at = entry["id"].encode()
                self.emit(b"XCLAIM", key, name, consumer["name"], 0, at, *delivered, b"JUSTID", b"FORCE")
        for entry_id, entry in pending.items():  # given back by XNACK, so without a consumer
            count = entry["delivery_count"]
            self.emit(b"XNACK", key, name, b"FAIL", b"IDS", 1, entry_id.encode(), b"RETRYCOUNT", count, b"FORCE")

    # ---- modules: one command for the whole value ----

    def module_id(self, key: Any, number: int) -> None:
        self._module = bytearray([_MODULE_2]) + _length(number)

    def start_module(self, key: Any, module_name: str, expiry: Any, info: dict[str, Any]) -> bool:
        self.pre_expiry(key, expiry)
        return False

    def handle_module_data(self, key: Any, opcode: int, data: Any) -> None:
        self._module += _length(opcode)
        if opcode == 5:
            text = data if isinstance(data, bytes) else b"%d" % data
            self._module += _length(len(text)) + text
        elif opcode > 2:
            self._module += data.to_bytes(4 if opcode == 3 else 8, "little")
        else:
            self._module += _length(data)

    def end_module(self, key: Any, buffer_size: int, buffer: Any = None) -> None:
        if buffer_size == 0:
            return  # the RDB ended inside the value
        value = bytes(self._module + _length(0)) + _RDB_OF_MODULES.to_bytes(2, "little")
        self._module = bytearray()
        crc = Crc64()
        crc.feed(value)
        self.emit(b"RESTORE", key, 0, value + crc.value.to_bytes(8, "little"), b"REPLACE")
        self.post_expiry(key)


def _length(number: int) -> bytes:
    """A length in the encoding of an RDB."""
    if number < 2**6:
        return bytes([number])
    return b"\x80" + number.to_bytes(4, "big") if number < 2**32 else b"\x81" + number.to_bytes(8, "big")
