"""The events of a replication connection: one small frozen object for each fact.

One table, in the order of a connection's life; it grows by a row for each kind of fact, and holds no behaviour.

Python users get these classes; all others get JSON with the same fields and the classes' names in snake_case, from
as_dict(). An event holds no more than its fact; the bytes of an RDB or of a stream are never collected in one.
"""

import dataclasses
import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

# Users find these here, too: tap.events.as_text() writes what the fields of as_dict() hold.
from tap.replication.json_values import as_bytes as as_bytes
from tap.replication.json_values import as_text as as_text
from tap.replication.json_values import json_line as json_line
from tap.replication.json_values import made, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact about a link."""

    kind: ClassVar[str] = "event"

    # No zero-argument super() here: slots=True creates a second class, and the cell would hold the first one.
    def __init_subclass__(cls) -> None:
        cls.kind = re.sub(r"(?<=.)([A-Z])", r"_\1", cls.__name__).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class WireEvent(Event):
    """A fact read from bytes start <= i < end of one direction, counted from the first byte of the connection."""

    start: int
    end: int


class Side(enum.Enum):
    """The side that sent bytes, or that ended a link."""

    MASTER = "master"
    REPLICA = "replica"
    TAP = "tap"


class Role(enum.Enum):
    """The kind of peer that opened the connection, decided by its first PSYNC or SYNC, or by the lack of one."""

    REPLICA = "replica"
    RDB_CHANNEL = "rdb_channel"  # the second connection of a two-connection full sync
    RDB_CLIENT = "rdb_client"  # takes the RDB and leaves, as redis-cli --rdb
    SYNC_CLIENT = "sync_client"  # SYNC without an announced port, as redis-cli --replica
    SLOT_MIGRATION = "slot_migration"  # between nodes of a cluster: keys and then commands, in a protocol of its own
    DRAGONFLY = "dragonfly"  # replication between two Dragonfly servers, in a protocol of its own
    ORDINARY = "ordinary"  # a client or a health check: no replication


class Transfer(enum.Enum):
    """How an RDB is delimited: `$<length>` or `$EOF:<mark>`."""

    DISK = "disk"
    DISKLESS = "diskless"


class Channel(enum.Enum):
    """Which connection of a sync carried the bytes. Only two-connection full syncs use RDB."""

    MAIN = "main"
    RDB = "rdb"


# ---- the connection itself (reported by relay/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(Event):
    """A link's port is open: at the start, and again after a fault had closed it.

    address: for example "127.0.0.1:6400"; host and port are its parts, host "*" means every address of this machine.
    master: where the link's connections go; None for a transparent link, whose connections keep their own destinations.
    """

    address: str
    host: str
    port: int
    master: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningOver(Event):
    """A link's port is closed while the tap goes on.

    address: as in Listening. how: "removed" or "disabled", and its connections have ended; "moved" to the address of the
    Listening that follows.
    """

    address: str
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterUnreachable(Event):
    """At its start the command could not connect to the link's master. text: why.

    The tap listens nevertheless, and connects to the master again for each replica.
    """

    master: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsRefused(Event):
    """The tap refused connections. The first one is reported at once, further ones every ten seconds.

    count: since the previous event. peer: the last refused one. limit: "max_connections", "max_connections_per_address",
    or "open_files" if the system's limit of open files allows fewer. most: the limit's value.
    """

    count: int
    peer: str
    limit: str
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOpened(Event):
    """A peer connected to the tap. Next, the tap connects to the master."""

    peer: str
    master: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured(Event):
    """One side's connection uses TLS. The tap reads and records the decrypted bytes.

    version: for example "TLSv1.3". cipher: OpenSSL's name. verified: the peer's certificate was checked. certificate:
    the subject of that certificate; None if the peer has sent none, or verified is false.
    """

    side: Side
    version: str
    cipher: str
    certificate: str | None
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkClosed(Event):
    """Both connections of the link have ended.

    by: the side that ended them. how: "fin", "reset", "timeout", "refused", "tls" or "error". text: the system's words,
    "" for an orderly end. role: of the peer, None if unknown. offset: the replication offset after the last byte passed
    on, None if there was none. master_silence, replica_silence: seconds from that side's last byte to the end; None if
    none has come.
    """

    by: Side
    how: str
    text: str
    role: Role | None
    phase: str
    offset: int | None
    bytes_from_master: int
    bytes_from_replica: int
    master_silence: float | None = None
    replica_silence: float | None = None


# ---- before the stream ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake(WireEvent):
    """One request of the replica and the first line of its reply. Secrets are masked. start and end are the request's.

    request: empty for an error that the master sent without a request, as when it refuses a client on accept, and if a
    capture lacks the request. reply: None if a capture lacks it. sent: the request that the master received instead,
    None if it received this one. count: for errors without a request, how many have come since the last reported one;
    the 1st, 10th, 100th and so on are reported, and the last one when the connection ends.

    After 8 KB of a connection's requests, measured as memory, the words of further requests are cut, with "..." in place
    of the rest, and so are errors in reply to them, which might repeat a secret. Of an error in reply to a request with a
    secret, at most the first 1 KB is reported.
    """

    request: tuple[str, ...]
    reply: str | None
    sent: tuple[str, ...] | None = None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified(WireEvent):
    """The kind of peer, as shown by the request at start.

    replica: the announced address, or the source host with the announced port. main_connection: for an RDB channel, the
    number of its main connection, None if unknown.
    """

    role: Role
    replica: str
    text: str
    main_connection: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PsyncRequested(WireEvent):
    """The replica sent PSYNC. replid: None for `?`. offset: the first stream byte asked for, -1 with `?`."""

    replid: str | None
    offset: int
    failover: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequested(WireEvent):
    """The replica sent SYNC, the request older than PSYNC, to which replicas fall back after an error."""

    inline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive(WireEvent):
    """The first bare newline of a wait: the sender is alive and busy. Later ones of the same wait are not reported."""

    side: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a resync was a full one: a code for programs, and a sentence with numbers for people.

    text: what was observed. known_from: where: "wire"; "tap", if it made the replica ask; "master" or "log" if these were
    asked. causes: names of the causes that this allows; one alone is certain; empty if the code says it all. inference:
    these causes in words, and what would decide between them; "" if there is nothing to infer.
    """

    code: str
    text: str
    known_from: str = "wire"
    causes: tuple[str, ...] = ()
    inference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullResync(WireEvent):
    """The master will send an RDB, then the stream.

    replid: the 40 hexadecimal digits of the replication ID. offset: that of the RDB; the first stream byte has
    offset + 1. Both are None after SYNC, which announces neither.
    """

    replid: str | None
    offset: int | None
    reason: Reason
    channel: Channel = Channel.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialResync(WireEvent):
    """The master continues where the replica stopped (+CONTINUE).

    replid: the history from here on. previous_replid: the one asked for, if that is another one. previous_link: the name
    of the link to the master that wrote the previous history, if this link's master took over from it. offset: of the
    replica's last byte; the next stream byte has offset + 1. replid and offset are None if a capture lacks the request.

    bytes_behind: what the replica lacked; None where that is not known yet, as on the wire at this moment: CaughtUp
    reports it. bytes_behind_at_least: what this master had written beyond the offset, as connections had shown when the
    replica asked.
    """

    replid: str | None
    previous_replid: str | None
    previous_link: str | None = None
    offset: int | None
    bytes_behind: int | None
    bytes_behind_at_least: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp(WireEvent):
    """After a partial resync: all that the replica lacked when the master granted it has passed.

    bytes: how many it lacked; None if only bounds are known: at_least and at_most. start, end: the at_most bytes. offset:
    after them. seconds: from the grant until they had passed.

    known_from: what shows the upper bound: "wire" if the master paused; "link" if another connection to this master
    showed how much the master had written; "master" if the master said so itself. Not reported while nothing shows it.
    """

    offset: int | None
    bytes: int | None
    at_least: int
    at_most: int
    seconds: float
    known_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResyncRefused(WireEvent):
    """PSYNC or SYNC was answered with an error; reply is the master's line."""

    reply: str


