"""Which keys of an RDB are wanted."""

from __future__ import annotations

from typing import Any

import pytest

from tap.rdb import keys
from tap.rdb.key_filter import key_filter
from tests.support import FIXTURES

MULTIDB = FIXTURES / "rdb" / "redis-8.0.2-multidb.rdb"


def test_an_empty_filter_wants_everything() -> None:
    assert key_filter() is None


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({"dbs": [1, 9]}, lambda key: key.db in (1, 9)),
        ({"types": ["hash", "list"]}, lambda key: key.type in ("hash", "list")),
        ({"globs": [b"sam?", b"nothing"]}, lambda key: key.key == b"same"),
        ({"dbs": [9], "types": ["hash"]}, lambda key: key.db == 9 and key.type == "hash"),
    ],
)
def test_every_part_of_a_filter_has_to_fit(wanted: dict[str, Any], fits: Any) -> None:
    with MULTIDB.open("rb") as file:
        found = list(keys(file))
    only = key_filter(**wanted)
    assert only is not None
    chosen = [key for key in found if only(key)]
    assert chosen == [key for key in found if fits(key)]
    assert 0 < len(chosen) < len(found)


def test_the_limit_counts_the_keys_that_fit() -> None:
    with MULTIDB.open("rb") as file:
        found = list(keys(file))
    only = key_filter(types=["hash"], limit=2)
    assert only is not None
    assert [key for key in found if only(key)] == [key for key in found if key.type == "hash"][:2]


def test_a_value_of_a_module_is_found_by_the_word_module() -> None:
    with (FIXTURES / "rdb" / "redis-8.0.2-vectorset.rdb").open("rb") as file:
        one = next(key for key in keys(file) if key.module)
    only = key_filter(types=["module"])
    assert only is not None
    assert only(one)
