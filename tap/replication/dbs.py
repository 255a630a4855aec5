"""Which databases a command affects besides the one it is executed in."""

from __future__ import annotations

from collections.abc import Sequence

from tap.replication.keyspecs import keys

EVERY_DB = -1
MAX_DB = 2**31  # servers hold the number of a database in an int, so all are below
REACHING = frozenset({b"COPY", b"FLUSHALL", b"MOVE", b"SWAPDB"})
# Commands of a stream that do the same in whichever database they are executed. FLUSHDB is none of them, and neither is a
# script without keys, which writes to the database that it is called in.
ALIKE_IN_ALL_DBS = frozenset(
    {
        b"CLUSTER", b"DISCARD", b"EXEC", b"FLUSHALL", b"FUNCTION", b"MULTI", b"PING", b"PUBLISH", b"REPLCONF",
        b"SCRIPT", b"SELECT", b"SPUBLISH", b"SWAPDB",
    }
)  # fmt: skip

# A database, and the keys in it that the command names.
Place = tuple[int, tuple[bytes, ...]]


def reach(name: bytes, arguments: Sequence[bytes]) -> tuple[tuple[bytes, ...], tuple[Place, ...]]:
    """The keys in the command's own database, and the other places that the command affects. name: in upper case.

    The options of COPY come in any order. Source: Redis 8.0 db.c, copyCommand, moveCommand, swapdbCommand.
    """
    here = tuple(keys(name, arguments))
    if name == b"FLUSHALL":
        return (), ((EVERY_DB, ()),)
    if name == b"SWAPDB":
        return (), tuple((db, ()) for db in map(_number, arguments[:2]) if db is not None)
    if name == b"MOVE" and len(arguments) > 1 and (db := _number(arguments[1])) is not None:
        return here, ((db, here),)
    if name == b"COPY":
        named = [_number(arguments[at + 1]) for at in _db_options(arguments)]
        if named and named[-1] is not None:
            return here[:1], ((named[-1], here[1:]),)
    return here, ()


def without_db(arguments: Sequence[bytes]) -> list[bytes]:
    """The arguments of a COPY without its DB options, so that the copy stays in the command's own database."""
    left_out = {place for at in _db_options(arguments) for place in (at, at + 1)}
    return [argument for at, argument in enumerate(arguments) if at not in left_out]


def _db_options(arguments: Sequence[bytes]) -> list[int]:
    """The index of each DB option of a COPY; its value is the next argument."""
    found, at = [], 2
    while at < len(arguments) - 1:
        if arguments[at].upper() == b"DB":
            found.append(at)
            at += 1
        at += 1
    return found


def _number(argument: bytes) -> int | None:
    return int(argument) if argument.isdigit() and len(argument) < 10 else None
