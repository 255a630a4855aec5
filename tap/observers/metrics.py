"""What a tap measures: counters, gauges and histograms, each declared once in METRICS. series.py has their values.

Labels are declared with each metric. A system without labels writes one of them into the name, and adds up the series
that this makes equal: counters by their sum, gauges by their maximum.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tap.replication import events
from tap.replication.events import Event
from tap.replication.tallied_times import ACK_BOUNDS, SYNC_BOUNDS
from tap.status import ConnectionStatus, LinkStatus

Kind = Literal["counter", "gauge", "histogram"]
Unit = Literal["", "bytes", "seconds"]

LINK, REPLICA = "link", "replica"
OTHER = "other"  # the value of a label in place of those beyond MAX_SERIES


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Metric:
    """The declaration of a metric, compared by identity.

    name: without a prefix, and without a suffix for its unit. help: one clause. labels: their names: LINK and REPLICA
    first, if the metric has them, then at most one of its own.
    """

    kind: ClassVar[Kind]
    name: str
    help: str
    unit: Unit = ""
    labels: tuple[str, ...] = (LINK,)

    @property
    def own_label(self) -> str | None:
        """The label that distinguishes series of one link and replica."""
        return next((one for one in self.labels if one not in (LINK, REPLICA)), None)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Counter(Metric):
    """A number that only grows.

    event: counted with each event of this class; None: Metrics calculates it. amount: how much an event adds. value: of
    the own label, from an event.
    """

    kind = "counter"
    event: type[Event] | None = None
    amount: Callable[[Any], int] = lambda event: 1
    value: Callable[[Any], str] | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Gauge(Metric):
    """A number of this moment. of: reads it from a connection, of_link: from a link; None if unknown.

    Without both, Metrics calculates it.
    """

    kind = "gauge"
    of: Callable[[ConnectionStatus], float | None] | None = None
    of_link: Callable[[LinkStatus], float | None] | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Histogram(Metric):
    """Observations by size. buckets: their inclusive upper bounds, ascending; one more bucket takes larger values.

    is_tallied: connections count the observations themselves, and none is known one by one.
    """

    kind = "histogram"
    buckets: tuple[float, ...]
    is_tallied: bool = False


def _refusal(reply: str) -> str:
    """The code of an error, as "loading" of "-LOADING Redis is loading the dataset in memory"."""
    code = re.match(r"-([A-Z]{1,32})\b", reply)
    return OTHER if code is None else code[1].lower()


def _is_silent(connection: ConnectionStatus) -> int | None:
    if connection.silent is None and connection.master_silence is None and connection.replica_silence is None:
        return None  # nothing is awaited
    return int(connection.silent is not None)


BYTES_FROM_MASTER = Counter(name="bytes_from_master", help="all bytes received from the master", unit="bytes")
BYTES_FROM_REPLICA = Counter(name="bytes_from_replica", help="all bytes received from replicas", unit="bytes")
CONNECTIONS = Gauge(name="connections", help="open connections")
VERDICTS = Gauge(
    name="verdicts",
    help="replicas in a loop of full resyncs, by its cause, as in `verdict`; from the first one on",
    labels=(LINK, "cause"),
)
LOST_BYTES = Gauge(
    name="recording_lost_bytes",
    help="bytes missing from the recording because the disk could not keep up; only with `-w`",
    unit="bytes",
    labels=(),
)
RDB_TIME = Histogram(
    name="rdb_time", help="duration of an RDB, from its header to its last byte", unit="seconds", buckets=SYNC_BOUNDS
)
FULL_RESYNC_TIME = Histogram(
    name="full_resync_time",
    help="duration of a full resync, from the connection to the beginning of the stream",
    unit="seconds",
    buckets=SYNC_BOUNDS,
)
PARTIAL_RESYNC_TIME = Histogram(
    name="partial_resync_time",
    help="duration of a partial resync, from the connection to the beginning of the stream",
    unit="seconds",
    buckets=SYNC_BOUNDS,
)
ACK_LAG = Histogram(
    name="ack_lag",
    help="from the moment when bytes of the stream pass the tap until the replica acknowledges them; at each "
    "acknowledgement of something new",
    unit="seconds",
    buckets=ACK_BOUNDS,
    is_tallied=True,
)
SYNC_PHASE = Histogram(
    name="sync_phase",
    help="durations of the phases of resyncs: `handshake` up to PSYNC, `waiting` for the RDB, `rdb`, and `loading` from "
    "its last byte to the first acknowledgement",
    unit="seconds",
    labels=(LINK, "phase"),
    buckets=SYNC_BOUNDS,
)
CATCH_UP_TIME = Histogram(
    name="catch_up_time",
    help="from the grant of a partial resync until all that the replica lacked had passed, as in `caught_up`",
    unit="seconds",
    buckets=SYNC_BOUNDS,
)

METRICS: tuple[Metric, ...] = (
    Counter(name="connections_opened", help="connections to the tap", event=events.LinkOpened),
    Counter(
        name="connections_closed",
        help="connections that have ended, by how they did, as in `link_closed`",
        labels=(LINK, "how"),
        event=events.LinkClosed,
        value=lambda event: event.how,
    ),
    Counter(
        name="connections_refused",
        help="connections refused because of a limit",
        event=events.ConnectionsRefused,
        amount=lambda event: event.count,
    ),
    Counter(
        name="full_resyncs",
        help="full resyncs, by the code of their reason",
        labels=(LINK, REPLICA, "reason"),
        event=events.FullResync,
        value=lambda event: event.reason.code,
    ),
    Counter(
        name="partial_resyncs",
        help="partial resyncs",
        labels=(LINK, REPLICA),
        event=events.PartialResync,
    ),
    Counter(
        name="resyncs_refused",
        help="resyncs that the master refused, by the code of its error, such as `loading`",
        labels=(LINK, "code"),
        event=events.ResyncRefused,
        value=lambda event: _refusal(event.reply),
    ),
    Counter(
        name="commands",
        help="commands of the stream, counted for each replica",
        labels=(LINK, REPLICA),
        event=events.Commands,
        amount=lambda event: event.count,
    ),
    Counter(
        name="command_bytes",
        help="bytes of these commands",
        unit="bytes",
        labels=(LINK, REPLICA),
        event=events.Commands,
        amount=lambda event: event.bytes,
    ),
    BYTES_FROM_MASTER,
    BYTES_FROM_REPLICA,
    Counter(
        name="faults_fired",
        help="how often each fault fired, by its name",
        labels=(LINK, "fault"),
        event=events.FaultFired,
        amount=lambda event: event.count,
        value=lambda event: event.fault,
    ),
    Counter(name="opaque", help="sides of connections that the tap stopped parsing, as in `opaque`", event=events.Opaque),
    Counter(
        name="rdb_problems",
        help="RDBs that could not be read, as in `rdb_problem`",
        labels=(LINK, "problem"),
        event=events.RdbProblem,
        value=lambda event: event.problem,
    ),
    Counter(
        name="silences",
        help="times a side was silent for longer than it should be, as in `silent`: `master` or `replica`",
        labels=(LINK, "side"),
        event=events.Silent,
        value=lambda event: event.side.value,
    ),
    Counter(
        name="alerts",
        help="times a figure passed a threshold of `--alert`, as in `alert`: `lag`, `silence`, `buffer` or `resyncs`",
        labels=(LINK, REPLICA, "figure"),
        event=events.Alert,
        value=lambda event: event.figure,
    ),
    Counter(
        name="alerts_over",
        help="alerts that have ended, as in `alert_over`; `alerts` less these are in force",
        labels=(LINK, REPLICA, "figure"),
        event=events.AlertOver,
        value=lambda event: event.figure,
    ),
    Counter(
        name="pressures",
        help="times the master's output buffer for a replica neared its limit, as in `pressure`: `hard` or `soft`",
        labels=(LINK, REPLICA, "limit"),
        event=events.Pressure,
        value=lambda event: event.limit,
    ),
    Counter(
        name="ack_ahead_of_master",
        help="replicas that acknowledged more than was sent, as in `ack_ahead_of_master`",
        event=events.AckAheadOfMaster,
    ),
    Counter(
        name="replica_talked_back",
        help="times a replica sent its master what none should, by what it was: `reply`, `error` or `command`",
        labels=(LINK, "what"),
        event=events.ReplicaTalkedBack,
        amount=lambda event: event.count,
        value=lambda event: event.what,
    ),
    CONNECTIONS,
    VERDICTS,
    Gauge(
        name="offset",
        help="the replication offset of the last byte received from the master",
        labels=(LINK, REPLICA),
        of=lambda connection: connection.offset,
    ),
    Gauge(
        name="lag_bytes",
        help="how far the replica lags its master, in bytes; grows while an ACK is overdue",
        unit="bytes",
        labels=(LINK, REPLICA),
        of=lambda connection: connection.lag_bytes,
    ),
    Gauge(
        name="lag_at_least",
        help="1 while `lag_bytes` is a lower bound, because the tap cannot see all that the master has written; else 0",
        labels=(LINK, REPLICA),
        of=lambda connection: None if connection.lag_bytes is None else int(connection.lag_at_least),
    ),
    Gauge(
        name="lag_seconds",
        help="how far the replica lags its master, in time; grows while an ACK is overdue",
        unit="seconds",
        labels=(LINK, REPLICA),
        of=lambda connection: connection.lag_seconds,
    ),
    Gauge(
        name="master_silence",
        help="time since the master's last byte, where one is awaited",
        unit="seconds",
        labels=(LINK, REPLICA),
        of=lambda connection: connection.master_silence,
    ),
    Gauge(
        name="replica_silence",
        help="time since the replica's last acknowledgement, where one is awaited",
        unit="seconds",
        labels=(LINK, REPLICA),
        of=lambda connection: connection.replica_silence,
    ),
    Gauge(
        name="output_buffer",
        help="the master's output buffer for the replica, as the master says; only with `--inspect`",
        unit="bytes",
        labels=(LINK, REPLICA),
        of=lambda connection: connection.buffer_bytes,
    ),
    Gauge(
        name="output_buffer_limit",
        help="the lower limit of the master's `client-output-buffer-limit` for replicas; only with `--inspect`",
        unit="bytes",
        of_link=lambda link: (
            None if link.inspected is None or link.inspected.limit is None else link.inspected.limit.least
        ),
    ),
    Gauge(
        name="silent",
        help="1 while a side of the connection is silent for longer than it should be, as in `silent`; else 0",
        labels=(LINK, REPLICA),
        of=_is_silent,
    ),
    LOST_BYTES,
    Counter(
        name="recording_stops",
        help="times the recording began to lack bytes, as in `recording_stopped`",
        labels=(),
        event=events.RecordingStopped,
    ),
    RDB_TIME,
    FULL_RESYNC_TIME,
    PARTIAL_RESYNC_TIME,
    CATCH_UP_TIME,
    SYNC_PHASE,
    ACK_LAG,
)
