"""Metrics over UDP, once a second: plain StatsD, as Telegraf, the Datadog agent and statsd_exporter accept it.

A line is <name>:<value>|<type>: c for a counter, g for a gauge, ms for a time. Tags are an extension of which there are
two forms, both with one series for each replica: Datadog's after the type, and that of InfluxDB's Telegraf in the name. A
datagram holds as many lines as fit into
an Ethernet frame after any headers (github.com/statsd/statsd, docs/metric_types.md, "Multi-Metric Packets"). UDP loses
what it cannot deliver. While the name of the host cannot be resolved, counters keep counting.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections import deque
from collections.abc import Iterable
from typing import Any

import asyncio_dgram

from tap.bus import COUNTLESS, Told
from tap.config import Config
from tap.config.config import StatsdTags
from tap.errors import words
from tap.observers.metrics import LINK, Histogram, Metric
from tap.observers.observer import Observed, Observer
from tap.observers.series import Labels, Metrics
from tap.relay.name_lookup import UNRESOLVABLE, resolved
from tap.status import Distribution, Status
from tap.url import Address

PREFIX = "redis_tap"
DATAGRAM = 1432  # bytes; each is below that
INTERVAL_SECONDS = 1.0
RENEW_SECONDS = 60.0  # between resolutions of the name: a sender of UDP does not notice that a host has moved
END_SECONDS = 0.3  # for the last figures, at the end
MAX_TIMES = 1000  # to keep while the name is being resolved; then the oldest go

log = logging.getLogger(__name__)


def clean(name: str) -> str:
    """One part of a name: "10.0.0.5:6379" as "10_0_0_5_6379". A dot would start the next part, a colon the value."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "_"


def datagrams(lines: Iterable[str]) -> list[bytes]:
    """The lines, in their order, in as few datagrams as possible."""
    packed: list[bytes] = []
    for line in lines:
        encoded = line.encode()
        if packed and len(packed[-1]) + 1 + len(encoded) < DATAGRAM:
            packed[-1] += b"\n" + encoded
        else:
            packed.append(encoded)
    return packed


class Figures:
    """The lines that StatsD is sent: what the counters have gained, the gauges, and each time.

    tags: their form.
    """

    def __init__(self, tags: StatsdTags = "none") -> None:
        self._metrics = Metrics(observed=self._observed)
        self._line = {"none": _untagged, "datadog": _for_datadog, "influx": _for_influx}[tags]
        self._sent: dict[tuple[Metric, Labels], float] = {}  # of each counter
        self._times: deque[str] = deque(maxlen=MAX_TIMES)  # lines

    def hear(self, told: Told) -> None:
        self._metrics.event(told)

    def lines(self, status: Status, lost_bytes: int | None) -> list[str]:
        """What there is to send since the last call. lost_bytes: of the recording; None without one."""
        self._metrics.read(status, lost_bytes)
        counted: dict[tuple[Metric, Labels], float] = {}
        gained: dict[tuple[str, str], float] = {}  # by name and tags
        measured: dict[tuple[str, str], float] = {}
        for metric, labels, value in self._metrics.samples():
            if isinstance(value, Distribution):
                continue  # each of its observations is a line
            key = self._line(metric, labels)
            if metric.kind == "counter":
                counted[metric, labels] = value
                gained[key] = gained.get(key, 0) + value - self._sent.get((metric, labels), 0)
            else:
                measured[key] = max(value, measured.get(key, 0))
        self._sent = counted  # without the series that are gone: one that comes back begins at 0
        lines = [f"{name}:{gain}|c{tags}" for (name, tags), gain in gained.items() if gain]
        lines += [f"{name}:{_number(value)}|g{tags}" for (name, tags), value in measured.items()]
        lines += self._times
        self._times.clear()
        return lines

    def _observed(self, histogram: Histogram, labels: tuple[str, ...], seconds: float) -> None:
        name, tags = self._line(histogram, labels)
        self._times.append(f"{name}:{1000 * seconds:.3f}|ms{tags}")


def name_of(metric: Metric, labels: tuple[str, ...]) -> str:
    """One name for all replicas, whose values are added up: "redis_tap.orders.full_resyncs.first_sync"."""
    values = dict(zip(metric.labels, labels, strict=True))
    parts = [PREFIX, metric.name]
    if LINK in values:
        parts.insert(1, clean(values[LINK]))
    if metric.own_label is not None:
        parts.append(clean(values[metric.own_label]))
    return ".".join(parts)


