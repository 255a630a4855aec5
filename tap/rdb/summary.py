# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Totals of an RDB: keys and bytes by type and encoding, expiries, and the largest keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cython

from tap.rdb.keys import module_name
from tap.rdb.tokens import ENCODINGS, SIZES, TYPES

if not cython.compiled:
    from tap.rdb.keys import Key, begun
    from tap.rdb.tape import Tape
    from tap.rdb.tokens import *

ROW = cython.declare(cython.int, 32)  # cells per type: more than there are encodings
CELLS = cython.declare(cython.int, 288)  # ROW cells for each of nine types
MAX_AUX = 1000  # AUX fields read, of MAX_AUX_BYTES each; servers write about ten
MAX_AUX_BYTES = 4096
MAX_DATABASES = 1024  # databases beyond these are counted together, as db -1


class Database:
    """One db of an RDB. by_size, by_elements: the largest keys, largest first. modules: keys, bytes, elements by type."""

    # counts, sizes and members are keys, bytes and elements; the cell of a type and encoding is type * ROW + encoding.

    def __init__(self, db: int) -> None:
        self.db = db
        self.keys = 0
        self.bytes = 0
        self.elements = 0
        self.expiring = 0
        self.first_expiry = 0
        self.last_expiry = 0
        self.modules: dict[str, tuple[int, int, int]] = {}
        self.by_size: list[tuple[int, Key]] = []
        self.by_elements: list[tuple[int, Key]] = []
        self.size_threshold = -1
        self.elements_threshold = -1
        if not cython.compiled:
            self.counts = [0] * 288
            self.sizes = [0] * 288
            self.members = [0] * 288

    @property
    def first_expiry_ms(self) -> int | None:
        """The earliest expiry, Unix time; None if no key expires."""
        return self.first_expiry if self.expiring else None

    @property
    def last_expiry_ms(self) -> int | None:
        return self.last_expiry if self.expiring else None

    @cython.locals(cell=cython.int)
    def by_encoding(self) -> list[tuple[str, str, int, int, int]]:
        """(type, encoding, keys, bytes, elements) of each, most bytes first. Modules by their own names."""
        found = []
        for cell in range(CELLS):
            if self.counts[cell]:
                pair = TYPES[cell // ROW], ENCODINGS[cell % ROW]
                if cell // ROW == MODULE_VALUE:
                    found += [(name, pair[1], *figures) for name, figures in self.modules.items()]
                else:
                    found.append((*pair, self.counts[cell], self.sizes[cell], self.members[cell]))
        return sorted(found, key=lambda row: -row[3])


class Summary:
    """A reader of the tape.

    databases: by number. aux: the fields that the writer added, as text. heading: the aux fields that precede all other
    records; None until the first of those. announced: the sum of the key counts that the writer put before each db.
    functions: libraries. module_names: the modules that saved data outside of keys.
    """

    def __init__(self, largest: int = 10, only: Callable[[Key], bool] | None = None) -> None:
        """largest: how many keys to remember for each db. only: which keys to count; None for all."""
        self.only = only
        self.wanted = True
        self.databases: dict[int, Database] = {}
        self.aux: dict[str, str] = {}
        self.heading: dict[str, str] | None = None
        self.announced = 0
        self.functions = 0
        self.module_names: set[str] = set()
        self.largest = largest
        self.current: Any = None
        self.db = -1
        self.logical = 0
        self.expiry = NONE
        self.key: Any = None
        self.module: str | None = None
        self.said = 0  # strings of an AUX field still to come
        self.fields = 0  # AUX fields that have begun
        self.name = b""
        self.key_at = -1
        self.text: list[bytes] = []

    @property
    def keys(self) -> int:
        return sum(database.keys for database in self.databases.values())

    @property
    def expiring(self) -> int:
        return sum(database.expiring for database in self.databases.values())

    def by_type(self) -> dict[str, tuple[int, int, int]]:
        """Keys, bytes and elements of each type, modules by their own names; most bytes first."""
        found: dict[str, tuple[int, int, int]] = {}
        for database in self.databases.values():
            for type_name, _, keys, size, elements in database.by_encoding():
                before = found.get(type_name, (0, 0, 0))
                found[type_name] = (before[0] + keys, before[1] + size, before[2] + elements)
        return dict(sorted(found.items(), key=lambda item: -item[1][1]))

    def biggest(self) -> list[Key]:
        """The largest keys of all databases by serialized bytes, largest first."""
        ranked = [pair for database in self.databases.values() for pair in database.by_size]
        return [key for _, key in sorted(ranked, key=lambda pair: -pair[0])[: self.largest]]

    def most_elements(self) -> list[Key]:
        """The keys with the most elements of all databases, most first."""
        ranked = [pair for database in self.databases.values() for pair in database.by_elements]
        return [key for _, key in sorted(ranked, key=lambda pair: -pair[0])[: self.largest]]

    @cython.locals(n="const long long[::1]", at=cython.Py_ssize_t, end=cython.Py_ssize_t, token=cython.longlong)
    def __call__(self, tape: Tape) -> None:
        n = tape.numbers
        at = 0
        end = tape.count
        self.key_at = -1
        while at < end:
            token = n[at]
            if token == KEY:
                self.key_at = at
                self.logical = n[at + 9]
                self.expiry = n[at + 5]
                if self.only is not None:
                    self.wanted = self.only(begun(tape, at))
                if self.wanted and (n[at + 1] != self.db or self.current is None):
                    self.db = n[at + 1]
                    self.current = self._database(self.db)
                at += 10
            elif token == END:
                if self.wanted:
                    self.end_key(tape, at)
                self.key = None
                self.key_at = -1
                self.module = None
                at += 4
            elif token == ITEM or token == PIECE:
                if self.said and self.fields <= MAX_AUX:
                    self.string(tape.text(n[at + 1], min(n[at + 2], MAX_AUX_BYTES)), token == ITEM)
                elif self.said and token == ITEM:
                    self.said -= 1
                at += 3
            elif token == INTEGER:
                if self.said and self.fields <= MAX_AUX:
                    self.string(b"%d" % n[at + 1], True)
                elif self.said:
                    self.said -= 1
                at += 2
            else:
                if token == AUX:
                    self.said = 2
                    self.fields += 1
                elif self.heading is None:
                    self.heading = dict(self.aux)
                if token == RESIZE:
                    self.announced += n[at + 1]
                elif token == FUNCTION:
                    self.functions += 1
                elif token == MODULE:
                    self.module = module_name(n[at + 1])
                elif token == MODULE_AUX and len(self.module_names) < MAX_AUX:
                    self.module_names.add(module_name(n[at + 1]))
                at += 1 + SIZES[token]
        if self.key_at >= 0:
            self.key = begun(tape, self.key_at)  # its END comes on a later tape, when its name is gone from this one
            self.key_at = -1

    @cython.locals(
        n="const long long[::1]", cell=cython.Py_ssize_t, size=cython.longlong, elements=cython.longlong, one=Database
    )
    def end_key(self, tape: Tape, at: cython.Py_ssize_t) -> cython.int:
        n = tape.numbers
        one = self.current
        elements = n[at + 1]
        size = n[at + 2]
        cell = self.logical * ROW + n[at + 3]
        one.counts[cell] += 1
        one.sizes[cell] += size
        one.members[cell] += elements
        one.keys += 1
        one.bytes += size
        one.elements += elements
        if self.expiry != NONE:
            if one.expiring == 0 or self.expiry < one.first_expiry:
                one.first_expiry = self.expiry
            if one.expiring == 0 or self.expiry > one.last_expiry:
                one.last_expiry = self.expiry
            one.expiring += 1
        if self.module is not None:
            name = self.module if self.module in one.modules or len(one.modules) < MAX_AUX else "module"
            before = one.modules.get(name, (0, 0, 0))
            one.modules[name] = (before[0] + 1, before[1] + size, before[2] + elements)
        if size > one.size_threshold or elements > one.elements_threshold:
            key = self.key if self.key_at < 0 else begun(tape, self.key_at)
            key.elements = elements
            key.serialized_bytes = size
            key.code = n[at + 3]
            key.module = self.module
            if size > one.size_threshold:
                one.size_threshold = self.rank(one.by_size, size, key)
            if elements > one.elements_threshold:
                one.elements_threshold = self.rank(one.by_elements, elements, key)
        return 0

    def rank(self, ranking: list[tuple[int, Key]], figure: int, key: Key) -> int:
        """Insert the key in the ranking. Returns the figure that a further key has to exceed."""
        ranking.append((figure, key))
        ranking.sort(key=lambda pair: -pair[0])
        while len(ranking) > self.largest:
            ranking.pop()
        return ranking[self.largest - 1][0] if len(ranking) == self.largest else -1

    def string(self, piece: bytes, last: bool) -> None:
        """Take a piece of an AUX field's name or value."""
        if sum(map(len, self.text)) < MAX_AUX_BYTES:
            self.text.append(piece)
        if last:
            whole = b"".join(self.text)[:MAX_AUX_BYTES]
            self.text = []
            self.said -= 1
            if self.said:
                self.name = whole
            else:
                self.aux[self.name.decode("utf-8", "backslashreplace")] = whole.decode("utf-8", "backslashreplace")

    def _database(self, number: int) -> Database:
        if number not in self.databases and len(self.databases) >= MAX_DATABASES:
            number = -1
        if number not in self.databases:
            self.databases[number] = Database(number)
        return self.databases[number]
