"""The state of every link and connection at one moment: figures to show or to send, without live objects.

A *link* is a configured route ([links.name]). A *connection* is one replica's connection through the link, together with
its connection to the master. Tap.status() creates one Status; the live view, StatsD and every other reader use that, so
their figures agree, and none of them keeps an ended connection alive.

No bytes are relayed while the event loop creates these records, so they have to be cheap. ConnectionStatus is a
NamedTuple because a frozen dataclass of this size takes five times as long to create, and the record of an ordinary
client is created again only after its bytes have moved. 10,000 idle clients take 6 ms, 10,000 replicas 42 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

from tap.replication.conversation import Conversation
from tap.replication.events import Role, Side
from tap.replication.inspected import Inspected
from tap.replication.lag import UNKNOWN, Lag
from tap.replication.phase import Phase
from tap.replication.silence import Silence
from tap.replication.tallied_times import TalliedTimes
from tap.url import Address


@dataclass(frozen=True, slots=True)
class RdbStatus:
    """An RDB that a connection receives or has received.

    received: bytes so far. size: bytes in total; None while unknown (diskless). keys: read so far. announced: keys in
        the databases that have begun, by the RDB's own count.
    """

    received: int
    size: int | None
    keys: int
    announced: int


class ConnectionStatus(NamedTuple):
    """One connection of a replica with its master.

    number: counted by the tap from 1. link: name of the link, or the master's address on a transparent one.
    peer: the replica's source address. replica: the announced address, else the source address or host.
    master: the address to which the tap connects; None if there is none.
    opened: loop time at which the replica connected, in seconds.
    replid: replication ID of the stream. offset: of the last byte received from the master. acked: the last offset that
        the replica acknowledged. db: in force at the end of the stream. None: unknown.
    lag_bytes, lag_seconds: how far the replica lags its master. None: unknown. lag_at_least, lag_known_from: whether
        lag_bytes is a lower bound, and what shows the master's end of it; see replication/lag.py.
    master_silence, replica_silence: seconds since that side's last sign of life; None if none is awaited. silent: the
        side that is silent for longer than it should be, see events.Silent; None if neither is. timeout_in: seconds until
        the master ends the connection for that, None if unknown. is_held: a fault holds bytes of the connection.
    is_blocked: the replica takes no more at present, so the master is not read.
    is_stalled: a fault stalls the master's bytes.
    has_ended: a side has sent FIN, or its socket is gone.
    tap_address: of the tap on the connection to the master, as in its CLIENT LIST; None while there is none.
    buffer_bytes: in the master's output buffer for this replica, as the master says; None if it is not asked.
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
    lag_at_least: bool = False
    lag_known_from: str = "wire"
    master_silence: float | None = None
    replica_silence: float | None = None
    silent: Side | None = None
    timeout_in: float | None = None
    is_held: bool = False
    buffer_bytes: int | None = None
    is_blocked: bool = False
    is_stalled: bool = False
    has_ended: bool = False
    tap_address: tuple[str, int] | None = None

    def is_current(self, conversation: Conversation) -> bool:
        """Whether the record is still right for its conversation. May be false although it is.

        An ordinary connection changes only with its own bytes; any other also with time and other connections.
        """
        return (
            self.phase is Phase.ORDINARY
            and self.bytes_from_replica == conversation.from_replica
            and self.bytes_from_master == conversation.from_master
        )


@dataclass(frozen=True, slots=True)
class Distribution:
    """Observations of a histogram. counts: in each of its buckets, and beyond the last one. sum: of their values."""

    counts: tuple[int, ...]
    sum: float

    @classmethod
    def of(cls, times: TalliedTimes) -> Distribution:
        return cls(tuple(times.counts), times.seconds)

    @property
    def cumulative(self) -> tuple[int, ...]:
        """Observations up to each bound; the last figure is that of all."""
        return tuple(accumulate(self.counts))


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """One configured link.

    address: the listening address; without host and port where packets are only watched. master: None for a transparent
    link, where each connection has its own.
    connections: the open ones, oldest first. inspected: what the master said of itself last, inspected_age seconds ago;
    None if it is not asked, or has not answered yet. ordinary, omitted: numbers of ordinary connections, and of others,
    that are open and not in *connections*, because only some were asked for. is_enabled: see LinkConfig.enabled.
    ack_times, load_times: of all replicas that the link has had, see replication/tallied_times.py; None where nothing
    counts them.
    """

    name: str
    address: Address
    master: Address | None
    connections: tuple[ConnectionStatus, ...]
    inspected: Inspected | None = None
    inspected_age: float | None = None
    ordinary: int = 0
    omitted: int = 0
    is_enabled: bool = True
    ack_times: Distribution | None = None
    load_times: Distribution | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A tap at one moment. time: seconds since the epoch. links: in the order of the configuration."""

    time: float
    links: tuple[LinkStatus, ...]

    @property
    def connections(self) -> list[ConnectionStatus]:
        """The connections of all links, oldest first."""
        found = [one for link in self.links for one in link.connections]
        return sorted(found, key=attrgetter("number")) if len(self.links) > 1 else found


class AlertFigures(NamedTuple):
    """What alerts compare of one connection, as in ConnectionStatus; the figures that none compares are unknown."""

    link: str
    number: int
    replica: str
    lag: Lag = UNKNOWN
    master_silence: float | None = None
    replica_silence: float | None = None
    buffer_bytes: int | None = None


def lag_of(conversation: Conversation, silence: Silence | None, now: float) -> Lag:
    """How far the replica of a connection lags its master; UNKNOWN before its stream. silence: of this connection."""
    if conversation.stream is None:
        return UNKNOWN
    lag = conversation.stream.lag(now)
    return lag if silence is None else silence.bounded(lag)


def connection_status(
    conversation: Conversation,
    now: float,
    *,
    number: int,
    link: str,
    peer: str,
    master: Address | None,
    opened: float,
    silence: Silence | None = None,
    is_held: bool = False,
    buffer_bytes: int | None = None,
    is_blocked: bool = False,
    is_stalled: bool = False,
    has_ended: bool = False,
    tap_address: tuple[str, int] | None = None,
) -> ConnectionStatus:
    """The record of one connection. now: on the clock of the conversation's times. The others: see ConnectionStatus."""
    stream, channel = conversation.stream, conversation.rdb_channel
    payload = conversation.rdb if channel is None else channel.rdb
    rdb = acked = db = stream_bytes = None
    lag = UNKNOWN
    if payload is not None:
        rdb = RdbStatus(payload.received, payload.size, payload.summary.keys, payload.summary.announced)
    if stream is not None:
        acked, db, stream_bytes = stream.acked, stream.db, stream.received
        lag = lag_of(conversation, silence, now)
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
        lag.bytes,
        lag.seconds,
        conversation.from_master,
        conversation.from_replica,
        stream_bytes,
        rdb,
        None if channel is None else channel.from_master,
        lag.at_least,
        lag.known_from,
        None if silence is None else silence.seconds(Side.MASTER, now),
        None if silence is None else silence.seconds(Side.REPLICA, now),
        None if silence is None else silence.silent,
        None if silence is None else silence.timeout_in(now),
        is_held,
        buffer_bytes,
        is_blocked,
        is_stalled,
        has_ended,
        tap_address,
    )
