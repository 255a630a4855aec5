"""The values of METRICS for one tap, as series: one value for each metric and its labels.

Counters and histograms count events as they happen, gauges read the Status of the moment. A renderer writes the series in
the format of one system and calculates nothing:

    events, one by one ---> Metrics.event() --.
                                               >-- samples() ---> statsd.py, control/metrics_page.py
    Status, at intervals -> Metrics.read() ---'

A Status of a thousand replicas takes milliseconds, during which no byte is relayed. Metrics.reading() takes it in pieces.

Counters and histograms only grow, as Prometheus wants them; a renderer for a system that wants increments, such as
StatsD, remembers what it has sent.

How many series there are. Peers choose some of the values of labels: the code of a master's error, the port that a
replica connects from, on a transparent link even the link. So each metric keeps a limited number of series, and counts
the rest under OTHER. Replicas come and go, too: each series belongs to its replica, or to its link, and disappears once
that had neither a connection nor an event for KEEP_SECONDS. Not at once: a replica in a loop is often away, and what it
did is what one looks for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tap.bus import Told
from tap.observers.metrics import (
    ACK_LAG,
    BYTES_FROM_MASTER,
    BYTES_FROM_REPLICA,
    CATCH_UP_TIME,
    CONNECTIONS,
    FULL_RESYNC_TIME,
    LINK,
    LOST_BYTES,
    METRICS,
    OTHER,
    PARTIAL_RESYNC_TIME,
    RDB_TIME,
    REPLICA,
    SYNC_PHASE,
    VERDICTS,
    Counter,
    Gauge,
    Histogram,
    Metric,
)
from tap.replication import events
from tap.replication.events import Event
from tap.status import ConnectionStatus, Distribution, LinkStatus, Status

MAX_SERIES = 1000  # of one metric, before its next label is given up
KEEP_SECONDS = 300.0  # as long as Prometheus looks back for a value

Labels = tuple[str, ...]

_COUNTED: dict[type[Event], list[Counter]] = {}  # by event, in the order of METRICS
for _metric in METRICS:
    if isinstance(_metric, Counter) and _metric.event is not None:
        _COUNTED.setdefault(_metric.event, []).append(_metric)
_MEASURED = [one for one in METRICS if isinstance(one, Gauge) and one.of is not None]
_MEASURED_OF_LINKS = [one for one in METRICS if isinstance(one, Gauge) and one.of_link is not None]
_OF_LINKS = [one for one in METRICS if isinstance(one, Counter) and one.labels == (LINK,)]
_RESYNC_TIMES = {events.FullResync: FULL_RESYNC_TIME, events.PartialResync: PARTIAL_RESYNC_TIME}


class Sample(NamedTuple):
    """The value of one series. labels: values, in the order of the metric's labels."""

    metric: Metric
    labels: Labels
    value: float | Distribution


