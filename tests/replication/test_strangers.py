"""The kinds of connections that do not replicate."""

from __future__ import annotations

import pytest

from tap.replication.events import Role
from tap.replication.strangers import INTERNAL, is_named, what_it_is


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), False),
        ((b"GET",), True),
        ((b"CLUSTER",), False),
        ((b"CLUSTER", b"SYNCSLOTS"), False),
        ((b"CLUSTER", b"SYNCSLOTS", b"CONF"), True),
        ((b"DFLY",), False),
        ((b"DFLY", b"SYNC"), True),
    ],
)
def test_a_known_number_of_words_is_enough(words: tuple[bytes, ...], named: bool) -> None:
    assert is_named(words) == named


@pytest.mark.parametrize(
    ("words", "called", "user", "role", "text"),
    [
        (b"CLUSTER SYNCSLOTS ESTABLISH", b"", b"", Role.SLOT_MIGRATION, "of Valkey, from the node that dialled"),
        (b"CLUSTER SYNCSLOTS CONF", b"", b"", Role.SLOT_MIGRATION, "of Redis, to the node that dialled"),
        (b"CLUSTER SYNCSLOTS RANGES", b"", b"", Role.SLOT_MIGRATION, "of Redis, to the node that dialled"),
        (b"CLUSTER SYNCSLOTS SYNC", b"", b"", Role.SLOT_MIGRATION, "of Redis, to the node that dialled"),
        (b"CLUSTER SYNCSLOTS RDBCHANNEL", b"", b"", Role.SLOT_MIGRATION, "of Redis, the snapshot's connection"),
        (b"CLUSTER SYNCSLOTS NEW", b"", b"", Role.SLOT_MIGRATION, "of a kind that this redis-tap does not know"),
        (b"CLUSTER SYNCSLOTS", b"", b"", Role.SLOT_MIGRATION, "of a kind that this redis-tap does not know"),
        (b"CLUSTER NODES", b"", b"", Role.ORDINARY, "an ordinary connection"),
        (b"RESTORE-ASKING a", b"", b"", Role.SLOT_MIGRATION, "keys that MIGRATE moves here"),
        (b"DFLY FLOW", b"", b"", Role.DRAGONFLY, "(DFLY FLOW)"),
        (b"DFLY SYNC", b"", b"", Role.DRAGONFLY, "(DFLY SYNC)"),
        (b"DFLY THREAD", b"", b"", Role.DRAGONFLY, "(DFLY THREAD)"),
        (b"DFLY STARTSTABLE", b"", b"", Role.DRAGONFLY, "(DFLY STARTSTABLE)"),
        (b"DFLY \x1b[31m", b"", b"", Role.DRAGONFLY, "protocol: passed on"),
        (b"DFLY", b"", b"", Role.DRAGONFLY, "protocol: passed on"),
        (b"FT.SEARCH", b"", INTERNAL, Role.ORDINARY, "an internal connection of a cluster's node"),
        (b"FT.SEARCH", b"", b"", Role.ORDINARY, "a connection to a module (FT.SEARCH)"),
        (b"X." + b"Y" * 50, b"", b"", Role.ORDINARY, "(X." + "Y" * 38 + ")"),
        (b"PUBLISH", b"sentinel-1a2b-cmd", b"", Role.ORDINARY, "a connection of Sentinel"),
        (b"GET k", b"my-sentinel-1", b"", Role.ORDINARY, "an ordinary connection"),
        (b"", b"", b"", Role.ORDINARY, "an ordinary connection"),
    ],
)
def test_a_connection_is_classified(words: bytes, called: bytes, user: bytes, role: Role, text: str) -> None:
    found, said = what_it_is(words.split(), called, user)
    assert found is role
    assert text in said
    assert "passed on, not read" in said
