"""Drive a callback of rdbtools, any RdbCallback, with RDBs of every version that the parser reads.

For RDB 1 to 9 the calls are those of rdbtools' own parser (rdbtools 0.1.15, parser.py): the same calls in the same order
with the same arguments, so a string that the RDB stores as an integer arrives as an int. Where that parser is wrong, the
callback receives what a server would load:

    expiry, idle time and frequency belong to the next key, whatever stands between
    a packed value may have more entries than its header can count: the reported length is the true one
    a key before any SELECTDB is in db 0
    a value of a zipmap is an int only if that int has the same decimal text

What newer RDBs added reaches an Extended callback through methods of its own. Every other callback receives the nearest
call that rdbtools has, and nothing for what has no counterpart:

    listpack                    as rdbtools reports a ziplist, encoding "listpack"; "listpackex" if fields can expire
    a field's own expiry        left out
    list of plain nodes         a quicklist; sizeof_value is that of its packed nodes
    stream                      first ID, deleted ID, entries added and read, activity of consumers: left out
    hash of a template          a hash with all its fields
    array                       a hash of index and element
    gcra                        a string that is an integer
    function library            aux_field(b"function", code)

Neither receives what Redis 8.6 remembers of a stream's producers, metadata of keys, and commands inside the RDB of a
Valkey without forks. The buffer passed to end_module() is always None, whatever start_module() returned.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from tap.rdb.json_parts import array_number, stream_id
from tap.rdb.keys import Key, begun, module_name
from tap.rdb.tape import Tape
from tap.rdb.tokens import *

MASK = 2**64 - 1

# The encoding of each type byte, in rdbtools' words. "hashtable" and "skiplist" are not packed: they have a length only.
_ENCODINGS = {
    0: "string", 1: "linkedlist", 2: "hashtable", 3: "skiplist", 4: "hashtable", 5: "skiplist", 9: "zipmap",
    10: "ziplist", 11: "intset", 12: "ziplist", 13: "ziplist", 14: "quicklist", 15: "listpack", 16: "listpack",
    17: "listpack", 18: "quicklist", 19: "listpack", 20: "listpack", 21: "listpack", 22: "hashtable", 23: "listpackex",
    24: "hashtable", 25: "listpackex", 26: "listpack", 27: "listpack", 28: "hashtable", 29: "listpack", 30: "listpack",
    31: "hashtable", 32: "hashtable", 33: "string",
}  # fmt: skip
_TEXT_SCORES = 3
_ZIPMAP = 9
_WITH_TTL = (23, 25)  # packed in triples
_TEMPLATES = (29, 30)  # packed after the template's number
_OPCODES = {SIGNED: 1, UNSIGNED: 2, FLOAT: 3, DOUBLE: 4}  # of a module's data
_STRING_OPCODE = 5

_NOTHING: Any = object()


class Extended:
    """A mixin for callbacks that want what rdbtools has no call for. Times are Unix milliseconds.

    Two calls of rdbtools carry more: handle_module_data() receives the bits of a float or double, and the groups of
    end_stream() have "entries_read" (None: unknown), their pending entries "delivery_time_ms", and IDs as text.
    """

    def function(self, code: Any) -> None:
        """A library of functions; not called when only some keys are wanted."""

    def hash_field_expires(self, key: Any, field: Any, at_ms: int) -> None:
        """The expiry of the field that hset() reported last."""

    def start_array(self, key: Any, length: int, expiry: Any, info: dict[str, Any]) -> None: ...

    def array_inserted(self, key: Any, index: int) -> None:
        """The index of the last ARINSERT."""

    def array_set(self, key: Any, index: int, element: Any) -> None: ...

    def end_array(self, key: Any) -> None: ...

    def gcra(self, key: Any, value: int, expiry: Any, info: dict[str, Any]) -> None: ...

    def module_id(self, key: Any, number: int) -> None:
        """The name and encoding version, in 64 bits, of the module that start_module() reports next."""

    def stream_entry(self, key: Any, entry_id: str, fields: list[tuple[Any, Any]]) -> None: ...

    def stream_state(self, key: Any, last_id: str, max_deleted_id: str | None, entries_added: int | None) -> None:
        """Called after the entries; the values that an RDB before version 10 does not contain are None."""


class CallbackReader:
    """A reader of the tape, for a parser with values; call close() after the last byte."""

    def __init__(
        self,
        callback: Any,
        moment: Callable[[int], Any],
        *,
        beside_keys: bool = True,
        only: Callable[[Key], bool] | None = None,
    ) -> None:
        """moment: converts Unix milliseconds to the time that the callback receives; rdbtools' own callbacks want
        expiries as datetime. beside_keys: report what modules saved outside of keys, as a module with the key None.
        only: which keys to report; None for all.
        """
        self._callback = callback
        self._extended = isinstance(callback, Extended)
        self._entries = self._extended and type(callback).stream_entry is not Extended.stream_entry
        self._moment = moment
        self._beside_keys = beside_keys
        self._only = only
        self._started = False
        self._db: int | None = None
        self._take: Callable[[Any], None] | None = None  # takes the next string; None: the string is skipped
        self._pieces: list[bytes] = []
        self._half: Any = _NOTHING  # the first of two strings
        # of the open key
        self._open = False
        self._key: Any = None
        self._type = 0
        self._logical = 0
        self._expiry: Any = None
        self._info: dict[str, Any] = {}
        self._held: list[tuple[Any, ...]] | None = None  # calls for elements, until their number is known
        self._is_key_reported = False  # the callback has received the key's start
        self._nodes: int | None = None
        self._packed_bytes = 0
        self._field: Any = None  # of a hash, the last one
        self._inserted: int | None = None  # into an array
        # of the key's stream
        self._node: list[bytes] = []
        self._node_left = 0
        self._length = 0
        self._last_id = ""
        self._groups: list[dict[str, Any]] = []
        self._name: Any = b""
        self._entry = ""
        self._strings: list[Any] = []  # of the entry
        self._strings_left = 0

    def close(self) -> None:
        """Report the end. If the RDB was truncated, the last key ends with the elements read so far."""
        self._start()
        if self._open:
            self._end(self._taken())
        self._callback.end_database(self._db or 0)
        self._callback.end_rdb()

    def __call__(self, tape: Tape) -> None:
        self._start()
        n = memoryview(tape.numbers)[: tape.count].tolist()
        at = 0
        while at < len(n):
            token = n[at]
            if token == ITEM:
                if self._take is not None:
                    data = tape.text(n[at + 1], n[at + 2])
                    if self._pieces:
                        data = b"".join([*self._pieces, data])
                        self._pieces = []
                    self._take(data)
            elif token == INTEGER:
                if self._take is not None:
                    self._take(n[at + 1])
            elif token == KEY:
                self._begin(tape, at, n)
            elif token == END:
                if self._open:
                    self._end(n[at + 1])
            elif token == PIECE:
                if self._take is not None:
                    self._pieces.append(tape.text(n[at + 1], n[at + 2]))
            elif token == BITS:
                if self._take is not None:
                    self._take(memoryview(tape.scores)[at + 1])
            elif token == NODE:
                if self._open:
                    self._stream_node(n[at + 1], n[at + 2], tape.text(n[at + 3], n[at + 4]))
            elif self._open:
                self._of_a_value(token, n[at + 1 : at + 1 + SIZES[token]])
            else:
                self._of_the_rdb(token, n[at + 1 : at + 1 + SIZES[token]])
            at += 1 + SIZES[token]

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._callback.start_rdb()

    # ---- outside of values ----

    def _of_the_rdb(self, token: int, numbers: list[int]) -> None:
        if token == DB:
            if self._db is not None:
                self._callback.end_database(self._db)
            self._db = numbers[0]
            self._callback.start_database(self._db)
        elif token == AUX:
            self._half = _NOTHING
            self._take = self._aux
        elif token == FUNCTION:
            self._take = self._function
        elif token == RESIZE:
            self._callback.db_size(numbers[0] & MASK, numbers[1] & MASK)
        elif token == MODULE_AUX and self._beside_keys:
            self._key = None
            self._expiry = None
            self._info = {"idle": None, "freq": None}
            self._of_a_module(MODULE, numbers[:1])
            self._of_a_module(UNSIGNED, numbers[1:])  # rdbtools does not tell this number from the module's data
            self._take = self._module_string
        elif token in (UNSIGNED, SIGNED, FLOAT, DOUBLE, MODULE_END) and self._take is not None:
            self._of_a_module(token, numbers)
            if token == MODULE_END:
                self._take = None

    def _aux(self, string: Any) -> None:
        if self._half is _NOTHING:
            self._half = string
        else:
            self._take = None
            self._callback.aux_field(self._half, string)

    def _function(self, code: Any) -> None:
        self._take = None
        if not self._extended:
            self._callback.aux_field(b"function", code)
        elif self._only is None:
            self._callback.function(code)

    def _of_a_module(self, token: int, numbers: list[int]) -> None:
        if token == MODULE:
            if self._extended:
                self._callback.module_id(self._key, numbers[0] & MASK)
            self._callback.start_module(self._key, module_name(numbers[0]), self._expiry, info=self._info)
        elif token == MODULE_END:
            self._callback.end_module(self._key, buffer_size=numbers[0], buffer=None)
        else:
            data: Any = numbers[0] & MASK  # rdbtools reports signed numbers as unsigned, too
            if self._extended:
                pass
            elif token == FLOAT:
                data = struct.unpack("<f", struct.pack("<I", data))[0]
            elif token == DOUBLE:
                data = struct.unpack("<d", struct.pack("<Q", data))[0]
            self._callback.handle_module_data(self._key, _OPCODES[token], data)

    def _module_string(self, string: Any) -> None:
        self._callback.handle_module_data(self._key, _STRING_OPCODE, string)

    # ---- a key ----

    def _begin(self, tape: Tape, at: int, n: list[int]) -> None:
        self._pieces = []
        self._half = _NOTHING
        self._take = None
        self._open = self._only is None or self._only(begun(tape, at))
        if not self._open:
            return
        if self._db is None:
            self._of_the_rdb(DB, [0])
        _, _, self._type, start, size, expires, freq, idle, _, self._logical = n[at : at + 10]
        key = tape.text(start, size)
        self._key = key
        if start < 0 and size <= 11:
            self._key = _as_integer(key)  # an integer in the RDB: servers never compress a string of this size
        self._expiry = None if expires == NONE else self._moment(expires)
        encoding = {} if self._logical == MODULE_VALUE else {"encoding": _ENCODINGS[self._type]}
        self._info = {**encoding, "idle": None if idle < 0 else idle, "freq": None if freq < 0 else freq}
        self._held = None
        self._is_key_reported = False
        self._nodes = None
        self._packed_bytes = 0
        self._take = self._element()
        self._inserted = None

    def _element(self) -> Callable[[Any], None] | None:
        """The method that takes a string of this value. A stream's names come after its entries, so there is none yet."""
        if self._logical == STRING:
            return self._set
        if self._logical == LIST:
            return self._rpush
        if self._logical == SET:
            return self._sadd
        if self._logical == ZSET:
            return self._zadd
        if self._logical == MODULE_VALUE:
            return self._module_string
        if self._logical == ARRAY:
            return self._array_element
        return None if self._logical in (STREAM_VALUE, GCRA) else self._hset

    def _of_a_value(self, token: int, numbers: list[int]) -> None:
        if token == LENGTH:
            self._length_said(*numbers)
        elif token == SLOT_OF:
            self._half = numbers[0] & MASK
        elif token == EXPIRES:
            if self._extended and numbers[0] != NONE:
                self._add(self._callback.hash_field_expires, self._field, numbers[0])
        elif token == INSERTED:
            self._inserted = numbers[0] & MASK
        elif token == ENTRY:
            self._entry = stream_id(*numbers[:2])
            self._strings_left = 2 * numbers[2]
            self._take = self._entry_string if self._entries and numbers[2] else None
        elif token in (STREAM, GROUP, PENDING, CONSUMER, OWNED):
            self._of_a_stream(token, numbers)
        elif self._logical == GCRA and token == UNSIGNED:
            tell = self._callback.gcra if self._extended else self._callback.set
            tell(self._key, numbers[0] & MASK, self._expiry, info=self._info)
        elif token in (MODULE, MODULE_END, UNSIGNED, SIGNED, FLOAT, DOUBLE):
            self._is_key_reported = token != MODULE_END  # MODULE_END has reported the key's end, too
            self._of_a_module(token, numbers)

    def _length_said(self, count: int, size: int) -> None:
        """count, size: those of the whole value, or of one of its nodes."""
        call = self._callback
        if self._logical == LIST:
            if self._is_key_reported:
                self._packed_bytes += size
                return
            if size != NONE:
                self._info["sizeof_value"] = size
            elif self._type != 1:
                self._nodes = self._info["zips"] = count
            self._is_key_reported = True
            call.start_list(self._key, self._expiry, info=self._info)
        elif self._logical == STREAM_VALUE:
            if self._is_key_reported:
                self._node_left = size
                return
            self._is_key_reported = True
            self._groups = []
            self._length = 0
            self._last_id = "0-0"
            call.start_stream(self._key, count, self._expiry, info=self._info)
        else:
            if size != NONE:
                self._info["sizeof_value"] = size
                if count == NONE:
                    self._held = []
                    return
                if self._type in _TEMPLATES:
                    count -= 1
                elif self._logical != SET and self._type != _ZIPMAP:  # a zipmap's header counts pairs
                    count //= 3 if self._type in _WITH_TTL else 2
            self._start_collection(count)

    def _start_collection(self, count: int) -> None:
        self._is_key_reported = True
        call = self._callback
        begin = {SET: call.start_set, ZSET: call.start_sorted_set}.get(self._logical, call.start_hash)
        if self._logical == ARRAY and self._extended:
            begin = call.start_array
        begin(self._key, count, self._expiry, info=self._info)

    def _taken(self) -> int:
        """The number of elements read of a key that the end of the RDB cut off."""
        return 0 if self._held is None else len(self._held)

    def _end(self, elements: int) -> None:
        call, key = self._callback, self._key
        if self._held is not None:
            self._start_collection(elements)
            for add, *arguments in self._held:
                add(key, *arguments)
            self._held = None
        if self._is_key_reported:
            if self._logical == LIST:
                info = {"encoding": self._info["encoding"]}
                if self._nodes is not None:
                    info.update(zips=self._nodes, sizeof_value=self._packed_bytes)
                call.end_list(key, info=info)
            elif self._logical == STREAM_VALUE:
                call.end_stream(key, self._length, self._last_id, self._groups)
            elif self._logical == SET:
                call.end_set(key)
            elif self._logical == ZSET:
                call.end_sorted_set(key)
            elif self._logical == MODULE_VALUE:
                call.end_module(key, buffer_size=0, buffer=None)
            elif self._logical == ARRAY and self._extended:
                if self._inserted is not None:
                    call.array_inserted(key, self._inserted)
                call.end_array(key)
            else:
                call.end_hash(key)
        self._open = False
        self._take = None
        self._key = None

    # ---- elements ----

    def _add(self, call: Any, *arguments: Any) -> None:
        if self._held is None:
            call(self._key, *arguments)
        else:
            self._held.append((call, *arguments))

    def _set(self, value: Any) -> None:
        self._callback.set(self._key, value, self._expiry, info=self._info)

    def _rpush(self, value: Any) -> None:
        self._callback.rpush(self._key, value)

    def _sadd(self, member: Any) -> None:
        self._add(self._callback.sadd, member)

    def _hset(self, string: Any) -> None:
        if self._half is _NOTHING:
            self._half = string
            return
        field, self._half = self._half, _NOTHING
        if self._type == _ZIPMAP:
            string = _as_integer(string)
        self._field = field
        self._add(self._callback.hset, field, string)

    def _array_element(self, element: Any) -> None:
        if isinstance(element, float):
            element = array_number(element)
        (self._callback.array_set if self._extended else self._callback.hset)(self._key, self._half, element)

    def _zadd(self, value: Any) -> None:
        if self._half is _NOTHING:
            self._half = value
            return
        member, self._half = self._half, _NOTHING
        # rdbtools leaves text scores as bytes, except the infinite ones, which the RDB encodes differently.
        if isinstance(value, bytes) and (self._type != _TEXT_SCORES or value in (b"inf", b"-inf")):
            value = float(value)
        self._add(self._callback.zadd, value, member)

    # ---- streams ----

    def _stream_node(self, ms: int, seq: int, data: bytes) -> None:
        self._node.append(data)
        self._node_left -= len(data)
        if self._node_left == 0:
            whole, self._node = b"".join(self._node), []
            self._callback.stream_listpack(self._key, struct.pack(">QQ", ms & MASK, seq & MASK), whole)

    def _entry_string(self, string: Any) -> None:
        self._strings.append(string)
        self._strings_left -= 1
        if self._strings_left == 0:
            self._take = None
            strings, self._strings = self._strings, []
            self._callback.stream_entry(self._key, self._entry, list(zip(strings[::2], strings[1::2], strict=True)))

    def _of_a_stream(self, token: int, numbers: list[int]) -> None:
        if token == STREAM:
            self._length = numbers[0] & MASK
            self._last_id = stream_id(*numbers[1:3])
            self._take = self._stream_name
            if self._extended:
                said = numbers[3] != NONE
                deleted, added = (stream_id(*numbers[5:7]), numbers[7] & MASK) if said else (None, None)
                self._callback.stream_state(self._key, self._last_id, deleted, added)
        elif token == GROUP:
            last_id = stream_id(*numbers[:2])
            group = {"name": self._name, "last_entry_id": last_id, "pending": [], "consumers": []}
            if self._extended:
                group["entries_read"] = None if numbers[2] in (NONE, -1) else numbers[2]
            self._groups.append(group)
        elif token == PENDING:
            entry = {
                "id": self._id(*numbers[:2]),
                "delivery_time": self._moment(numbers[2]),
                "delivery_count": numbers[3] & MASK,
            }
            if self._extended:
                entry["delivery_time_ms"] = numbers[2]
            self._groups[-1]["pending"].append(entry)
        elif token == CONSUMER:
            consumer = {"name": self._name, "seen_time": self._moment(numbers[0]), "pending": []}
            self._groups[-1]["consumers"].append(consumer)
        else:
            self._groups[-1]["consumers"][-1]["pending"].append({"id": self._id(*numbers)})

    def _id(self, ms: int, seq: int) -> str | bytes:
        return stream_id(ms, seq) if self._extended else struct.pack(">QQ", ms & MASK, seq & MASK)

    def _stream_name(self, name: Any) -> None:
        """The name of a group or of a consumer; the next token says which."""
        self._name = name


def _as_integer(text: Any) -> Any:
    """The int whose decimal text this is; any other string unchanged."""
    if isinstance(text, bytes) and len(text) <= 20 and text.removeprefix(b"-").isdigit() and b"%d" % int(text) == text:
        return int(text)
    return text