class _Growing:
    """A Distribution that grows."""

    __slots__ = ("counts", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.sum = 0.0


class _Beginning:
    """A connection up to its stream. opened, since: when it, and its phase, began, in seconds since the epoch.

    phase: of SYNC_PHASE, "" for none of these. histogram: takes the time at which the stream begins.
    """

    __slots__ = ("histogram", "opened", "phase", "since")

    def __init__(self, opened: float) -> None:
        self.opened = self.since = opened
        self.phase = "handshake"
        self.histogram: Histogram | None = None


class _Owner:
    """A replica, or a link. seen: when it last had a connection or an event, in seconds since the epoch."""

    __slots__ = ("seen", "series")

    def __init__(self) -> None:
        self.seen = 0.0
        self.series: dict[tuple[Metric, Labels], None] = {}


class Metrics:
    """The values of METRICS for one tap."""

    def __init__(
        self,
        *,
        observed: Callable[[Histogram, Labels, float], None] = lambda histogram, labels, value: None,
    ) -> None:
        """observed: called with each observation of a histogram, for systems that take them one by one."""
        self._observed = observed
        self._counts: dict[Counter, dict[Labels, int]] = {}
        self._observations: dict[Histogram, dict[Labels, _Growing]] = {}
        self._measured: dict[Metric, dict[Labels, float | Distribution]] = {}  # at the last reading
        self._owners: dict[Labels, _Owner] = {}  # by link and replica, and by link
        self.connected: set[str] = set()  # links that had connections at the last reading
        self._loops: dict[tuple[str, str], str] = {}  # causes, by link and replica
        self._causes: dict[tuple[str, str], None] = {}  # links and causes with a gauge
        # By connection, while it lasts:
        self._passed: dict[int, tuple[int, int]] = {}  # bytes from master and replica that are counted already
        self._beginnings: dict[int, _Beginning] = {}

    # ---- events ----

    def event(self, told: Told) -> None:
        """Count an event."""
        event, link, time = told.event, told.link, told.time
        for counter in _COUNTED.get(type(event), ()):
            labels = [link] if LINK in counter.labels else []
            if REPLICA in counter.labels:
                labels.append(told.replica)
            if counter.value is not None:
                labels.append(counter.value(event))
            self._count(counter, tuple(labels), counter.amount(event), time)
        if isinstance(event, events.RdbFinished):
            self._observe(RDB_TIME, (link,), event.seconds, time)
        elif isinstance(event, events.CaughtUp):
            self._observe(CATCH_UP_TIME, (link,), event.seconds, time)
        elif isinstance(event, events.Verdict):
            if len(self._loops) < MAX_SERIES or (link, told.replica) in self._loops:
                self._loops[link, told.replica] = event.cause
            if len(self._causes) < MAX_SERIES:
                self._causes[link, event.cause] = None
        elif isinstance(event, events.VerdictOver):
            self._loops.pop((link, told.replica), None)
        elif isinstance(event, events.LinkClosed):
            self.passed(link, told.connection, event.bytes_from_master, event.bytes_from_replica, time)
            self._passed.pop(told.connection, None)
        self._follow(told)

    def _follow(self, told: Told) -> None:
        """Time the phases of a connection."""
        event, link, time = told.event, told.link, told.time
        if isinstance(event, events.LinkOpened):
            self._beginnings[told.connection] = _Beginning(time)
            return
        beginning = self._beginnings.get(told.connection)
        if beginning is None:
            return
        if isinstance(event, events.PsyncRequested | events.SyncRequested):
            if beginning.phase == "handshake":  # else it asks again
                self._observe(SYNC_PHASE, (link, beginning.phase), time - beginning.since, time)
                beginning.phase, beginning.since = "waiting", time
        elif isinstance(event, events.FullResync | events.PartialResync):
            beginning.histogram = _RESYNC_TIMES[type(event)]
            if isinstance(event, events.PartialResync):
                beginning.phase = ""
        elif isinstance(event, events.RdbStarted):
            if beginning.phase == "waiting":
                self._observe(SYNC_PHASE, (link, beginning.phase), time - beginning.since, time)
            beginning.phase = "rdb"
        elif isinstance(event, events.RdbFinished):
            self._observe(SYNC_PHASE, (link, "rdb"), event.seconds, time)
            beginning.phase = ""
        elif isinstance(event, events.StreamStarted):
            if beginning.histogram is not None:
                self._observe(beginning.histogram, (link,), time - beginning.opened, time)
            beginning.histogram = None
        elif isinstance(event, events.LinkClosed):
            del self._beginnings[told.connection]

    # ---- readings ----

    def reading(self, time: float) -> Reading:
        """Read the present state in pieces. time: in seconds since the epoch."""
        return Reading(self, time)

    def read(self, status: Status, lost_bytes: int | None) -> None:
        """Set the gauges, and count the bytes that have passed since the last time.

        lost_bytes: of the recording; None without one. A configured link has 0 connections while it has none. One that is
        not, as those of a transparent tap are not, or one that has been removed, has 0 once after its last one has ended.
        """
        reading = self.reading(status.time)
        for link in status.links:
            reading.link(link)
        reading.connections(status.connections)
        reading.finish(lost_bytes)

    def finish(self, measured: dict[Metric, dict[Labels, float | Distribution]], time: float) -> None:
        """Take what a Reading has found, and drop the series of replicas and links that are gone."""
        loops = Tally((link, cause) for (link, _), cause in self._loops.items())
        if self._causes:
            measured[VERDICTS] = {labels: loops[labels] for labels in self._causes}
        self._measured = measured
        for key in [key for key, owner in self._owners.items() if time - owner.seen > KEEP_SECONDS]:
            for metric, labels in self._owners.pop(key).series:
                del self._series_of(metric)[labels]
            if len(key) == 1:
                self._causes = {one: None for one in self._causes if one[0] != key[0] or loops[one]}

    def passed(self, link: str, connection: int, from_master: int, from_replica: int, time: float) -> None:
        """Count the bytes of a connection, given how many it has received in all."""
        before = self._passed.get(connection, (0, 0))
        self._passed[connection] = from_master, from_replica
        self._count(BYTES_FROM_MASTER, (link,), from_master - before[0], time)
        self._count(BYTES_FROM_REPLICA, (link,), from_replica - before[1], time)

    def seen(self, link: str, replica: str, time: float) -> None:
        """A connection of this replica is open; "" for the replica: the link is configured."""
        for key in ((link,), (link, replica)):
            owner = self._owners.get(key)
            if owner is not None:
                owner.seen = time

    def begin_at_zero(self, link: str, time: float) -> None:
        """Let the counters of a configured link begin at 0, so that the first increase is one."""
        for counter in _OF_LINKS:
            self._count(counter, (link,), 0, time)

    # ---- series ----

    def metrics(self) -> list[Metric]:
        """Those that have series: counters, then gauges, then histograms."""
        found: list[Metric] = [*self._counts, *(one for one in self._measured if one.kind == "gauge")]
        found += self._observations
        return [*found, *(one for one in self._measured if one.kind == "histogram" and one not in self._observations)]

    def series(self, metric: Metric) -> list[tuple[Labels, float | Distribution]]:
        """The present values of one metric; gauges are those of the last reading."""
        found: list[tuple[Labels, float | Distribution]] = []
        if isinstance(metric, Counter):
            found += self._counts.get(metric, {}).items()
        elif isinstance(metric, Histogram):
            for labels, observed in self._observations.get(metric, {}).items():
                found.append((labels, Distribution(tuple(observed.counts), observed.sum)))
        found += self._measured.get(metric, {}).items()
        return found

    def samples(self) -> list[Sample]:
        """Every series: counters, then the gauges of the last reading, then histograms."""
        return [Sample(metric, labels, value) for metric in self.metrics() for labels, value in self.series(metric)]

    def _series_of(self, metric: Metric) -> dict[Labels, Any]:
        if isinstance(metric, Counter):
            return self._counts.setdefault(metric, {})
        assert isinstance(metric, Histogram)
        return self._observations.setdefault(metric, {})

    def _count(self, counter: Counter, labels: Labels, amount: int, time: float) -> None:
        series = self._series_of(counter)
        key = self._bounded(counter, labels, series)
        if key not in series:
            series[key] = 0
        self._own(counter, key, time)
        series[key] += amount

    def _observe(self, histogram: Histogram, labels: Labels, value: float, time: float) -> None:
        value = max(0.0, value)  # the clock of the system may have been set back
        series = self._series_of(histogram)
        key = self._bounded(histogram, labels, series)
        if key not in series:
            series[key] = _Growing(len(histogram.buckets))
        self._own(histogram, key, time)
        observed = series[key]
        observed.counts[bisect_left(histogram.buckets, value)] += 1
        observed.sum += value
        self._observed(histogram, labels, value)

    def _own(self, metric: Metric, labels: Labels, time: float) -> None:
        """Note that a series has been counted: its owner is there."""
        if not metric.labels:
            return
        key = labels[:2] if REPLICA in metric.labels else labels[:1]
        owner = self._owners.get(key)
        if owner is None:
            owner = self._owners[key] = _Owner()
        owner.seen = time
        owner.series[metric, labels] = None

    def _bounded(self, metric: Metric, labels: Labels, known: dict[Labels, Any]) -> Labels:
        """The labels to count under: as the series of a metric multiply, OTHER replaces one label after the other.

        First the replica, then the metric's own label, then the link, each after MAX_SERIES more series.
        """
        limit = MAX_SERIES
        for name in (REPLICA, metric.own_label, LINK):
            if labels in known or len(known) < limit:
                break
            if name in metric.labels:
                index = metric.labels.index(name)
                labels = (*labels[:index], OTHER, *labels[index + 1 :])
                limit += MAX_SERIES
        return labels


class Reading:
    """One look at the state of a tap: link() for each link, connections() for all of them, in pieces, then finish()."""

    def __init__(self, metrics: Metrics, time: float) -> None:
        self._metrics = metrics
        self._time = time
        self._found: dict[Metric, dict[Labels, float | Distribution]] = {}
        self._connected: set[str] = set()
        self._connections: dict[Labels, float | Distribution] = {}
        self._found[CONNECTIONS] = self._connections
        for name in sorted(metrics.connected):
            self._connections[name,] = 0

    def link(self, link: LinkStatus) -> None:
        """The state of a link apart from its connections. One without a master of its own is transparent."""
        name = link.name
        if link.master is not None:
            self._connections.setdefault((name,), 0)
            self._metrics.begin_at_zero(name, self._time)
        self._metrics.seen(name, "", self._time)
        for gauge in _MEASURED_OF_LINKS:
            assert gauge.of_link is not None
            value = gauge.of_link(link)
            if value is not None:
                self._found.setdefault(gauge, {})[name,] = value
        if link.ack_times is not None:
            self._found.setdefault(ACK_LAG, {})[name,] = link.ack_times
        if link.load_times is not None:
            self._found.setdefault(SYNC_PHASE, {})[name, "loading"] = link.load_times

    def connections(self, connections: Iterable[ConnectionStatus]) -> None:
        """Some of the open connections."""
        metrics, counted = self._metrics, self._connections
        for one in connections:
            link, replica = one.link, one.replica
            metrics.passed(link, one.number, one.bytes_from_master, one.bytes_from_replica, self._time)
            metrics.seen(link, replica, self._time)
            self._connected.add(link)
            number = counted.get((link,), 0)
            assert not isinstance(number, Distribution)
            counted[link,] = number + 1
            for gauge in _MEASURED:
                assert gauge.of is not None
                value = gauge.of(one)
                if value is not None:  # while a replica reconnects, it may have two connections
                    series: Any = self._found.setdefault(gauge, {})
                    series[link, replica] = max(value, series.get((link, replica), 0))

    def finish(self, lost_bytes: int | None) -> None:
        """lost_bytes: of the recording; None without one."""
        if lost_bytes is not None:
            self._found[LOST_BYTES] = {(): lost_bytes}
        if not self._connections:
            del self._found[CONNECTIONS]
        self._metrics.connected = self._connected
        self._metrics.finish(self._found, self._time)
