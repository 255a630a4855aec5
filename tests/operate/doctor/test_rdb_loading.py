"""Which replica loads which master's RDB: the pairs that docs/reference/versions.md names, and no others."""

from __future__ import annotations

import itertools

import pytest

from tap.operate.doctor.rdb_loading import can_load, rdb_version, sent

REDIS_8 = ("Redis 8.0.2", "Redis 8.0.6")
VALKEY = ("Valkey 8.1.1", "Valkey 9.1.2")
REPLICATE = {
    "Redis 6.2.14": ("Redis 6.2.14", "Redis 7.0.15", *REDIS_8, *VALKEY),
    "Redis 7.0.15": ("Redis 7.0.15", *REDIS_8, *VALKEY),
    "Redis 8.0.2": REDIS_8,
    "Redis 8.0.6": REDIS_8,
    "Valkey 8.1.1": (*VALKEY, *REDIS_8),
    "Valkey 9.1.2": (*VALKEY, *REDIS_8),
}


def test_the_pairs_of_the_versions_page_replicate_and_the_other_thirteen_do_not() -> None:
    loads = {
        (master, replica)
        for master, replica in itertools.product(REPLICATE, REPLICATE)
        if can_load(replica, sent(master, replica) or 0)
    }
    assert loads == {(master, replica) for master, replicas in REPLICATE.items() for replica in replicas}
    assert len(loads) == 36 - 13


@pytest.mark.parametrize(
    ("server", "version"),
    [("Redis 5.0.14", 9), ("Redis 7.2.4", 11), ("Redis 7.4.1", 12), ("Valkey 7.2.8", 11), ("Valkey 9.0.0", 80)],
)
def test_a_release_that_is_known_writes_its_version(server: str, version: int) -> None:
    assert rdb_version(server) == version


@pytest.mark.parametrize("server", ["Redis 8.4.0", "Valkey 12.0.0", "KeyDB 6.3.4", "Redis", "Redis 7.x", ""])
def test_other_releases_are_not_guessed(server: str) -> None:
    assert rdb_version(server) is None
    assert can_load(server, 9) is None
    assert sent(server, "Redis 7.0.15") is None


def test_a_valkey_loads_no_rdb_of_the_versions_between() -> None:
    assert [can_load("Valkey 9.1.2", version) for version in (11, 12, 79, 80, 81)] == [True, False, False, True, False]
    assert [can_load("Valkey 8.1.1", version) for version in (11, 12, 80)] == [True, False, False]
