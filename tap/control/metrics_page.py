"""/metrics: the values of METRICS in Prometheus' text format, written by prometheus-client.

A page of a thousand replicas has some 15,000 lines and takes longer than a link should wait: 5 ms to describe the
connections, 60 ms to write the lines. A thread would not help, because it would hold the interpreter's lock. So a scrape
works in pieces of less than a millisecond, and between two of them the event loop serves the links. The figures of one
page are therefore not all of one moment; each is right when its line is written, and none is counted twice.

Two scrapes at once would take longer each: one page is made after the other, and a page serves all that asked before it
was begun.

Names are made of those of METRICS by Prometheus' conventions (prometheus.io/docs/practices/naming): the unit and, of a
counter, "total" at the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

from tap.bus import COUNTLESS
from tap.control.controlled import Controlled
from tap.observers.metrics import Histogram, Metric
from tap.observers.series import Labels, Metrics
from tap.status import Distribution
from tap.version import version

PREFIX = "redis_tap"
READ_AT_ONCE = 50  # connections; about 0.5 ms
WRITTEN_AT_ONCE = 100  # series; about 0.5 ms, those of histograms counted by their lines

# Names that end in what they measure; all others get their unit at the end.
_NAMES = {
    "bytes_from_master": "from_master_bytes",
    "bytes_from_replica": "from_replica_bytes",
    "recording_lost_bytes": "recording_lost_bytes",
    "lag_bytes": "lag_bytes",
    "lag_seconds": "lag_seconds",
    "command_bytes": "command_bytes",
}

router = APIRouter(tags=["metrics"])


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text format 0.0.4"}},
)
async def metrics(request: Request) -> Response:
    page: MetricsPage = request.app.state.metrics_page
    return Response(await page.page(), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def exposed_name(metric: Metric) -> str:
    """As a scrape shows it, without the suffixes of a histogram: "redis_tap_full_resync_seconds"."""
    name = _NAMES.get(metric.name)
    if name is None:
        name = metric.name.removesuffix("_time") + (f"_{metric.unit}" if metric.unit else "")
    return f"{PREFIX}_{name}" + ("_total" if metric.kind == "counter" else "")


class MetricsPage:
    """The metrics of one tap, from its construction on."""

    def __init__(self, tap: Controlled) -> None:
        self._tap = tap
        self._metrics = Metrics()
        self._head = _written(InfoMetricFamily(f"{PREFIX}_build", "the version of redis-tap", {"version": version()}))
        self._lock = asyncio.Lock()
        self._page = b""
        self._begun = -1.0  # when the page was
        tap.bus.subscribe(self._metrics.event, without=COUNTLESS)

    async def page(self) -> bytes:
        """The page of a moment after this call."""
        asked = time.monotonic()
        async with self._lock:
            if self._begun < asked:
                begun = time.monotonic()
                self._page = b"".join([piece async for piece in self._pieces()])
                self._begun = begun
            return self._page

    async def _pieces(self) -> AsyncIterator[bytes]:
        yield self._head
        await self._read()
        for metric in self._metrics.metrics():
            series = self._metrics.series(metric)
            at_once = WRITTEN_AT_ONCE // (len(metric.buckets) + 3) if isinstance(metric, Histogram) else WRITTEN_AT_ONCE
            for number in range(0, len(series), at_once):
                written = _written(_family(metric, series[number : number + at_once]))
                yield written if number == 0 else _without_head(written)
                await asyncio.sleep(0)

    async def _read(self) -> None:
        reading = self._metrics.reading(time.time())
        for listener in tuple(self._tap.listeners):
            reading.link(listener.own_status)
            connections = tuple(listener.connections)
            for number in range(0, len(connections), READ_AT_ONCE):
                some = connections[number : number + READ_AT_ONCE]
                reading.connections([one.status() for one in some if not one.closed])  # the event has counted the others
                await asyncio.sleep(0)
        recorder = self._tap.recorder
        reading.finish(None if recorder is None else recorder.lost_bytes)


class _One:
    """A registry of one family, as generate_latest() takes it."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> Iterator[Family]:
        yield self._family


def _written(family: Family) -> bytes:
    return generate_latest(_One(family))


def _without_head(written: bytes) -> bytes:
    """Without the lines of HELP and TYPE, which stand once for all series of a metric."""
    return written.split(b"\n", 2)[2]


def _family(metric: Metric, series: Sequence[tuple[Labels, float | Distribution]]) -> Family:
    name, help_ = exposed_name(metric), metric.help.replace("`", "'")
    if isinstance(metric, Histogram):
        bounds = [*map(str, metric.buckets), "+Inf"]
        histogram = HistogramMetricFamily(name, help_, labels=metric.labels)
        for labels, value in series:
            assert isinstance(value, Distribution)
            histogram.add_metric(labels, list(zip(bounds, value.cumulative, strict=True)), value.sum)
        return histogram
    family: Any = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = family(name, help_, labels=metric.labels)
    for labels, value in series:
        family.add_metric(labels, value)
    return family  # type: ignore[no-any-return]
