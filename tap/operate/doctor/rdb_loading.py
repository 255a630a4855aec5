"""Which server can load the RDB that another one sends in a full resync.

A server refuses an RDB of a later version than its own. Valkey also refuses those of Redis 7.4 and later (RDB 12 to 79),
whose types have another meaning there. Valkey 9 writes RDB 80 only for a replica that announces version 9 or later, and
RDB 11 for all others. Seen on the servers that docs/reference/versions.md names, and on Redis 8.2.3 and 8.6.3.
"""

from __future__ import annotations

import re

# The RDB version that releases write, from this one on. A release between two that are known is not guessed.
_REDIS = {
    (2, 6): 6, (2, 8): 6, (3, 0): 6, (3, 2): 7, (4, 0): 8, (5, 0): 9, (6, 0): 9, (6, 2): 9, (7, 0): 10, (7, 2): 11,
    (7, 4): 12, (8, 0): 12, (8, 2): 12, (8, 6): 13,
}  # fmt: skip
_VALKEY = {(7, 2): 11, (8, 0): 11, (8, 1): 11, (9, 0): 80, (9, 1): 80}
_VALKEY_LAST_SHARED = 11
_VALKEY_FIRST_OWN = 80


def rdb_version(server: str) -> int | None:
    """The RDB version that a server writes to its disk, None if that is not known. server: as "Redis 7.0.15"."""
    name, numbers = _parts(server)
    return (_VALKEY if name == "Valkey" else _REDIS).get(numbers)


def sent(master: str, replica: str) -> int | None:
    """The RDB version that this master sends to this replica."""
    version = rdb_version(master)
    if version is not None and version >= _VALKEY_FIRST_OWN and not _announces_version_9(replica):
        return _VALKEY_LAST_SHARED
    return version


def can_load(replica: str, version: int) -> bool | None:
    """Whether a server loads an RDB of that version; None if the server's own version is not known."""
    own = rdb_version(replica)
    if own is None:
        return None
    if own >= _VALKEY_FIRST_OWN or _parts(replica)[0] == "Valkey":
        return version <= _VALKEY_LAST_SHARED or _VALKEY_FIRST_OWN <= version <= own
    return version <= own


def _announces_version_9(server: str) -> bool:
    name, numbers = _parts(server)
    return name == "Valkey" and numbers >= (9, 0)


def _parts(server: str) -> tuple[str, tuple[int, int]]:
    found = re.fullmatch(r"(\w+) (\d{1,6})\.(\d{1,6}).*", server)
    return (found[1], (int(found[2]), int(found[3]))) if found else ("", (0, 0))
