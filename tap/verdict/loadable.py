"""Which servers load an RDB of which version, as far as its version decides.

A server refuses a version above its own; Valkey refuses those that Redis has drawn since both went apart, and Redis those
of Valkey. Source: the servers' rdb.h and rdbLoad(); every pair of the tested servers was tried.
"""

from __future__ import annotations

import re

FIRST_OF_VALKEY = 80  # Redis writes versions below it
SHARED = 11  # the last version from before Valkey and Redis went apart
OF_REDIS = (
    (6, "2.6"),
    (7, "3.2"),
    (8, "4.0"),
    (9, "5.0"),
    (10, "7.0"),
    (11, "7.2"),
    (12, "7.4"),
    (13, "8.6"),
    (14, "8.8"),
)
OF_REDIS_AFTER = "8.10"
VALKEY_80, VALKEY_AFTER = "9.0", "9.2"


def loaders(version: int) -> str:
    """The servers that load it, in words: "Redis 7.4 or later"."""
    if version > FIRST_OF_VALKEY:
        return f"Valkey {VALKEY_AFTER} or later"
    if version == FIRST_OF_VALKEY:
        return f"Valkey {VALKEY_80} or later"
    redis = f"Redis {_redis(version)} or later"
    return redis if version > SHARED else f"{redis}, every Valkey"


def can_load(server: str, version: int) -> bool | None:
    """Whether the server, as "Valkey 8.1.1", loads that version; None if the server is unknown."""
    name, _, said = server.partition(" ")
    has = version_numbers(said)
    if name not in ("Redis", "Valkey") or not has:
        return None
    if name == "Valkey":
        if version <= SHARED:
            return True
        return version >= FIRST_OF_VALKEY and has >= version_numbers(
            VALKEY_80 if version == FIRST_OF_VALKEY else VALKEY_AFTER
        )
    return version < FIRST_OF_VALKEY and has >= version_numbers(_redis(version))


def _redis(version: int) -> str:
    return next((first for known, first in OF_REDIS if version <= known), OF_REDIS_AFTER)


def version_numbers(version: str) -> tuple[int, ...]:
    """(7, 0, 15) for "7.0.15", to compare versions by."""
    return tuple(int(number) for number in re.findall(r"\d{1,9}", version))