# ---- the RDB ----


@dataclass(frozen=True, slots=True, kw_only=True)
class RdbStarted(WireEvent):
    """The payload begins at end; reported when everything before its first key has passed.

    size: bytes, None when diskless. version: of the RDB, None if it is not an RDB. aux: the writer's fields about itself
    ("redis-ver" or "valkey-ver", "used-mem", "repl-id", "repl-offset" and more).
    """

    transfer: Transfer
    size: int | None
    version: int | None
    aux: Mapping[str, str]
    channel: Channel = Channel.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class RdbProgress(WireEvent):
    """The progress of an RDB; reported at fixed byte positions, so independent of how the bytes are split.

    bytes: of the payload. keys_announced: the writer's count for the databases that have begun, 0 if it did not count.
    bytes_per_second: on average so far. seconds_left: estimated by size if that is known, else by keys; None if neither
    is known.
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
    """One key of the RDB; reported only on request. Fields as in tap.rdb.Key."""

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
    """The RDB cannot be parsed from here on; its bytes still flow, and its end is still found.

    problem: "damaged", "unknown" (a version, type or opcode that this redis-tap does not know), "truncated", or
    "missing" if a capture lacks bytes. text: what is wrong. position: in the RDB. keys: number of whole keys before. db,
    key: where the problem is; key is None between keys.
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
    """The share of one type's keys in an RDB."""

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
    """The payload, start <= i < end without header and mark, has passed. seconds: from its header to its last byte.

    keys, expiring, functions: how many the RDB held. by_type: most bytes first. largest: keys by serialized bytes.
    checksum: "ok", "wrong", "disabled" by the writer, "absent" before RDB 5, "unread" after an RdbProblem.
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

    db: the database in force, None if unknown until the next SELECT. buffered: bytes of the stream that arrived earlier,
    while the RDB was flowing on its own connection.
    """

    replid: str | None
    offset: int | None
    db: int | None
    buffered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of one command name in a batch."""

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
    """One command; reported only on request. offset: of its last byte. name: upper-case. args: the words after the name.

    omitted_bytes: the size of a command that was too large to be collected, else 0; args are then those that are whole
    in its first 64 KB. For a command in the RREPLAY of an active KeyDB, name and args are those of the inner command,
    start and end those of the wrapper; several commands in one wrapper divide its bytes among them.
    """

    offset: int | None
    db: int | None
    name: str
    args: tuple[bytes, ...]
    in_transaction: bool
    omitted_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(WireEvent):
    """REPLCONF ACK. offset: applied by the replica. fsynced: the offset in its AOF (FACK), None if not sent.

    lag_bytes: written by the master and not yet acknowledged; a lower bound if lag_at_least, see lag.py. lag_seconds: if
    the offset has advanced, the time since the byte with that offset was passed on; otherwise the age of the oldest byte
    not acknowledged, 0.0 if there is none.
    """

    offset: int
    fsynced: int | None
    lag_bytes: int | None
    lag_seconds: float | None
    lag_at_least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AckAheadOfMaster(WireEvent):
    """The replica acknowledges more than the master has sent: one of them, or this tap, has counted wrongly.

    Reported once for a connection. offset: acknowledged. sent: the offset of the master's last byte, as counted here; the
    replication offset of this connection is unknown from here on. by_fault: a fault has sent the replica additional
    bytes, which explains the difference; the offset then remains known.
    """

    offset: int
    sent: int
    by_fault: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaTalkedBack(WireEvent):
    """After the resync the replica sends what no replica should send: the master takes it for a client's command.

    what: "reply", as +OK; "error", as -ERR ...; or "command". text: the first line, secrets masked. count: how many of
    this kind since the last reported one; the 1st, 10th, 100th and so on are reported, and the last one when the
    connection ends.
    """

    what: str
    text: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque(WireEvent):
    """What *side* sends is not understood from *start* on; the bytes still flow and are counted."""

    side: Side
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent(Event):
    """One side has sent nothing for longer than it should, given the phase; SilentOver or LinkClosed ends that.

    side: which. seconds: since its last sign of life: any byte of the master, the replica's acknowledgement or newline.
    period: of the master's PINGs in seconds, as this master has shown; None for the replica, and until shown. offset: of
    the last byte from the master. lag_bytes, lag_at_least: see Ack. timeout_in: seconds until the master's repl-timeout
    ends the connection; None if unknown.
    """

    side: Side
    seconds: float
    period: float | None
    phase: str
    offset: int | None
    lag_bytes: int | None
    lag_at_least: bool
    timeout_in: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentOver(Event):
    """A side that was silent has sent something again. seconds: how long it had not."""

    side: Side
    seconds: float


# ---- the master's own word, if it is asked (reported by observers/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectFailed(Event):
    """The master of a link does not answer the tap's questions (--inspect); the link is not concerned. text: why.

    Reported once, until InspectBack.
    """

    master: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectBack(Event):
    """The master answers again. seconds: for how long it had not."""

    master: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectLacks(Event):
    """The user of --inspect may not run some commands: what these would show stays unknown. Reported once for each.

    commands: "INFO", "CLIENT LIST" or "CONFIG GET". text: the server's error, and what is unknown.
    """

    master: str
    commands: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure(Event):
    """The master's output buffer for a replica nears a limit of client-output-buffer-limit; PressureOver ends that.

    All but rdb_seconds_left is known from the master. limit: "hard", or "soft", which may be exceeded for soft_seconds.
    level: 60 or 90 percent; 0 if only the forecast says that the master will close. buffer, limit_bytes: bytes.
    write_rate: bytes per second that the master writes. seconds_to_close: until the master closes the connection, if the
    buffer keeps growing at this rate; None if it does not grow. Once a soft limit is exceeded, it is an upper bound: the
    buffer may have exceeded it before the first answer that shows so.

    rdb_seconds_left: that the transfer still needs, an estimate; None without one. needed: bytes of output buffer that
    would do until the RDB has passed, with a margin but without the time of its load; None if unknown.
    """

    limit: str
    level: int
    phase: str
    buffer: int
    limit_bytes: int
    soft_seconds: float
    write_rate: float | None
    seconds_to_close: float | None
    rdb_seconds_left: float | None
    needed: int | None
    known_from: str = "master"


@dataclass(frozen=True, slots=True, kw_only=True)
class PressureOver(Event):
    """A pressure is over. buffer: bytes, None if the connection has ended. peak: bytes. seconds: since Pressure.

    how: "back" below its level, or "closed" with the connection.
    """

    limit: str
    limit_bytes: int
    buffer: int | None
    peak: int
    seconds: float
    how: str


# ---- alerts (reported by verdict/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(Event):
    """A figure has passed a threshold of the operator's own (--alert); AlertOver ends that.

    rule: as the operator wrote it. figure: "lag", "silence", "buffer" or "resyncs". unit: of limit and value: "bytes",
    "seconds" or "resyncs". at_least: the value is a lower bound. known_from: see Lag. side: the silent one, None for
    other figures. seconds: for how long the figure has been too high.
    """

    rule: str
    figure: str
    unit: str
    limit: float
    value: float
    at_least: bool
    known_from: str
    side: Side | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOver(Event):
    """An alert has ended.

    rule, figure, unit, limit: see Alert. value: at the end, None if the connection has ended. peak: the highest value.
    at_least: the peak is a lower bound. seconds: for how long the figure was too high. how: "back" below the limit, or
    "closed" with its connection.
    """

    rule: str
    figure: str
    unit: str
    limit: float
    value: float | None
    peak: float
    at_least: bool
    seconds: float
    how: str


# ---- verdicts (reported by verdict/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Event):
    """The full resyncs of one replica follow one another, each of them ended in the same way: a loop.

    Reported with the third of them, and again with the 10th, 100th and so on, and when the cause turns out to be another
    one, or later rounds show that half as much again is needed. VerdictOver reports its end.

    cause: a name from tap.verdict.causes. count: full resyncs so far. period: seconds from one to the next, on average.
    by: the side that ended the last round, in this *phase*, after these *bytes* of the RDB (None if none had begun) and
    *seconds* from the grant.

    setting, value: what ends the loop; "" if no setting does. server: whose setting it is, "master" or "replica"; or
    which of them needs attention. at_least: the value is a lower bound, because what it is computed from was cut off or
    never seen. figures: the arithmetic, by name; units are in the names. assumed: the names of the figures that are
    estimates or assumptions, not measured. text: all of that, in words.

    alternatives: other causes that would look the same. decide: what would confirm the cause, or decide between all of
    them; "" if the cause is certain. known_from: "wire"; "tap" if this tap is the cause; "master" if its answers show it.
    present: what the setting is now, as the master says; "" if it is not asked.
    """

    cause: str
    count: int
    period: float
    by: Side
    phase: str
    bytes: int | None
    seconds: float
    server: str
    setting: str
    value: str
    figures: Mapping[str, float]
    text: str
    alternatives: tuple[str, ...] = ()
    decide: str = ""
    known_from: str = "wire"
    at_least: bool = False
    assumed: tuple[str, ...] = ()
    present: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictOver(Event):
    """A loop has ended.

    cause, count: as in the last Verdict, by now. how: "stream" if the replica has had its stream for longer than a round
    took; "gone" if it has not come back for so long that its next full resync would be another matter. seconds: from the
    first full resync to the beginning of this stream, or to the end of the last round.
    """

    cause: str
    count: int
    seconds: float
    how: str = "stream"


# ---- faults (reported by faults/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultArmed(Event):
    """A fault is armed: it waits for its moment. fault: its name. spec: as users write it. seed: of its random draws."""

    fault: str
    spec: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFired(Event):
    """A fault was applied to a link.

    side: the direction, named by its sender. position: in the bytes of that direction. offset: the replication offset
    there, None if there is none. bytes: affected. count: how often; more than 1 if the fault fires so fast that several
    times are reported as one event.
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
    """A fault is over: it has fired as often as allowed, its time has passed, or it was removed.

    fired: how often it has fired. bytes: affected in total.
    """

    fault: str
    spec: str
    fired: int
    bytes: int


