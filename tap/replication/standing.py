"""Where a conversation stands: what another one needs to read on from there without the bytes before."""

from __future__ import annotations

from dataclasses import dataclass

from tap.replication.events import Role
from tap.replication.passing import PassingStanding


@dataclass(frozen=True, slots=True)
class RdbStanding:
    """An RDB that is passing. header: what followed the $ of its line. start: position of its first byte.

    received: bytes of it so far, a diskless RDB's mark included. end: position after it, None if only its mark shows it.
    ended: its own end has passed. mark_received: bytes of the mark that have.
    """

    header: str
    start: int
    end: int | None
    received: int
    ended: bool
    mark_received: int


@dataclass(frozen=True, slots=True)
class Standing:
    """phase: a Phase's value: rdb, stream, done, ordinary or opaque. from_master, from_replica: bytes of each direction.

    options: what the replica said of itself. replid, offset: of the last byte from the master, or of the RDB; None if
    unknown. db, in_transaction: in force there. unfinished: see StreamScanner.unfinished, as latin-1. has_begun:
    StreamStarted has been told. acknowledges: see Payload.watch(). main: number of the connection whose RDB this one
    carries. awaited: the names under which the other connection of a sync will ask for this one. passing: of an ordinary
    connection that may still ask to replicate.
    """

    phase: str
    role: Role | None
    from_master: int
    from_replica: int
    options: dict[str, str]
    replid: str | None
    offset: int | None
    db: int | None
    in_transaction: bool
    unfinished: str
    has_begun: bool
    acknowledges: bool
    rdb: RdbStanding | None
    main: int | None
    awaited: tuple[str, ...]
    passing: PassingStanding | None = None