def _untagged(metric: Metric, labels: Labels) -> tuple[str, str]:
    return name_of(metric, labels), ""


def _for_datadog(metric: Metric, labels: Labels) -> tuple[str, str]:
    """docs.datadoghq.com, "DogStatsD Datagram Format": <name>:<value>|<type>|#<tag>:<value>,..."""
    tags = ",".join(f"{name}:{_tag(value)}" for name, value in zip(metric.labels, labels, strict=True))
    return f"{PREFIX}.{metric.name}", f"|#{tags}" if tags else ""


def _for_influx(metric: Metric, labels: Labels) -> tuple[str, str]:
    """Telegraf, plugins/inputs/statsd: <name>,<tag>=<value>,...:<value>|<type>. The first colon ends the tags."""
    tags = (
        f",{name}={_tag(value).replace(':', '_').replace('=', '_')}"
        for name, value in zip(metric.labels, labels, strict=True)
    )
    return f"{PREFIX}.{metric.name}{''.join(tags)}", ""


def _tag(value: str) -> str:
    """The value of a tag, without the characters that would end it."""
    return re.sub(r"[^A-Za-z0-9_./:=\[\]%-]+", "_", value)[:200] or "_"


def _number(value: float) -> str:
    """Without an exponent, which not every reader accepts."""
    return str(value) if isinstance(value, int) else f"{value:.6f}"


class StatsD(Observer):
    """Sends metrics once a second, and once more at the end."""

    without = COUNTLESS

    def __init__(self, address: Address, tags: StatsdTags = "none") -> None:
        self._tags: StatsdTags = tags
        self.name = f"statsd {address}"
        self._address = address
        self._task: asyncio.Task[None] | None = None
        self._client: Any = None  # of asyncio_dgram
        self._ignoring: asyncio.Task[None] | None = None
        self._renew = 0.0  # when, in the loop's time
        self._failures = 0  # since all went well for long enough
        self._places = 1  # how many addresses the name has

    @classmethod
    def configured(cls, config: Config) -> StatsD | None:
        return None if config.statsd is None else cls(config.statsd, config.statsd_tags)

    def start(self, tap: Observed) -> None:
        self._tap = tap
        self._figures = Figures(self._tags)
        self._task = asyncio.create_task(self._run(), name="statsd")

    def event(self, told: Told) -> None:
        self._figures.hear(told)

    async def stop(self) -> None:
        """Send the last metrics, if that takes no longer than END_SECONDS."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._send()
        except TimeoutError:
            self._failed("the last figures could not be sent in time")
        finally:
            self._leave()
            if self._ignoring is not None:
                await asyncio.wait([self._ignoring])

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(INTERVAL_SECONDS)
                await self._send()
        except Exception:
            log.exception("StatsD failed and is over, the links go on; please report this")

    async def _send(self) -> None:
        try:
            if self._client is None or asyncio.get_running_loop().time() > self._renew:
                await self._connect()
            lines = self._figures.lines(self._tap.status(), self._tap.lost_bytes())
            for datagram in datagrams(lines):
                await self._client.send(datagram)
        except (OSError, asyncio_dgram.TransportClosed) as error:
            self._failed(words(error))

    async def _connect(self) -> None:
        """Connect to the next address if the last one failed: "localhost" has two, and an agent may listen on one."""
        if self._client is not None:
            self._failures = self._failures % self._places  # sending has worked for a while: report the next failure
        self._leave()
        try:
            places = await resolved(self._address)
        except ValueError:
            raise OSError(UNRESOLVABLE) from None
        self._places = len(places)
        family, place = places[self._failures % len(places)]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(place)
            self._client = await asyncio_dgram.from_socket(sock)
        except BaseException:
            sock.close()
            raise
        self._ignoring = asyncio.create_task(self._ignore(self._client), name="statsd ignores")
        self._renew = asyncio.get_running_loop().time() + RENEW_SECONDS

    async def _ignore(self, client: Any) -> None:
        """Discard what arrives. A StatsD sends nothing, and the client would keep datagrams of others until the end."""
        try:
            while True:
                await client.recv()
        except asyncio_dgram.TransportClosed:
            pass
        except OSError as error:  # which send() would have raised
            self._failed(words(error))

    def _failed(self, text: str) -> None:
        """Report once all addresses have failed, and again only after sending has worked."""
        self._leave()
        self._failures += 1
        if self._failures == self._places:
            self._tap.report(f"{text}; it is tried again", None)

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._ignoring is not None:
            self._ignoring.cancel()