# ---- a capture (reported by operate/watching/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching(Event):
    """From now on packets are read.

    source: the interface, file or pipe. ports: those that are captured; empty for a file or pipe.
    """

    source: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketsLost(Event):
    """The kernel dropped packets before they could be read, because the machine did not keep up.

    count: since the last such event. total: since the start. Which bytes are missing follows as recording_gap, except for
    connections whose packets were all dropped.
    """

    count: int
    total: int


# ---- the recording (reported by recorder/ and recording/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStopped(Event):
    """From now on bytes may be missing in the recording; all of them still flow. text: why."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverTrouble(Event):
    """A finished file of the recording could not be handed to the command of --on-rotate, or several wait for it.

    It is tried again until it succeeds, by a later run if need be. file: its name. text: why, with the last line that the
    command has written. attempts: failures in a row, of all files. waiting, waiting_bytes: files that have still to be
    handed over, this one included. retry_seconds: until the next attempt; None while the command runs.
    """

    file: str
    text: str
    attempts: int
    waiting: int
    waiting_bytes: int
    retry_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverResumed(Event):
    """After trouble, every finished file has been handed over. file: the last one's name."""

    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingMarked(Event):
    """Somebody has put a mark into the recording. note: what it says."""

    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingGap(WireEvent):
    """Bytes start <= i < end from *side* were sent and are not in the recording.

    from_offset, to_offset: the replication offsets before and after these bytes, None if the bytes are not of the stream.
    is_cut: the capture stored only the beginning of the packet. lacks: what is less well known in consequence: counts of
    "commands" and of "keys" are lower bounds, the "db" is unknown until the next SELECT, the "checksum" of the RDB is
    unknown, requests and replies of the "handshake" are missing, "acks" are missing.
    """

    side: Side
    bytes: int
    from_offset: int | None
    to_offset: int | None
    is_cut: bool = False
    lacks: tuple[str, ...] = ()


