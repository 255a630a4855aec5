"""What a replication connection can say: one small frozen object per fact.

The same vocabulary everywhere: these classes in Python, and their snake_case names and fields in the JSON that
as_dict() makes for `--ui json` and every other reader. No event holds more than it takes to say its fact; the bytes
of an RDB or of a stream are never collected here.
"""

import base64
import dataclasses
import enum
import functools
import json
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact about a link."""

    kind: ClassVar[str] = "event"

    # No zero-argument super() here: slots=True makes the class anew, and the cell would hold the old one.
    def __init_subclass__(cls) -> None:
        cls.kind = re.sub(r"(?<=.)([A-Z])", r"_\1", cls.__name__).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class WireEvent(Event):
    """A fact read from bytes start <= i < end of its direction, counted from the first byte of the connection."""

    start: int
    end: int


class Side(enum.Enum):
    """Who sent bytes, or who ended a link."""

    MASTER = "master"
    REPLICA = "replica"
    TAP = "tap"


class Role(enum.Enum):
    """What kind of peer opened the connection, decided by its first PSYNC or SYNC, or by the lack of one."""

    REPLICA = "replica"
    RDB_CHANNEL = "rdb_channel"  # the second connection of a two-connection full sync
    RDB_CLIENT = "rdb_client"  # takes the RDB and leaves, as redis-cli --rdb
    SYNC_CLIENT = "sync_client"  # SYNC without a name of its own, as redis-cli --replica
    SLOT_MIGRATION = "slot_migration"  # between nodes of a cluster: keys and then commands, in a protocol of its own
    DRAGONFLY = "dragonfly"  # replication between two Dragonfly servers, in a protocol of its own
    ORDINARY = "ordinary"  # a client, or a health check: no replication at all


class Transfer(enum.Enum):
    """How an RDB is delimited: `$<length>` or `$EOF:<mark>`."""

    DISK = "disk"
    DISKLESS = "diskless"


class Channel(enum.Enum):
    """Which connection of a sync carried the bytes. Only two-connection full syncs use RDB."""

    MAIN = "main"
    RDB = "rdb"


# ---- the connection itself (told by relay/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(Event):
    """A link's port is open: at the start, and again after a fault had closed it.

    address: "127.0.0.1:6400"; host and port are its parts, host "*" for every address of this machine. master: where its
    connections go, None where each is redirected and goes to where it was going.
    """

    address: str
    host: str
    port: int
    master: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterUnreachable(Event):
    """The command dialled the link's master at its start, and got no connection. text: why.

    The tap listens all the same, and dials again for each replica.
    """

    master: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsRefused(Event):
    """The tap did not let connections in: the first one is told at once, then every ten seconds how many.

    count: since the event before. peer: the last of them. limit: "max_connections", "max_connections_per_address", or
    "open_files", where the system allows fewer than that. most: what the limit is.
    """

    count: int
    peer: str
    limit: str
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOpened(Event):
    """A peer connected to the tap. The master is dialled next."""

    peer: str
    master: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured(Event):
    """One side's connection speaks TLS. What it says is read, and recorded, as the plain bytes inside.

    version: "TLSv1.3". cipher: by OpenSSL's name. certificate: whom that of the peer names; None if it gave none, or
    verified, whether it was checked, is false.
    """

    side: Side
    version: str
    cipher: str
    certificate: str | None
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkClosed(Event):
    """Both connections of the link are gone.

    by: whose doing it was. how: "fin", "reset", "timeout", "refused", "tls" or "error". text: the system's words, ""
    for an orderly end. role: what the peer was, None if that never showed. offset: the replication offset after the last
    byte passed on, None where there was none.
    """

    by: Side
    how: str
    text: str
    role: Role | None
    phase: str
    offset: int | None
    bytes_from_master: int
    bytes_from_replica: int


# ---- before the stream ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake(WireEvent):
    """One request of the replica and the first line of its reply. Secrets are masked. The range is the request's.

    request is empty for an error that the master sent unasked, as it does when it refuses a client at accept, and where
    it is not in the capture; reply is None where that is not. sent: what the master was sent in its place, None where
    that is the request itself. count: of unasked errors, how many have come since the last one told: they are told with
    the 1st, 10th, 100th and so on, and at the end of the connection.

    Words of a connection's requests are cut, with "..." at the place, once those before them took 8 KB of memory; so is
    the text of an error in reply, which might repeat a secret. Of an error in reply to
    a request with a secret no more than the first 1 KB is told.
    """

    request: tuple[str, ...]
    reply: str | None
    sent: tuple[str, ...] | None = None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified(WireEvent):
    """What the peer turned out to be, at the request that told.

    replica: the address it announces, or its source address with the announced port. main_connection: for an RDB
    channel, the number of the connection that it belongs to, where known.
    """

    role: Role
    replica: str
    text: str
    main_connection: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PsyncRequested(WireEvent):
    """replid: None for `?`. offset: the first stream byte asked for, -1 with `?`."""

    replid: str | None
    offset: int
    failover: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequested(WireEvent):
    """The request from before PSYNC; also what a replica falls back to after an error."""

    inline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive(WireEvent):
    """The first bare newline of a wait: the sender is alive and busy. Later ones of the same wait are not told."""

    side: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a full resync and not a partial one: a code for programs, a sentence with numbers for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FullResync(WireEvent):
    """The master will send an RDB, then the stream.

    replid: 40 hex digits, names the history that starts here. offset: that of the RDB; the first stream byte is
    offset + 1. Both None after SYNC, which announces neither.
    """

    replid: str | None
    offset: int | None
    reason: Reason
    channel: Channel = Channel.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialResync(WireEvent):
    """The master goes on where the replica stopped (+CONTINUE).

    replid: the history from here on. previous_replid: the one asked for, where it differs. previous_link: the name of
    the link to the master that wrote that one, where another has taken over. offset: what the replica had; the next
    stream byte is offset + 1. replid and offset are None where a capture lacks the request. bytes_behind: what the
    replica had missed; exact when the master writes nothing meanwhile, otherwise an estimate.
    """

    replid: str | None
    previous_replid: str | None
    previous_link: str | None = None
    offset: int | None
    bytes_behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResyncRefused(WireEvent):
    """PSYNC or SYNC was answered with an error; reply is the master's line."""

    reply: str


