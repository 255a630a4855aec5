"""What a tap measures: counters, gauges and histograms, each declared once, and their values.

METRICS is the table of declarations. Metrics fills them: counters and histograms from events as they happen, gauges
from the Status of the moment. A renderer writes samples() in the format of one system and calculates nothing:

    events, one by one ---> Metrics.event() --.
                                               >-- samples() ---> statsd.py
    Status, at intervals -> Metrics.read() ---'

Counters and histograms only grow, as Prometheus wants them; a renderer for a system that wants increments, such as
StatsD, remembers what it has sent. Labels are declared with each metric. A system without labels writes one of them into
the name, and adds up the series that this makes equal: counters by their sum, gauges by their maximum.

Peers choose some of the values of labels: the code of a master's error, the port that a replica connects from, on a
transparent link even the link. So each metric keeps a limited number of series, and counts the rest under OTHER.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, Literal, NamedTuple

from tap.bus import Told
from tap.replication import events
from tap.replication.events import Event
from tap.status import ConnectionStatus, Status

Kind = Literal["counter", "gauge", "histogram"]
Unit = Literal["", "bytes", "seconds"]

LINK, REPLICA = "link", "replica"
OTHER = "other"  # the value of a label in place of those beyond MAX_SERIES
MAX_SERIES = 1000  # of one metric, before its next label is given up
# Upper bounds in seconds: a partial resync takes milliseconds, an RDB of many gigabytes an hour.
TIMES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)


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
    """A number of this moment. of: reads it from a connection, None if unknown; without *of*, Metrics calculates it."""

    kind = "gauge"
    of: Callable[[ConnectionStatus], float | None] | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Histogram(Metric):
    """Observations by size. buckets: their inclusive upper bounds, ascending; one more bucket takes larger values."""

    kind = "histogram"
    buckets: tuple[float, ...]


def _refusal(reply: str) -> str:
    """The code of an error, as "loading" of "-LOADING Redis is loading the dataset in memory"."""
    code = re.match(r"-([A-Z]{1,32})\b", reply)
    return OTHER if code is None else code[1].lower()


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
    name="rdb_time", help="duration of an RDB, from its header to its last byte", unit="seconds", buckets=TIMES
)
FULL_RESYNC_TIME = Histogram(
    name="full_resync_time",
    help="duration of a full resync, from the connection to the beginning of the stream",
    unit="seconds",
    buckets=TIMES,
)
PARTIAL_RESYNC_TIME = Histogram(
    name="partial_resync_time",
    help="duration of a partial resync, from the connection to the beginning of the stream",
    unit="seconds",
    buckets=TIMES,
)
CATCH_UP_TIME = Histogram(
    name="catch_up_time",
    help="from the grant of a partial resync until all that the replica lacked had passed, as in `caught_up`",
    unit="seconds",
    buckets=TIMES,
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
    LOST_BYTES,
    RDB_TIME,
    FULL_RESYNC_TIME,
    PARTIAL_RESYNC_TIME,
    CATCH_UP_TIME,
)

_COUNTED: dict[type[Event], list[Counter]] = {}  # by event, in the order of METRICS
for _metric in METRICS:
    if isinstance(_metric, Counter) and _metric.event is not None:
        _COUNTED.setdefault(_metric.event, []).append(_metric)
_MEASURED = [one for one in METRICS if isinstance(one, Gauge) and one.of is not None]
_RESYNC_TIMES = {events.FullResync: FULL_RESYNC_TIME, events.PartialResync: PARTIAL_RESYNC_TIME}


@dataclass(frozen=True, slots=True)
class Distribution:
    """The observations of a histogram. counts: in each of its buckets, and beyond the last one. sum: of their values."""

    counts: tuple[int, ...]
    sum: float

    @property
    def cumulative(self) -> tuple[int, ...]:
        """Observations up to each bound; the last figure is that of all."""
        return tuple(accumulate(self.counts))


class Sample(NamedTuple):
    """The value of one series. labels: values, in the order of the metric's labels."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Distribution


