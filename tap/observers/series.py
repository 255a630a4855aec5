"""The values of METRICS for one tap, as series: one value for each metric and its labels.

Counters and histograms count events as they happen, gauges read the Status of the moment. A renderer writes samples() in
the format of one system and calculates nothing:

    events, one by one ---> Metrics.event() --.
                                               >-- samples() ---> statsd.py
    Status, at intervals -> Metrics.read() ---'

Counters and histograms only grow, as Prometheus wants them; a renderer for a system that wants increments, such as
StatsD, remembers what it has sent.

Peers choose some of the values of labels: the code of a master's error, the port that a replica connects from, on a
transparent link even the link. So each metric keeps a limited number of series, and counts the rest under OTHER.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from tap.bus import Told
from tap.observers.metrics import (
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
    VERDICTS,
    Counter,
    Gauge,
    Histogram,
    Metric,
)
from tap.replication import events
from tap.replication.events import Event
from tap.status import Status

MAX_SERIES = 1000  # of one metric, before its next label is given up

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
        *,
        observed: Callable[[Histogram, tuple[str, ...], float], None] = lambda histogram, labels, value: None,
    ) -> None:
        """observed: called with each observation of a histogram, for systems that take them one by one."""
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

        lost_bytes: of the recording; None without one. A configured link has 0 connections while it has none. One that is
        not, as those of a transparent tap are not, or one that has been removed, has 0 once after its last one has ended.
        """
        connections = status.connections
        gauges: dict[tuple[Gauge, tuple[str, ...]], float] = {}
        configured = [link.name for link in status.links if link.master is not None]
        for name in (*configured, *sorted(self._connected)):
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
