"""The JSON of links and connections: the status record's own fields, with addresses as text and times since the epoch."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, Field

from tap.control.ledger import Ledger, LinkLedger
from tap.replication.inspected import Inspected
from tap.replication.json_values import plain
from tap.status import ConnectionStatus, LinkStatus
from tap.url import Address


class RdbAnswer(BaseModel):
    """An RDB that a connection receives or has received."""

    received: int = Field(description="Bytes so far")
    size: int | None = Field(description="Bytes in total; null while unknown (diskless)")
    keys: int = Field(description="Read so far")
    announced: int = Field(description="Keys in the databases that have begun, by the RDB's own count")


class ConnectionAnswer(BaseModel):
    """One connection of a replica with its master. Null: unknown."""

    number: int = Field(description="Counted by the tap from 1")
    link: str = Field(description="Name of the link, or the master's address on a transparent one")
    peer: str = Field(description="The replica's source address")
    replica: str = Field(description="The announced address, else the source address")
    master: str | None = Field(description="The address to which the tap connects")
    opened: float = Field(description="When the replica connected, in seconds since the epoch")
    role: str | None = Field(description="replica, rdb_channel and so on")
    phase: str = Field(description="handshake, waiting, rdb, loading, stream and so on")
    replid: str | None = Field(description="Replication ID of the stream")
    offset: int | None = Field(description="Replication offset of the last byte received from the master")
    acked: int | None = Field(description="The last offset that the replica acknowledged")
    db: int | None = Field(description="In force at the end of the stream")
    lag_bytes: int | None = Field(description="How many bytes the replica lags its master")
    lag_seconds: float | None = Field(description="For how long it has lagged")
    lag_at_least: bool = Field(description="Whether lag_bytes is a lower bound")
    lag_known_from: str = Field(description="What shows the master's end of the lag: wire, master and so on")
    bytes_from_master: int = Field(description="Received on this connection")
    bytes_from_replica: int = Field(description="Received on this connection")
    stream_bytes: int | None = Field(description="Bytes of the stream so far; null before it begins")
    rdb: RdbAnswer | None = Field(description="Of this connection's sync, also if another connection carries it")
    rdb_channel_bytes: int | None = Field(description="Received on the connection that carries this one's RDB")
    master_silence: float | None = Field(description="Seconds since the master's last sign of life, if one is awaited")
    replica_silence: float | None = Field(description="Seconds since the replica's last sign of life, if one is awaited")
    silent: str | None = Field(description="The side that is silent for longer than it should be: master, replica")
    timeout_in: float | None = Field(description="Seconds until the master ends the connection for that")
    is_held: bool = Field(description="A fault holds bytes of the connection")
    is_blocked: bool = Field(description="The replica takes no more at present, so the master is not read")
    is_stalled: bool = Field(description="A fault stalls the master's bytes")
    has_ended: bool = Field(description="A side has sent FIN, or its socket is gone")
    buffer_bytes: int | None = Field(description="In the master's output buffer for this replica, if it is asked")
    tap_address: str | None = Field(description="Of the tap on the connection to the master, as in its CLIENT LIST")


class CountsAnswer(BaseModel):
    """Resyncs of a link."""

    full_resync: int
    partial_resync: int
    resync_refused: int


class LinkAnswer(BaseModel):
    """One configured link and its open connections."""

    name: str
    address: str = Field(description="Where it listens")
    master: str | None = Field(description="null for a transparent link, where each connection has its own")
    is_enabled: bool = Field(description="false: it is kept for later, without a port and without connections")
    is_listening: bool = Field(description="false while it is disabled, or a fault keeps the port closed")
    connections: list[ConnectionAnswer] = Field(description="Of replicas, oldest first")
    ordinary: int = Field(description="Number of open ordinary connections, which are not listed")
    omitted: int = Field(description="Number of other open connections that are not listed; see connections=")
    inspected: dict[str, Any] | None = Field(description="What the master said of itself last; null without --inspect")
    inspected_age: float | None = Field(description="How many seconds ago that was")
    verdicts: list[dict[str, Any]] = Field(description="Loops of full resyncs that are not over, as events `verdict`")
    resyncs: CountsAnswer = Field(description="How many there were since the API opened")
    last_resync: dict[str, Any] | None = Field(description="The last one, as in /v1/resyncs")


class LinksAnswer(BaseModel):
    time: float = Field(description="Seconds since the epoch")
    links: list[LinkAnswer] = Field(description="In the order of the configuration")


def connection_json(status: ConnectionStatus, now: float, monotonic: float) -> dict[str, Any]:
    """now: seconds since the epoch. monotonic: the same moment on the loop's clock."""
    said = status._asdict()
    said["master"] = None if status.master is None else str(status.master)
    said["opened"] = now - (monotonic - status.opened)
    said["role"] = None if status.role is None else status.role.value
    said["phase"] = status.phase.value
    said["silent"] = None if status.silent is None else status.silent.value
    said["rdb"] = None if status.rdb is None else plain(status.rdb)
    place = status.tap_address
    said["tap_address"] = None if place is None else str(Address(*place))
    return said


def link_json(
    status: LinkStatus, *, is_listening: bool, verdicts: list[dict[str, Any]], ledger: Ledger
) -> dict[str, Any]:
    now, monotonic = time.time(), time.monotonic()
    return {
        "name": status.name,
        "address": str(status.address),
        "master": None if status.master is None else str(status.master),
        "is_enabled": status.is_enabled,
        "is_listening": is_listening,
        "connections": [connection_json(one, now, monotonic) for one in status.connections],
        "ordinary": status.ordinary,
        "omitted": status.omitted,
        "inspected": None if status.inspected is None else _inspected(status.inspected),
        "inspected_age": status.inspected_age,
        "verdicts": verdicts,
        "resyncs": counts_json(ledger.links.get(status.name, LinkLedger())),
        "last_resync": next((one for one in reversed(ledger.resyncs) if one["link"] == status.name), None),
    }


def counts_json(ledger: LinkLedger) -> dict[str, int]:
    return {kind: ledger.resyncs[kind] for kind in CountsAnswer.model_fields}


def _inspected(inspected: Inspected) -> dict[str, Any]:
    """Without the times, which are the loop's, and with addresses as text."""
    buffers, limit = inspected.buffers, inspected.limit
    differ = ("asked", "at", "buffers", "limit", "settings")
    return {
        **{one.name: getattr(inspected, one.name) for one in fields(inspected) if one.name not in differ},
        "buffers": None
        if buffers is None
        else {str(Address(host, port)): size for (host, port), size in buffers.items()},
        "limit": None if limit is None else limit._asdict(),
        "settings": dict(inspected.settings),
    }
