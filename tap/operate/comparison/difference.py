"""How a key differs between two data sets, as far as two records say."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, get_args

from tap.operate.comparison.digest import HEAD, LIBRARY
from tap.rdb.keys import module_name
from tap.rdb.tokens import MODULE_VALUE, NONE, STREAM_VALUE, STRING, TYPES

BATCH = 1000  # differences that are held at a time

How = Literal["only_in_a", "only_in_b", "type", "value", "expiry", "not_comparable"]
HOWS: tuple[How, ...] = get_args(How)
Key = tuple[int, bytes]  # db and name

_HEAD = struct.Struct("<IiQqQQ16s")
_VERSION_BITS = 10  # of a module type's ID: the version of its encoding


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a key on one side: the parts of its record, see digest.py."""

    kind: int
    expiry: int
    more: int
    elements: int
    digest: bytes

    @property
    def type(self) -> str:
        """As TYPE returns it; "function" for a library of functions."""
        if self.kind == LIBRARY:
            return "function"
        return module_name(self.more) if self.kind == MODULE_VALUE else TYPES[self.kind]

    @property
    def expires_at_ms(self) -> int | None:
        return None if self.expiry == NONE else self.expiry


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that is not the same in A and B.

    db: -1 for a library of functions. a, b: None where the key is missing. how: what differs; of several things the
    first one in the order type, value, expiry. elements: how many members, fields, list elements or entries differ; None
    if that is not known. expiry_differs: whether the expiry does, too or alone, as far as it counts.
    """

    db: int
    key: bytes
    how: How
    a: Entry | None
    b: Entry | None
    elements: int | None = None
    expiry_differs: bool = False

    @property
    def has_elements(self) -> bool:
        """Whether two values differ whose elements can be counted."""
        return self.how == "value" and self.db >= 0 and self.a is not None and self.a.kind not in (STRING, MODULE_VALUE)


@dataclass(frozen=True, slots=True)
class DiffRules:
    """What counts as a difference. ignore_expiry: no expiry does. within_ms: expiries closer than that are equal.

    moment: milliseconds since the epoch; a key that expired before it need not be on both sides.
    """

    ignore_expiry: bool = False
    within_ms: int = 0
    moment: int = NONE

    def has_expired(self, entry: Entry) -> bool:
        return entry.expiry != NONE and entry.expiry <= self.moment

    def judge(self, key: Key, a: Entry | None, b: Entry | None) -> Difference | None:
        """Compare what two sides have of a key. None if nothing differs."""
        how = self._how(a, b)
        if how is None:
            return None
        expiry_differs = a is not None and b is not None and not self._same_expiry(a.expiry, b.expiry)
        return Difference(*key, how, a, b, expiry_differs=expiry_differs)

    def _how(self, a: Entry | None, b: Entry | None) -> How | None:
        if a is None:
            return None if b is None else "only_in_b"
        if b is None:
            return "only_in_a"
        if a.kind != b.kind or a.type != b.type:
            return "type"
        if a.kind == MODULE_VALUE and a.more != b.more:
            return "not_comparable"
        if a.digest != b.digest or a.elements != b.elements:
            return "value"
        if a.kind == STREAM_VALUE and a.more != b.more and a.more and b.more:
            return "value"
        return None if self._same_expiry(a.expiry, b.expiry) else "expiry"

    def _same_expiry(self, a: int, b: int) -> bool:
        return self.ignore_expiry or a == b or (NONE not in (a, b) and abs(a - b) <= self.within_ms)


def entries(records: Iterable[bytes]) -> dict[Key, Entry]:
    """Records by key."""
    return {_key(record): _entry(record) for record in records}


def _key(record: bytes) -> Key:
    return int.from_bytes(record[4:8], "little", signed=True), record[HEAD:]


def _entry(record: bytes) -> Entry:
    _, _, *facts = _HEAD.unpack_from(record)
    return Entry(*facts)


@dataclass(slots=True)
class Found:
    """differences: some of those of a share of the names. expired: keys that one side alone has, after their expiry."""

    differences: list[Difference] = field(default_factory=list)
    expired: int = 0


def differences(a: Iterable[bytes], b: Iterable[bytes], rules: DiffRules) -> Iterator[Found]:
    """Judge the records that the other side lacks, and yield what is found, BATCH keys at a time."""
    mine, theirs = ({_key(record): record for record in side} for side in (a, b))
    found = Found()
    for key in chain(mine, (key for key in theirs if key not in mine)):
        one, other = (None if record is None else _entry(record) for record in (mine.get(key), theirs.get(key)))
        left = one or other
        if (one is None or other is None) and left is not None and rules.has_expired(left):
            found.expired += 1
        elif (difference := rules.judge(key, one, other)) is not None:
            found.differences.append(difference)
            if len(found.differences) == BATCH:
                yield found
                found = Found()
    yield found
