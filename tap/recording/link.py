"""What a recording holds of one connection, in a record."""

from __future__ import annotations

from dataclasses import dataclass

from tap.replication.events import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One connection, as it ended, or as it was when the recording did.

    name, connection, replica: as of tap.bus.Told. peer, master: the addresses that it is between. opened, closed:
    seconds since the epoch, None where that is not in the recording. role: None if that never showed. replid: the
    history at its end. first_offset, last_offset: before the first byte of its stream, and after the last. All three None
    if unknown.
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
