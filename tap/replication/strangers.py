"""Classifies connections that do not replicate, by the first words of the request that shows it.

Slot migrations: in Valkey 9.1 (slot_migration.c) the source node connects and sends the slots as commands; in Redis 8.4
(cluster_asm.c) the destination node connects, twice, as for an RDB channel. Older clusters of both use MIGRATE.
"""

from collections.abc import Sequence

from tap.replication.events import Role

WORDS = 3  # of a request; enough to tell all of them apart

_SLOTS = {
    b"ESTABLISH": "of Valkey, from the node that dialled",
    b"CONF": "of Redis, to the node that dialled",
    b"RANGES": "of Redis, to the node that dialled",
    b"SYNC": "of Redis, to the node that dialled",
    b"RDBCHANNEL": "of Redis, the snapshot's connection",
}
# Dragonfly replica.cc (2026): SYNC and STARTSTABLE on the first connection, FLOW on one for each shard of the master.
_DFLY = frozenset({b"SYNC", b"STARTSTABLE", b"FLOW", b"THREAD"})
_UNREAD = "no replication: passed on, not read"

# The user as which an internal connection of Redis 8 authenticates: Redis 8.0 acl.c.
INTERNAL = b"internal connection"


def is_named(words: Sequence[bytes]) -> bool:
    """Whether these first words of an incomplete request are enough for what_it_is()."""
    return len(words) >= {b"CLUSTER": WORDS, b"DFLY": 2}.get(words[0] if words else b"", 1)


def what_it_is(words: Sequence[bytes], called: bytes, user: bytes) -> tuple[Role, str]:
    """The role of the peer, and a description for people.

    words: in upper case, the known ones of the first WORDS of the request that no replica sends. called: the peer's
    name from CLIENT SETNAME. user: the user of its AUTH; b"" without one.
    """
    if list(words[:2]) == [b"CLUSTER", b"SYNCSLOTS"]:
        said = words[2] if len(words) > 2 else b""
        which = _SLOTS.get(said, "of a kind that this redis-tap does not know")
        return Role.SLOT_MIGRATION, f"a slot migration {which}, {_UNREAD}"
    if words and words[0] == b"RESTORE-ASKING":
        return Role.SLOT_MIGRATION, f"a slot migration, keys that MIGRATE moves here, {_UNREAD}"
    if words and words[0] == b"DFLY":
        which = f" (DFLY {words[1].decode()})" if len(words) > 1 and words[1] in _DFLY else ""
        text = f"replication between Dragonfly servers, in their own protocol{which}: passed on, not read"
        return Role.DRAGONFLY, text
    if user == INTERNAL:
        return Role.ORDINARY, f"an internal connection of a cluster's node or of its module, {_UNREAD}"
    if called.startswith(b"sentinel-"):
        return Role.ORDINARY, f"a connection of Sentinel, {_UNREAD}"
    if words and b"." in words[0]:
        return Role.ORDINARY, f"a connection to a module ({_shown(words[0])}), {_UNREAD}"
    return Role.ORDINARY, f"an ordinary connection, {_UNREAD}"


def _shown(word: bytes) -> str:
    return repr(word[:40])[2:-1]