# ---- the RDB ----


@dataclass(frozen=True, slots=True, kw_only=True)
class RdbStarted(WireEvent):
    """The payload begins at end; told when what stands before its first key has passed.

    size: bytes, None when diskless. version: of the RDB, None if it is none. aux: what the writer says of itself
    ("redis-ver" or "valkey-ver", "used-mem", "repl-id", "repl-offset" and more).
    """

    transfer: Transfer
    size: int | None
    version: int | None
    aux: Mapping[str, str]
    channel: Channel = Channel.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class RdbProgress(WireEvent):
    """bytes of the payload, keys of the RDB, have passed; told at fixed steps of bytes, so whatever the chunking.

    keys_announced: as the writer counted them in the databases that have begun, 0 if it did not. bytes_per_second: so
    far. seconds_left: by size where it is known, else by keys; None where neither is.
    """

    bytes: int
    size: int | None
    keys: int
    keys_announced: int
    bytes_per_second: float | None
    seconds_left: float | None
    channel: Channel = Channel.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class RdbKey(WireEvent):
    """One key of the snapshot, told only when asked for. Fields as in tap.rdb.Key."""

    db: int
    key: bytes
    type: str
    encoding: str
    rdb_type: int
    serialized_bytes: int
    elements: int
    expires_at_ms: int | None
    freq: int | None
    idle_s: int | None
    channel: Channel = Channel.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class RdbProblem(WireEvent):
    """The RDB cannot be read on from here; its bytes still flow, and its end is still found.

    problem: "damaged", "unknown" (a version, type or opcode that this redis-tap does not know) or "truncated"; "missing"
    where a capture lacks bytes of it. text: what is wrong. position: in the RDB. keys: whole ones before. db, key: where
    it is, key None between keys.
    """

    problem: str
    text: str
    position: int
    keys: int
    db: int
    key: bytes | None
    channel: Channel = Channel.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeShare:
    """What the keys of one type have of an RDB."""

    keys: int
    bytes: int
    elements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeKey:
    """One of the largest keys of an RDB."""

    db: int
    key: bytes
    type: str
    serialized_bytes: int
    elements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RdbFinished(WireEvent):
    """The payload, start <= i < end without header and mark, is through. seconds: from its header to its last byte.

    keys, expiring, functions: how many it held. by_type: most bytes first. largest: keys by serialized bytes. checksum:
    "ok", "wrong", "disabled" by the writer, "absent" before RDB 5, "unread" after an RdbProblem.
    """

    transfer: Transfer
    bytes: int
    seconds: float
    keys: int
    expiring: int
    functions: int
    by_type: Mapping[str, TypeShare]
    largest: tuple[LargeKey, ...]
    checksum: str
    channel: Channel = Channel.MAIN


