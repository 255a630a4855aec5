"""What the tests of comparisons share: the records of an RDB."""

from __future__ import annotations

from collections.abc import Callable

from tap.operate.comparison.difference import Entry, Key, entries
from tap.operate.comparison.digest import Digest, add_records
from tap.rdb.parser import Parser
from tests.rdb.reading import fed

KEY = bytes(range(16))  # of the hash


def digest_of(
    data: bytes, step: int = 0, *, only: Callable[[int, bytes], bool] | None = None, expiries: bool = True
) -> tuple[Digest, dict[Key, Entry]]:
    """Of a sound RDB, fed so many bytes at a time or, for 0, at once."""
    records: set[bytes] = set()
    digest = Digest(KEY, lambda _, data: add_records(bytes(data), records, 1, 0), only=only, expiries=expiries)
    assert fed(Parser(digest, values=True), data, step) is None
    digest.close()
    return digest, entries(records)


def entry_of(data: bytes, step: int = 0) -> Entry:
    """The record of an RDB that has one key."""
    (entry,) = digest_of(data, step)[1].values()
    return entry
