"""How every link and connection stands at one moment: figures to show or to send, without a live object.

A *link* is a configured route ([links.name]). A *connection* is one replica's connection through it, with the one to the
master that belongs to it. Tap.status() collects one Status; the live view, StatsD and every other reader work from that,
so what they say agrees, and none of them holds on to a connection that has ended.

No byte moves while the event loop makes these records, so they have to be cheap. ConnectionStatus is a NamedTuple
because a frozen dataclass of this size takes five times as long to make, and the record of an ordinary client is made
again only after its bytes have moved. 10,000 idle clients take 6 ms; 10,000 replicas would take 60 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from tap.replication.conversation import Conversation
from tap.replication.events import Role
from tap.replication.phase import Phase
from tap.url import Address

OVERDUE_SECONDS = 2.5  # without an acknowledgement; replicas send one each second


@dataclass(frozen=True, slots=True)
class RdbStatus:
    """An RDB that a connection receives or has received.

    received: bytes so far. size: bytes in all; None while unknown (diskless). keys: read so far. announced: keys in the
        databases that have begun, as the RDB itself says.
    """

    received: int
    size: int | None
    keys: int
    announced: int


class ConnectionStatus(NamedTuple):
    """One connection of a replica with its master.

    number: counted by the tap from 1. link: name of the link, or the master's address on a transparent one.
    peer: the replica's source address. replica: the address that it announces, else its source address or host.
    master: address that was dialled; None if there is none to dial.
    opened: loop time at which the replica connected, in seconds.
    replid: replication ID of the history that flows. offset: of the last byte received from the master. acked: the last
        offset that the replica acknowledged. db: in force at the end of the stream. None: unknown.
    lag_bytes, lag_seconds: how far the replica is behind its master. See lag(). None: unknown.
    bytes_from_master, bytes_from_replica: received on this connection.
    stream_bytes: bytes of the stream so far; None before it begins.
    rdb: of this connection's sync, also if another connection carries it. None: none has begun.
    rdb_channel_bytes: received from the master on the connection that carries the RDB of this one's sync (Redis 8,
        Valkey 8); None if there is no such connection.
    """

    number: int
    link: str
    peer: str
    replica: str
    master: Address | None
    opened: float
    role: Role | None
    phase: Phase
    replid: str | None
    offset: int | None
    acked: int | None
    db: int | None
    lag_bytes: int | None
    lag_seconds: float | None
    bytes_from_master: int
    bytes_from_replica: int
    stream_bytes: int | None
    rdb: RdbStatus | None
    rdb_channel_bytes: int | None

    def is_current(self, conversation: Conversation) -> bool:
        """Whether the conversation, from which this was made, has nothing else to say. May be wrongly false.

        Only bytes of its own change anything on an ordinary connection. On others time does, and other connections.
        """
        return (
            self.phase is Phase.ORDINARY
            and self.bytes_from_replica == conversation.from_replica
            and self.bytes_from_master == conversation.from_master
        )


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """One configured link.

    address: where it listens. master: None for a transparent link, where each connection has its own.
    connections: those that are open, oldest first.
    """

    name: str
    address: Address
    master: Address | None
    connections: tuple[ConnectionStatus, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """A tap at one moment. time: seconds since the epoch. links: in the order of the configuration."""

    time: float
    links: tuple[LinkStatus, ...]

    @property
    def connections(self) -> list[ConnectionStatus]:
        """Of all links, oldest first."""
        found = [one for link in self.links for one in link.connections]
        return sorted(found, key=attrgetter("number")) if len(self.links) > 1 else found


def connection_status(
    conversation: Conversation,
    now: float,
    *,
    number: int,
    link: str,
    peer: str,
    master: Address | None,
    opened: float,
) -> ConnectionStatus:
    """The record of one connection. now: of the clock that the conversation is given its times in."""
    stream, channel = conversation.stream, conversation.rdb_channel
    payload = conversation.rdb if channel is None else channel.rdb
    rdb = acked = db = stream_bytes = lag_bytes = lag_seconds = None
    if payload is not None:
        rdb = RdbStatus(payload.received, payload.size, payload.summary.keys, payload.summary.announced)
    if stream is not None:
        acked, db, stream_bytes = stream.acked, stream.db, stream.received
        lag_bytes, lag_seconds = lag(conversation, now)
    return ConnectionStatus(
        number,
        link,
        peer,
        conversation.replica,
        master,
        opened,
        conversation.role,
        conversation.phase,
        conversation.replid,
        conversation.offset,
        acked,
        db,
        lag_bytes,
        lag_seconds,
        conversation.from_master,
        conversation.from_replica,
        stream_bytes,
        rdb,
        None if channel is None else channel.from_master,
    )


def lag(conversation: Conversation, now: float) -> tuple[int | None, float | None]:
    """Bytes and seconds by which the replica is behind its master; None: unknown.

    Between two acknowledgements these are the figures of the last one: what has passed since could not be acknowledged
    yet, and a lag that grew each second and fell back would mean nothing. Once the next one is overdue it is the replica
    that is late: everything that it has not acknowledged counts, and so does the time.
    """
    stream = conversation.stream
    if stream is None or stream.acked_at is None:
        return None, None
    silent = now - stream.acked_at
    if silent > OVERDUE_SECONDS:
        return stream.lag_bytes, silent
    return stream.acked_lag_bytes, stream.lag_seconds
