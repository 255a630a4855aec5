"""How many elements of one value differ: members, fields, entries, list elements."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection
from hashlib import blake2b

from tap.operate.comparison.difference import Difference
from tap.operate.comparison.difference import Key as Name
from tap.rdb.handler import Handler
from tap.rdb.keys import Key
from tap.rdb.tokens import LIST, NONE

MOST = 2**20  # elements that are held; of larger values the number stays unknown


class Elements(Handler):
    """Takes the elements of keys, as hashes: of each its name and what belongs to it.

    by_key: of a hash, a set or a zset by name; of a list by index; of a stream by ID. A value that exceeds MOST elements
    in all has no entry, nor have those after it.
    """

    def __init__(self, wanted: Collection[Name]) -> None:
        self.by_key: dict[Name, dict[bytes, bytes]] = {}
        self._wanted = wanted
        self._held = 0
        self._open: dict[bytes, bytes] | None = None
        self._name: Name = (0, b"")

    def only(self, key: Key) -> bool:
        """For a reader of the tape: which keys to pass on."""
        return self._held < MOST and (key.db, key.key) in self._wanted

    def begin_key(self, key: Key) -> None:
        self._name = key.db, key.key
        self._open = {}

    def end_key(self, key: Key) -> None:
        if self._open is not None:
            self.by_key[self._name] = self._open
        self._open = None

    def list_element(self, value: bytes) -> None:
        self._take(b"%d" % len(self._open or ()), value)

    def set_member(self, member: bytes) -> None:
        self._take(member, b"")

    def zset_member(self, member: bytes, score: float) -> None:
        self._take(member, repr(score + 0.0).encode())

    def hash_field(self, field: bytes, value: bytes, expires_at_ms: int | None) -> None:
        self._take(field, b"%d" % (NONE if expires_at_ms is None else expires_at_ms), value)

    def stream_entry(self, entry_id: str, fields: list[tuple[bytes, bytes]]) -> None:
        self._take(entry_id.encode(), *(part for pair in fields for part in pair))

    def array_element(self, index: int, value: bytes) -> None:
        self._take(b"%d" % index, value)

    def _take(self, name: bytes, *parts: bytes) -> None:
        if self._open is None:
            return
        self._held += 1
        if self._held > MOST:
            self._open = None
            return
        whole = blake2b(digest_size=8)
        for part in parts:
            whole.update(b"%d:" % len(part))
            whole.update(part)
        self._open[name if len(name) <= 8 else blake2b(name, digest_size=16).digest()] = whole.digest()


def differing(a: dict[bytes, bytes], b: dict[bytes, bytes], *, in_order: bool) -> int:
    """How many elements are not the same on both sides; in_order: of a list, how many positions."""
    found = sum(1 for name, value in a.items() if b.get(name) != value) + sum(1 for name in b if name not in a)
    if not in_order:
        return found
    moved = Counter(a.values())
    moved.subtract(Counter(b.values()))  # after an insertion at the head all positions differ, and one element
    return max(sum(max(n, 0) for n in moved.values()), sum(max(-n, 0) for n in moved.values())) or found


def counted(difference: Difference, a: dict[bytes, bytes] | None, b: dict[bytes, bytes] | None) -> Difference:
    """The difference with the number of elements that differ; unchanged if that is not known, or if none does."""
    if difference.how != "value" or a is None or b is None or difference.a is None:
        return difference
    number = differing(a, b, in_order=difference.a.kind == LIST)
    return dataclasses.replace(difference, elements=number) if number else difference