# ---- the stream ----


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStarted(WireEvent):
    """Commands flow from here on; the next byte has replication offset offset + 1.

    db: the database in force, None until a SELECT tells. buffered: bytes of the stream that already came while the
    RDB was still flowing on its own connection.
    """

    replid: str | None
    offset: int | None
    db: int | None
    buffered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one command name had of a batch."""

    count: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands(WireEvent):
    """Whole commands since the last batch. offset and db: those after the batch. by_name: upper-case names.

    in_transaction: the batch ends between MULTI and EXEC.
    """

    offset: int | None
    count: int
    bytes: int
    by_name: Mapping[str, Share]
    db: int | None
    in_transaction: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(WireEvent):
    """One command, told only when asked for. offset: after its last byte. name: upper-case. args: what follows the name.

    omitted_bytes: not 0 when the command was too large to be collected; args are then those that are whole in its first
    64 KB. Of what came in the RREPLAY of an active KeyDB, name and args are those inside, the bytes those of the wrapper;
    of several in one each has its share of them.
    """

    offset: int | None
    db: int | None
    name: str
    args: tuple[bytes, ...]
    in_transaction: bool
    omitted_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(WireEvent):
    """REPLCONF ACK. offset: applied by the replica. fsynced: in its AOF (FACK), None if not said.

    lag_bytes: passed on and not yet acknowledged. lag_seconds: from passing byte number offset on to this ACK if the
    offset has moved; otherwise the age of the oldest byte not acknowledged, 0.0 if there is none.
    """

    offset: int
    fsynced: int | None
    lag_bytes: int | None
    lag_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AckAheadOfMaster(WireEvent):
    """The replica acknowledges more than the master has sent it: one of them, or this tap, has counted wrongly.

    Told once for a connection. offset: acknowledged. sent: that of the master's last byte, as counted here; from here on
    the replication offset of this connection is unknown. by_fault: one has sent the replica more than the master did, so
    that the offset remains known.
    """

    offset: int
    sent: int
    by_fault: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaTalkedBack(WireEvent):
    """Behind the resync the replica sends what no replica should: to its master these are commands of a client.

    what: "reply", as +OK; "error", as -ERR ...; or "command". text: its first line, secrets masked. count: how many of
    that kind since the last one told: it is told with the 1st, 10th, 100th and so on, and at the end of the connection.
    """

    what: str
    text: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque(WireEvent):
    """Understanding of what side sends stopped at start; its bytes still flow and are counted."""

    side: Side
    reason: str


# ---- faults (told by faults/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultArmed(Event):
    """From now on the fault waits for its moment. fault: its name. spec: as one would write it. seed: of its draws."""

    fault: str
    spec: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFired(Event):
    """The fault did what it does, to a link.

    side: the direction, by who sends. position: in its bytes. offset: replication offset there, None where there is
    none. bytes: affected. count: how often; above 1 where it fires so fast that it is told summed up.
    """

    fault: str
    spec: str
    text: str
    side: Side
    phase: str
    position: int
    offset: int | None
    bytes: int
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultExpired(Event):
    """The fault is over: it has fired as often as it may, its time has passed, or it was removed.

    fired: how often it has, 0 if never. bytes: affected in all.
    """

    fault: str
    spec: str
    fired: int
    bytes: int


# ---- the recording (told by recording/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStopped(Event):
    """From now on bytes may be missing in the recording; all of them still flow. text: why."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingGap(WireEvent):
    """Bytes start <= i < end of side flowed and are not in the recording.

    from_offset, to_offset: the replication offsets before and after them, None where they are not of the stream.
    is_cut: a capture cut them off the end of a packet.
    """

    side: Side
    bytes: int
    from_offset: int | None
    to_offset: int | None
    is_cut: bool = False