class _Growing:
    """A Distribution that grows."""

    __slots__ = ("counts", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.sum = 0.0


class Metrics:
    """The values of METRICS for one tap."""

    def __init__(
        self,
        links: Sequence[str],
        *,
        observed: Callable[[Histogram, tuple[str, ...], float], None] = lambda histogram, labels, value: None,
    ) -> None:
        """links: names of the links that have metrics even without a connection.

        observed: called with each observation of a histogram, for systems that take them one by one.
        """
        self._links = links
        self._observed = observed
        self._counts: dict[tuple[Counter, tuple[str, ...]], int] = {}
        self._gauges: dict[tuple[Gauge, tuple[str, ...]], float] = {}
        self._observations: dict[tuple[Histogram, tuple[str, ...]], _Growing] = {}
        self._series = Tally[Metric]()  # number of series of each counter and histogram
        self._connected: set[str] = set()  # links that had connections at the last read()
        self._loops: dict[tuple[str, str], str] = {}  # causes, by link and replica
        self._causes: dict[tuple[str, str], None] = {}  # links and causes with a gauge
        # By connection, while it lasts:
        self._passed: dict[int, tuple[int, int]] = {}  # bytes from master and replica that are counted already
        self._opened: dict[int, float] = {}  # when, in seconds since the epoch
        self._granted: dict[int, Histogram] = {}  # takes the time at which the stream begins

    def event(self, told: Told) -> None:
        """Count an event."""
        event, link, connection = told.event, told.link, told.connection
        for counter in _COUNTED.get(type(event), ()):
            labels = [link]
            if REPLICA in counter.labels:
                labels.append(told.replica)
            if counter.value is not None:
                labels.append(counter.value(event))
            self._count(counter, tuple(labels), counter.amount(event))
        if isinstance(event, events.LinkOpened):
            self._opened[connection] = told.time
        elif isinstance(event, events.FullResync | events.PartialResync):
            self._granted[connection] = _RESYNC_TIMES[type(event)]
        elif isinstance(event, events.RdbFinished):
            self._observe(RDB_TIME, (link,), event.seconds)
        elif isinstance(event, events.CaughtUp):
            self._observe(CATCH_UP_TIME, (link,), event.seconds)
        elif isinstance(event, events.StreamStarted):
            opened, histogram = self._opened.get(connection), self._granted.pop(connection, None)
            if opened is not None and histogram is not None:
                self._observe(histogram, (link,), told.time - opened)
        elif isinstance(event, events.Verdict):
            if len(self._loops) < MAX_SERIES or (link, told.replica) in self._loops:
                self._loops[link, told.replica] = event.cause
            if len(self._causes) < MAX_SERIES:
                self._causes[link, event.cause] = None
        elif isinstance(event, events.VerdictOver):
            self._loops.pop((link, told.replica), None)
        elif isinstance(event, events.LinkClosed):
            self._pass(link, connection, event.bytes_from_master, event.bytes_from_replica)
            kept: dict[int, Any]
            for kept in (self._passed, self._opened, self._granted):
                kept.pop(connection, None)

    def read(self, status: Status, lost_bytes: int | None) -> None:
        """Set the gauges, and count the bytes that have passed since the last time.

        lost_bytes: of the recording; None without one. A link that is not configured, as those of a transparent tap are
        not, has 0 connections once after its last one has ended.
        """
        connections = status.connections
        gauges: dict[tuple[Gauge, tuple[str, ...]], float] = {}
        for name in (*self._links, *sorted(self._connected)):
            gauges[CONNECTIONS, (name,)] = 0
        for one in connections:
            self._pass(one.link, one.number, one.bytes_from_master, one.bytes_from_replica)
            for gauge in _MEASURED:
                assert gauge.of is not None
                value = gauge.of(one)
                if value is not None:  # while a replica reconnects, it may have two connections
                    key = gauge, (one.link, one.replica)
                    gauges[key] = max(value, gauges.get(key, 0))
            gauges[CONNECTIONS, (one.link,)] = gauges.get((CONNECTIONS, (one.link,)), 0) + 1
        loops = Tally((link, cause) for (link, _), cause in self._loops.items())
        for labels in self._causes:
            gauges[VERDICTS, labels] = loops[labels]
        if lost_bytes is not None:
            gauges[LOST_BYTES, ()] = lost_bytes
        self._connected = {one.link for one in connections}
        self._gauges = gauges

    def samples(self) -> list[Sample]:
        """Every series: counters, then the gauges of the last read(), then histograms."""
        found = [Sample(counter, labels, count) for (counter, labels), count in self._counts.items()]
        found += [Sample(gauge, labels, value) for (gauge, labels), value in self._gauges.items()]
        for (histogram, labels), observed in self._observations.items():
            found.append(Sample(histogram, labels, Distribution(tuple(observed.counts), observed.sum)))
        return found

    def _pass(self, link: str, connection: int, from_master: int, from_replica: int) -> None:
        """Count the bytes of a connection, given how many it has received in all."""
        before = self._passed.get(connection, (0, 0))
        self._passed[connection] = from_master, from_replica
        self._count(BYTES_FROM_MASTER, (link,), from_master - before[0])
        self._count(BYTES_FROM_REPLICA, (link,), from_replica - before[1])

    def _count(self, counter: Counter, labels: tuple[str, ...], amount: int) -> None:
        key = counter, self._bounded(counter, labels, self._counts)
        if key not in self._counts:
            self._series[counter] += 1
            self._counts[key] = 0
        self._counts[key] += amount

    def _observe(self, histogram: Histogram, labels: tuple[str, ...], value: float) -> None:
        key = histogram, self._bounded(histogram, labels, self._observations)
        if key not in self._observations:
            self._series[histogram] += 1
            self._observations[key] = _Growing(len(histogram.buckets))
        observed = self._observations[key]
        observed.counts[bisect_left(histogram.buckets, value)] += 1
        observed.sum += value
        self._observed(histogram, labels, value)

    def _bounded(self, metric: Any, labels: tuple[str, ...], known: Any) -> tuple[str, ...]:
        """The labels to count under: as the series of a metric multiply, OTHER replaces one label after the other.

        First the replica, then the metric's own label, then the link, each after MAX_SERIES more series.
        """
        limit = MAX_SERIES
        for name in (REPLICA, metric.own_label, LINK):
            if (metric, labels) in known or self._series[metric] < limit:
                break
            if name in metric.labels:
                index = metric.labels.index(name)
                labels = (*labels[:index], OTHER, *labels[index + 1 :])
                limit += MAX_SERIES
        return labels