# ---- observers (reported by observers/) ----


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverTrouble(Event):
    """An observer failed, or cannot keep up; no link is delayed.

    observer: its name, such as "script alert.py" or "statsd 10.0.0.7:8125". text: what happened. traceback: for an
    exception in the observer's code, as Python prints it.
    """

    observer: str
    text: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped(Event):
    """Events are missing here for one observer, which did not keep up. The event's time is that of the first missing one.

    count: how many are missing. by_kind: their number by kind, for example {"command": 1200}.
    """

    count: int
    by_kind: Mapping[str, int]


def as_dict(event: Event) -> dict[str, Any]:
    """The event as an object for JSON: {"event": kind, field: value, ...}; see plain() for the values."""
    said: dict[str, Any] = {"event": event.kind}
    for field in dataclasses.fields(event):
        said[field.name] = plain(getattr(event, field.name))
    return said


def from_dict(said: Mapping[str, Any]) -> Event | None:
    """The inverse of as_dict(), for the kinds in _KEPT; None for any other kind. Unknown fields are ignored.

    Raises KeyError, TypeError or ValueError for missing fields and impossible values.
    """
    kind = _KINDS.get(said["event"])
    return None if kind is None else made(kind, said)


_KEPT: tuple[type[Event], ...] = (
    LinkOpened,
    Secured,
    LinkClosed,
    Handshake,
    FullResync,
    PartialResync,
    CaughtUp,
    Silent,
    SilentOver,
    Alert,
    AlertOver,
    Pressure,
    PressureOver,
    FaultArmed,
    FaultFired,
    FaultExpired,
    RecordingStopped,
    RecordingMarked,
    RecordingGap,
    AckAheadOfMaster,
)
_KINDS = {kind.kind: kind for kind in _KEPT}

# All events by name, without the two base classes.
EVENTS: dict[str, type[Event]] = {
    one.kind: one
    for one in tuple(globals().values())
    if isinstance(one, type) and issubclass(one, Event) and one not in (Event, WireEvent)
}