# ---- who watches (told by observers/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverTrouble(Event):
    """An observer failed, or cannot keep up; no link is delayed.

    observer: its name, as "script alert.py" or "statsd 10.0.0.7:8125". text: what happened. traceback: of an exception in
    the observer's code, as Python writes it.
    """

    observer: str
    text: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped(Event):
    """Events that are missing at this place for one observer, which did not keep up. Its time is that of the first one.

    count: how many. by_kind: of which kinds, as {"command": 1200}.
    """

    count: int
    by_kind: Mapping[str, int]


def as_dict(event: Event) -> dict[str, Any]:
    """The event as JSON takes it: {"event": kind, field: value, ...}; see plain() for the values."""
    said: dict[str, Any] = {"event": event.kind}
    for field in dataclasses.fields(event):
        said[field.name] = plain(getattr(event, field.name))
    return said


def from_dict(said: Mapping[str, Any]) -> Event | None:
    """The event that as_dict() made this of; None for a kind that is none. What is there besides is left alone.

    Raises KeyError, TypeError or ValueError for one that cannot be. For events without bytes and mappings.
    """
    kind = _KINDS.get(said["event"])
    return None if kind is None else _made(kind, said)


_hints = functools.cache(typing.get_type_hints)


def _made(kind: Any, said: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    return kind(
        **{one.name: _valued(hints[one.name], said[one.name]) for one in dataclasses.fields(kind) if one.name in said}
    )


def _valued(kind: Any, value: Any) -> Any:
    if isinstance(kind, types.UnionType):
        return (
            None if value is None else _valued(next(one for one in typing.get_args(kind) if one is not type(None)), value)
        )
    if dataclasses.is_dataclass(kind):
        return _made(kind, value)
    if typing.get_origin(kind) is tuple:  # of any length, all of one kind
        return tuple(_valued(typing.get_args(kind)[0], one) for one in _valued(list, value))
    if issubclass(kind, enum.Enum):
        return kind(value)
    if not isinstance(value, (int, float) if kind is float else kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


BASE64 = "base64:"


def plain(value: Any) -> Any:
    """Bytes as as_text() tells them, dataclasses as objects, enums as values."""
    if isinstance(value, bytes):
        return as_text(value)
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [plain(inner) for inner in value]
    return value


def as_text(data: bytes) -> str:
    """A byte string as JSON has it: always a string, so that a column of them has one type. as_bytes() is the way back.

    UTF-8 is itself. What is no UTF-8, and what begins with "base64:", is "base64:" and the base64 of it.
    """
    try:
        said = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        if not said.startswith(BASE64):
            return said
    return BASE64 + base64.b64encode(data).decode()


def as_bytes(said: str) -> bytes:
    """The bytes that as_text() made this of. Raises ValueError for what it makes of none."""
    return base64.b64decode(said[len(BASE64) :], validate=True) if said.startswith(BASE64) else said.encode()


def json_line(said: Any) -> str:
    """JSON in one line, in which nothing stands that a terminal would not print."""
    line = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return line if line.isprintable() else _UNUSUAL.sub(_escaped, line)


_UNUSUAL = re.compile(r"[^ -~]")


def _escaped(match: re.Match[str]) -> str:
    """As RFC 8259, 7 has it."""
    character = match[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


_KEPT: tuple[type[Event], ...] = (
    LinkOpened,
    Secured,
    LinkClosed,
    Handshake,
    FullResync,
    PartialResync,
    FaultArmed,
    FaultFired,
    FaultExpired,
    RecordingStopped,
    RecordingGap,
    AckAheadOfMaster,
)
_KINDS = {kind.kind: kind for kind in _KEPT}

# All of them by name; the two bases say nothing of their own.
EVENTS: dict[str, type[Event]] = {
    one.kind: one
    for one in tuple(globals().values())
    if isinstance(one, type) and issubclass(one, Event) and one not in (Event, WireEvent)
}
