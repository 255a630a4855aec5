"""Two records of one key: whether they differ, and in what."""

from __future__ import annotations

import dataclasses

import pytest

from tap.operate.comparison.difference import BATCH, Difference, DiffRules, Entry, differences
from tap.operate.comparison.digest import LIBRARY, Digest, add_records
from tap.rdb.parser import Parser
from tap.rdb.tokens import HASH, MODULE_VALUE, NONE, STREAM_VALUE, STRING
from tests.operate.comparison.digesting import KEY
from tests.rdb import make

PLAIN = Entry(STRING, NONE, 0, 1, b"d" * 16)
K = (0, b"k")


def changed(**facts: object) -> Entry:
    return dataclasses.replace(PLAIN, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("a", "b", "how"),
    [
        (PLAIN, PLAIN, None),
        (PLAIN, None, "only_in_a"),
        (None, PLAIN, "only_in_b"),
        (PLAIN, changed(kind=HASH), "type"),
        (PLAIN, changed(digest=b"e" * 16), "value"),
        (PLAIN, changed(elements=2), "value"),
        (PLAIN, changed(expiry=5), "expiry"),
        (changed(kind=MODULE_VALUE, more=2**40), changed(kind=MODULE_VALUE, more=2**50), "type"),
        (changed(kind=MODULE_VALUE, more=2**40), changed(kind=MODULE_VALUE, more=2**40 + 1), "not_comparable"),
        (changed(kind=STREAM_VALUE, more=1), changed(kind=STREAM_VALUE, more=3), "value"),
        (changed(kind=STREAM_VALUE, more=0), changed(kind=STREAM_VALUE, more=3), None),
    ],
)
def test_the_first_thing_that_differs_is_how(a: Entry | None, b: Entry | None, how: str | None) -> None:
    found = DiffRules().judge(K, a, b)
    assert found == (None if how is None else Difference(0, b"k", how, a, b, expiry_differs=how == "expiry"))  # type: ignore[arg-type]


def test_expiries_may_be_ignored_or_differ_a_little() -> None:
    a, b, c = changed(expiry=1000), changed(expiry=1500), changed(expiry=1501)
    assert DiffRules(ignore_expiry=True).judge(K, a, PLAIN) is None
    assert DiffRules(within_ms=500).judge(K, a, b) is None
    assert DiffRules(within_ms=500).judge(K, a, c) is not None
    assert DiffRules(within_ms=500).judge(K, PLAIN, a) is not None


def test_a_value_that_differs_says_whether_its_expiry_does_too() -> None:
    found = DiffRules().judge(K, changed(digest=b"e" * 16, expiry=5), PLAIN)
    assert found is not None
    assert (found.how, found.expiry_differs) == ("value", True)


@pytest.mark.parametrize("rules", [DiffRules(ignore_expiry=True), DiffRules(within_ms=500)])
def test_an_expiry_that_does_not_count_does_not_differ(rules: DiffRules) -> None:
    found = rules.judge(K, changed(digest=b"e" * 16, expiry=1000), changed(expiry=1500))
    assert found is not None
    assert (found.how, found.expiry_differs) == ("value", False)


def test_types_have_the_names_that_servers_give_them() -> None:
    assert [changed(kind=kind).type for kind in (STRING, HASH, LIBRARY)] == ["string", "hash", "function"]
    assert changed(expiry=5).expires_at_ms == 5
    assert PLAIN.expires_at_ms is None


def records(names: dict[bytes, int]) -> set[bytes]:
    """Strings by name, with their expiry."""
    found: set[bytes] = set()
    digest = Digest(KEY, lambda _, data: add_records(bytes(data), found, 1, 0))
    expiring = (
        (b"" if at == NONE else b"\xfc" + at.to_bytes(8, "little")) + make.key(0, make.string(name), make.string(b"v"))
        for name, at in names.items()
    )
    Parser(digest, values=True).feed(make.rdb(12, *expiring))
    digest.close()
    return found


def test_a_key_that_has_expired_need_not_be_on_both_sides() -> None:
    (found,) = differences(records({b"old": 10, b"new": 30}), set(), DiffRules(moment=20))
    assert [one.key for one in found.differences] == [b"new"]
    assert found.expired == 1


def test_many_differences_come_in_batches() -> None:
    many = records({b"%d" % number: NONE for number in range(2 * BATCH + 5)})
    found = list(differences(many, set(), DiffRules()))
    assert [len(one.differences) for one in found] == [BATCH, BATCH, 5]
