"""Where a conversation stands: what another conversation needs to continue from there without the earlier bytes."""

from __future__ import annotations

from dataclasses import dataclass

from tap.replication.events import Role
from tap.replication.passing import PassingStanding


@dataclass(frozen=True, slots=True)
class RdbStanding:
    """An RDB that is passing. header: the header line after its $. start: position of the RDB's first byte.

    received: bytes so far, including a diskless RDB's mark. end: position after the RDB, None if only its mark shows
    that. ended: the RDB's own end has passed. mark_received: bytes of the mark that have passed.
    """

    header: str
    start: int
    end: int | None
    received: int
    ended: bool
    mark_received: int


@dataclass(frozen=True, slots=True)
class Standing:
    """phase: a Phase's value: rdb, stream, done, ordinary or opaque. from_master, from_replica: bytes received.

    options: the replica's REPLCONF options. replid, offset: of the last byte from the master, or of the RDB; None if
    unknown. db, in_transaction: in force there. unfinished: see StreamScanner.unfinished, as latin-1. has_begun:
    StreamStarted has been reported. acknowledges: the replica acknowledges, see Payload.watch(). main: number of the
    connection whose RDB this one carries. awaited: the names under which this connection waits for the other one of its
    sync. passing: the state of an ordinary connection that may still ask to replicate.
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
