"""Which RDB a replica is sent, and whether it loads that: the pairs of docs/reference/versions.md, and no others."""

from __future__ import annotations

import itertools

import pytest

from tap.operate.doctor.sent_rdb import sent
from tap.verdict.loadable import can_load

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
    loads = set()
    for master, replica in itertools.product(REPLICATE, REPLICATE):
        version = sent(master, replica)
        assert version is not None
        if can_load(replica, version):
            loads.add((master, replica))
    assert loads == {(master, replica) for master, replicas in REPLICATE.items() for replica in replicas}
    assert len(loads) == 36 - 13


@pytest.mark.parametrize(
    ("master", "version"),
    [
        ("Redis 5.0.14", 9),
        ("Redis 7.2.4", 11),
        ("Redis 8.6.3", 13),
        ("Valkey 7.2.8", 11),
        ("Valkey 9.0.0", 80),
        ("Redis 8.10.0", None),
        ("Redis 2.4.0", None),
        ("Valkey 12.0.0", None),
        ("KeyDB 6.3.4", None),
        ("Redis ", None),
        ("", None),
    ],
)
def test_a_release_that_is_not_known_is_not_guessed(master: str, version: int | None) -> None:
    assert sent(master, "Valkey 9.1.2") == version
