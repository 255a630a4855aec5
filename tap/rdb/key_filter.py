"""Which keys of an RDB are wanted: by db, type and pattern, and how many."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection

from tap.glob import matcher
from tap.rdb.keys import Key


def key_filter(
    dbs: Collection[int] = (), types: Collection[str] = (), globs: Collection[bytes] = (), limit: int | None = None
) -> Callable[[Key], bool] | None:
    """A function that says whether a key is wanted, to be called with every key in order; None if all are.

    types: as in tokens.TYPES. globs: as for KEYS. limit: only the first keys that fit.
    """
    matchers = [matcher(glob) for glob in globs]
    if not (dbs or types or matchers or limit):
        return None
    left = sys.maxsize if limit is None else limit

    def wanted(key: Key) -> bool:
        nonlocal left
        fits = (
            left > 0
            and (not dbs or key.db in dbs)
            and (not types or ("module" if key.module else key.type) in types)
            and (not matchers or any(matches(key.key) for matches in matchers))
        )
        left -= fits
        return fits

    return wanted
