"""Which RDB version a master sends to a replica in a full resync.

Valkey 9 writes RDB 80 only for a replica that announces version 9 or later (REPLCONF version), which no Redis does, and
RDB 11 for all others: seen on Valkey 9.1.
"""

from __future__ import annotations

from tap.verdict.loadable import (
    FIRST_OF_VALKEY,
    OF_REDIS,
    OF_REDIS_AFTER,
    SHARED,
    VALKEY_80,
    VALKEY_AFTER,
    version_numbers,
)


def sent(master: str, replica: str) -> int | None:
    """The version, None if that is not known. master, replica: as "Redis 7.0.15"."""
    name, has = _parts(master)
    if name == "Valkey":
        other, of_replica = _parts(replica)
        if has < version_numbers(VALKEY_80) or other != "Valkey" or of_replica < version_numbers(VALKEY_80):
            return SHARED
        return FIRST_OF_VALKEY if has < version_numbers(VALKEY_AFTER) else None
    if name == "Redis" and has and has < version_numbers(OF_REDIS_AFTER):
        return next((version for version, first in reversed(OF_REDIS) if has >= version_numbers(first)), None)
    return None


def _parts(server: str) -> tuple[str, tuple[int, ...]]:
    name, _, version = server.partition(" ")
    return name, version_numbers(version)
