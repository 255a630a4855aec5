"""Where a conversation stands: what another conversation needs to continue from there without the earlier bytes."""

from __future__ import annotations

from dataclasses import dataclass

from tap.replication.events import Role
from tap.replication.number_lines import MAX_POSITION
from tap.replication.passing import PassingStanding

MAX_OFFSET = 2**64  # above the 19 digits that an offset may have on the wire, and the stream after it


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

    def check(self) -> None:
        """Raise ValueError for a number that no conversation can have, as from a damaged file.

        How far *rdb* and *passing* have come is checked by what continues there: Payload.join() and Passing.stand().
        """
        numbers = {name: getattr(self, name) for name in ("from_master", "from_replica", "db", "main")}
        if self.rdb is not None:
            numbers |= {"rdb.start": self.rdb.start, "rdb.end": self.rdb.end}
        for name, number in numbers.items():
            if number is not None and not 0 <= number <= MAX_POSITION:
                raise ValueError(f"{name} is {number}")
        if self.offset is not None and abs(self.offset) > MAX_OFFSET:  # negative ones come from PSYNC <id> -<number>
            raise ValueError(f"offset is {self.offset}")
