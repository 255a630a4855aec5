"""A summary of one connection in a recording."""

from __future__ import annotations

from dataclasses import dataclass

from tap.replication.events import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One connection, as it was when it or the recording ended.

    name, connection, replica: as in tap.bus.Told. peer, master: its two addresses. opened, closed: seconds since the
    epoch; None if not in the recording. role: None if unknown. replid: its last history. first_offset, last_offset:
    before the first byte of its stream, and after the last. replid and both offsets are None if unknown.
    """

    name: str
    connection: int
    replica: str
    peer: str
    master: str
    opened: float | None
    closed: float | None
    role: Role | None
    replid: str | None
    first_offset: int | None
    last_offset: int | None
    bytes_from_master: int
    bytes_from_replica: int
    full_resyncs: int
    partial_resyncs: int
