"""Patterns for servers."""

from __future__ import annotations

import pytest

from tap.errors import ConfigError
from tap.scenario.versions import Servers


@pytest.mark.parametrize(
    ("pattern", "server", "fits"),
    [
        ("Redis", "Redis 7.0.15", True),
        ("redis", "Redis 7.0.15", True),
        ("Redis", "Valkey 8.1.1", False),
        ("*", "Valkey 8.1.1", True),
        ("Redis 7", "Redis 7.0.15", True),
        ("Redis 7", "Redis 70.0", False),
        ("Redis 7.*", "Redis 7.0.15", True),
        ("Redis 6.*", "Redis 7.0.15", False),
        ("Redis >= 7", "Redis 7.0.15", True),
        ("Redis>=7.2", "Redis 7.0.15", False),
        ("Redis > 7", "Redis 7.4.1", False),
        ("Redis > 7", "Redis 8.0.0", True),
        ("Redis < 7", "Redis 6.2.14", True),
        ("Redis <= 6.2", "Redis 6.2.14", True),
        ("Valkey >= 8", "Redis 8.0.2", False),
        ("* >= 8", "Valkey 8.1.1", True),
        ("* < 8", "Valkey 8.1.1", False),
        ("VALKEY", "valkey 8.1.1", True),
        (" Redis  >=  7 ", "Redis 7.0.15", True),
        ("Redis 7.0.15", "Redis 7.0.15", True),
        ("Redis 7.0", "Redis 7.0.15", True),
        ("Redis 7.0", "Redis 7.01.15", False),
        ("Redis 7.*.15", "Redis 7.0.15", True),
        ("Redis >= 7.0.15", "Redis 7.0.15", True),
        ("Redis > 7.0.15", "Redis 7.0.15", False),
        ("Redis < 7.0.15", "Redis 7.0.15", False),
        ("Redis <= 7.0.15", "Redis 7.0.15", True),
        ("Redis <= 7.0.14", "Redis 7.0.15", False),
        ("Redis < 10", "Redis 7.0.15", True),
    ],
)
def test_a_pattern_fits_a_server(pattern: str, server: str, fits: bool) -> None:
    assert Servers.parse(pattern).match(server) is fits
    assert str(Servers.parse(pattern)) == pattern.strip()


@pytest.mark.parametrize("text", ["", "Postgres", "Redis => 7", "Redis >= seven"])
def test_other_words_are_explained(text: str) -> None:
    with pytest.raises(ConfigError, match="names no servers: write a name"):
        Servers.parse(text)
