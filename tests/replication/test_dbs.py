"""The databases that a command reaches: with its keys here, and elsewhere."""

from __future__ import annotations

import pytest

from tap.replication.dbs import EVERY_DB, REACHING, Place, reach, without_db


@pytest.mark.parametrize(
    ("text", "here", "places"),
    [
        ("SET a 1", (b"a",), ()),
        ("FLUSHALL", (), ((EVERY_DB, ()),)),
        ("FLUSHALL ASYNC", (), ((EVERY_DB, ()),)),
        ("FLUSHDB", (), ()),
        ("SWAPDB 1 2", (), ((1, ()), (2, ()))),
        ("MOVE a 3", (b"a",), ((3, (b"a",)),)),
        ("COPY a b", (b"a", b"b"), ()),
        ("COPY a b REPLACE", (b"a", b"b"), ()),
        ("COPY a b DB 3", (b"a",), ((3, (b"b",)),)),
        ("COPY a b REPLACE db 3", (b"a",), ((3, (b"b",)),)),
        ("COPY a b DB 3 REPLACE", (b"a",), ((3, (b"b",)),)),
        ("COPY a b DB 3 DB 4", (b"a",), ((4, (b"b",)),)),
        ("COPY DB DB", (b"DB", b"DB"), ()),
        ("COPY DB DB DB 7", (b"DB",), ((7, (b"DB",)),)),
        # commands that no server propagates
        ("MOVE a", (b"a",), ()),
        ("MOVE a x", (b"a",), ()),
        ("COPY a b DB", (b"a", b"b"), ()),
        ("COPY a b DB -1", (b"a", b"b"), ()),
        ("SWAPDB", (), ()),
    ],
)
def test_a_command_reaches_its_dbs(text: str, here: tuple[bytes, ...], places: tuple[Place, ...]) -> None:
    name, *arguments = text.encode().split()
    assert reach(name, arguments) == (here, places)
    assert not places or name in REACHING


def test_a_copy_can_be_kept_in_its_own_db() -> None:
    assert without_db(b"a b REPLACE DB 3".split()) == b"a b REPLACE".split()
    assert without_db(b"DB DB db 3 REPLACE".split()) == b"DB DB REPLACE".split()
    assert without_db(b"a b".split()) == b"a b".split()
