"""One full resync of one replica, from its grant to its end, as its events show it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tap.replication.events import FullResync, LinkClosed, Pressure, RdbStarted, Side, Transfer

UNLOADED = ("psync", "waiting", "rdb", "loading")  # phases before the replica has acknowledged the RDB


@dataclass(slots=True)
class RoundEnd:
    """How a round ended. silence: seconds for which the other side had sent nothing, None if unknown."""

    at: float
    by: Side
    how: str
    phase: str
    silence: float | None
    text: str = ""


@dataclass(slots=True)
class Round:
    """Times are those of the events, in seconds. The others are as in the events.

    asked_at, asked_offset: of the PSYNC; the offset is that of the last byte which the replica had, None without one.
    rdb_begin: position of the payload in its connection. rdb_bytes: of the RDB so far. progress: time, bytes and keys'
    share of the RDB at its last report; the share is None if unknown. version: what the replica announced of itself,
    "Valkey 9.1.2", or "". is_masked: the tap has taken that out. refusal: the master's error in place of a grant.
    pressure: the last one on the master's output buffer that was not over when the round ended.
    """

    connection: int
    granted_at: float
    asked_at: float
    asked_offset: int | None = None
    full: FullResync | None = None
    refusal: str = ""
    version: str = ""
    is_masked: bool = False
    rdb: RdbStarted | None = None
    rdb_at: float | None = None
    rdb_bytes: int | None = None
    rdb_problem: str = ""
    rdb_done_at: float | None = None
    moved_at: float | None = None  # when the RDB was last seen to move
    seconds_left: float | None = None  # of the transfer, at moved_at
    stream_at: float | None = None
    loaded_at: float | None = None
    pressure: Pressure | None = None
    end: RoundEnd | None = None
    channel_end: LinkClosed | None = field(default=None, repr=False)

    @property
    def replid(self) -> str | None:
        return None if self.full is None else self.full.replid

    @property
    def offset(self) -> int | None:
        return None if self.full is None else self.full.offset

    @property
    def is_unloaded(self) -> bool:
        """Whether it ended before the replica had loaded the RDB."""
        return self.end is not None and self.end.phase in UNLOADED

    @property
    def seconds(self) -> float:
        """From the grant to the end."""
        return 0.0 if self.end is None else self.end.at - self.granted_at

    @property
    def is_diskless(self) -> bool | None:
        return None if self.rdb is None else self.rdb.transfer is Transfer.DISKLESS

    @property
    def writer(self) -> str:
        """The RDB's writer, as "Redis 8.0.6"; "" if unknown."""
        aux = {} if self.rdb is None else self.rdb.aux
        return next(
            (f"{name} {aux[key]}" for name, key in (("Valkey", "valkey-ver"), ("Redis", "redis-ver")) if key in aux), ""
        )

    # ---- the parts of a full resync, in seconds ----

    @property
    def wait(self) -> float:
        """From the grant to the RDB's first byte, or to the end without one."""
        return self.seconds if self.rdb_at is None else self.rdb_at - self.granted_at

    @property
    def transfer(self) -> float | None:
        """Of the whole RDB: as measured, or by its pace so far; None if nothing shows it."""
        if self.rdb_at is None:
            return None
        if self.rdb_done_at is not None:
            return self.rdb_done_at - self.rdb_at
        if self.end is None or not self.rdb_bytes:
            return None
        elapsed = self.end.at - self.rdb_at
        total = self._size
        if total is not None and total > self.rdb_bytes:
            return elapsed * total / self.rdb_bytes
        if self.seconds_left is not None and self.moved_at is not None:
            return max(elapsed, self.moved_at - self.rdb_at + self.seconds_left)
        return None

    @property
    def load(self) -> float | None:
        """From the RDB's last byte to the first acknowledgement, or to the end without one; None if it was not loaded."""
        if self.rdb_done_at is None:
            return None
        if self.loaded_at is not None:
            return self.loaded_at - self.rdb_done_at
        return None if self.end is None or not self.is_unloaded else self.end.at - self.rdb_done_at

    @property
    def _size(self) -> int | None:
        """Of the RDB: as announced, or the memory that it is a picture of, which is rarely less."""
        if self.rdb is None:
            return None
        if self.rdb.size is not None:
            return self.rdb.size
        if self.seconds_left is not None:
            return None  # its keys tell more
        used = self.rdb.aux.get("used-mem", "")
        return int(used) if used.isascii() and used.isdigit() and len(used) < 20 else None
