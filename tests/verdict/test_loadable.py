"""Which servers load which RDB."""

from __future__ import annotations

import pytest

from tap.verdict.loadable import can_load, loaders


@pytest.mark.parametrize(
    ("server", "version", "loads"),
    [
        ("Redis 6.2.14", 9, True),
        ("Redis 6.2.14", 10, False),
        ("Redis 7.0.15", 10, True),
        ("Redis 7.0.15", 12, False),
        ("Redis 7.4.0", 12, True),
        ("Redis 8.0.6", 13, False),
        ("Redis 8.10", 15, True),
        ("Redis 8.8.1", 15, False),
        ("Redis 8.10", 80, False),
        ("Valkey 8.1.1", 11, True),
        ("Valkey 8.1.1", 12, False),
        ("Valkey 8.1.1", 80, False),
        ("Valkey 9.1.2", 12, False),
        ("Valkey 9.0", 80, True),
        ("Valkey 9.1.2", 81, False),
        ("Valkey 9.2.0", 81, True),
        ("", 9, None),
        ("Valkey ", 9, None),
        ("KeyDB 6.3", 9, None),
    ],
)
def test_a_server_loads_what_it_knows(server: str, version: int, loads: bool | None) -> None:
    assert can_load(server, version) is loads


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (9, "Redis 5.0 or later, every Valkey"),
        (11, "Redis 7.2 or later, every Valkey"),
        (12, "Redis 7.4 or later"),
        (16, "Redis 8.10 or later"),
        (80, "Valkey 9.0 or later"),
        (81, "Valkey 9.2 or later"),
    ],
)
def test_the_servers_of_a_version_are_named(version: int, said: str) -> None:
    assert loaders(version) == said
