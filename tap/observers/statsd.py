"""Figures for graphs, over UDP, once a second: plain StatsD, as Telegraf, the Datadog agent and statsd_exporter read it.

A line is <name>:<value>|<type>, c for a counter, g for a gauge, ms for a time. A datagram holds as many lines as fit into
an Ethernet frame behind any headers (github.com/statsd/statsd, docs/metric_types.md, "Multi-Metric Packets"). What cannot
be sent is gone, as it is with UDP. While the host's name cannot be resolved, counters go on counting.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import asyncio_dgram

from tap.bus import COUNTLESS, Bus, Told
from tap.errors import words
from tap.relay.names import UNRESOLVABLE, resolved
from tap.replication import events
from tap.replication.events import Event
from tap.status import Status
from tap.url import Address

PREFIX = "redis_tap"
DATAGRAM = 1432  # bytes; each is below that
INTERVAL_SECONDS = 1.0
RENEW_SECONDS = 60.0  # then the name is resolved anew: nobody tells a sender of UDP that a host has moved
END_SECONDS = 0.3  # for the last figures, at the end
MAX_COUNTS = 1000  # names; then "other" stands for more: codes of errors are the master's own words
MAX_TIMES = 1000  # while the name is being resolved; then the oldest go

log = logging.getLogger(__name__)


def clean(name: str) -> str:
    """One part of a name: "10.0.0.5:6379" as "10_0_0_5_6379". A dot would begin the next part, a colon the value."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "_"


def datagrams(lines: Iterable[str]) -> list[bytes]:
    """The lines in as few datagrams as take them in this order."""
    packed: list[bytes] = []
    for line in lines:
        encoded = line.encode()
        if packed and len(packed[-1]) + 1 + len(encoded) < DATAGRAM:
            packed[-1] += b"\n" + encoded
        else:
            packed.append(encoded)
    return packed


class Figures:
    """What was told since the last lines() were made, summed up.

    links: the names of those that are told of also while nobody is connected.
    """

    def __init__(self, links: Sequence[str]) -> None:
        self._links = links
        self._counts: Counter[tuple[str, str]] = Counter()  # by link and what
        self._times: deque[tuple[str, str, float]] = deque(maxlen=MAX_TIMES)  # link, what, seconds
        self._alive: set[str] = set()  # links that had connections last time
        # By connection, for as long as it lasts:
        self._passed: dict[int, tuple[int, int]] = {}  # bytes from master and replica that are counted already
        self._opened: dict[int, float] = {}
        self._granted: dict[int, str] = {}  # which time the beginning of the stream will end

    def hear(self, told: Told) -> None:
        event, link = told.event, told.link
        counts = _COUNTS.get(type(event))
        if counts is not None:
            for what, count in counts(event).items():
                name, dot, _ = what.partition(".")
                if dot and len(self._counts) >= MAX_COUNTS and (link, what) not in self._counts:
                    what = f"{name}.other"
                self._counts[link, what] += count
        if isinstance(event, events.LinkOpened):
            self._opened[told.connection] = told.time
        elif isinstance(event, events.FullResync | events.PartialResync):
            self._granted[told.connection] = f"{event.kind}_time"
        elif isinstance(event, events.RdbFinished):
            self._times.append((link, "rdb_time", event.seconds))
        elif isinstance(event, events.StreamStarted):
            opened, granted = self._opened.get(told.connection), self._granted.pop(told.connection, None)
            if opened is not None and granted is not None:
                self._times.append((link, granted, told.time - opened))
        elif isinstance(event, events.LinkClosed):
            self._pass(link, told.connection, event.bytes_from_master, event.bytes_from_replica)
            kept: dict[int, Any]
            for kept in (self._passed, self._opened, self._granted):
                kept.pop(told.connection, None)

    def _pass(self, link: str, connection: int, from_master: int, from_replica: int) -> None:
        """So many bytes have passed that connection in all."""
        before = self._passed.get(connection, (0, 0))
        self._passed[connection] = from_master, from_replica
        self._counts[link, "bytes_from_master"] += from_master - before[0]
        self._counts[link, "bytes_from_replica"] += from_replica - before[1]

    def lines(self, status: Status, lost_bytes: int | None) -> list[str]:
        """As StatsD takes them. lost_bytes: None without a recording."""
        gauges: dict[tuple[str, str], float] = {(name, "connections"): 0 for name in (*self._links, *sorted(self._alive))}
        connections = status.connections
        self._alive = {one.link for one in connections}
        for one in connections:
            link = one.link
            self._pass(link, one.number, one.bytes_from_master, one.bytes_from_replica)
            for what, value in (
                ("offset", one.offset),
                ("lag_bytes", one.lag_bytes),
                ("lag_seconds", one.lag_seconds),
            ):
                if value is not None:
                    gauges[link, what] = max(value, gauges.get((link, what), 0))
            gauges[link, "connections"] = gauges.get((link, "connections"), 0) + 1
        lines = [_line(link, what, f"{count}|c") for (link, what), count in self._counts.items() if count]
        lines += [_line(link, what, f"{_number(value)}|g") for (link, what), value in gauges.items()]
        lines += [_line(link, what, f"{1000 * seconds:.3f}|ms") for link, what, seconds in self._times]
        if lost_bytes is not None:
            lines.append(f"{PREFIX}.recording_lost_bytes:{lost_bytes}|g")
        self._counts.clear()
        self._times.clear()
        return lines


def _line(link: str, what: str, value: str) -> str:
    """what: in one part, or in two, of which others may have chosen the second."""
    name, dot, which = what.partition(".")
    return f"{PREFIX}.{clean(link)}.{name}{dot}{clean(which) if dot else ''}:{value}"


def _number(value: float) -> str:
    """Without an exponent, which not every reader takes."""
    return str(value) if isinstance(value, int) else f"{value:.6f}"


def _refusal(reply: str) -> str:
    """The code of an error, as "loading" of "-LOADING Redis is loading the dataset in memory"."""
    code = re.match(r"-([A-Z]{1,32})\b", reply)
    return "other" if code is None else code[1].lower()


_COUNTS: dict[type[Event], Callable[[Any], dict[str, int]]] = {
    events.LinkOpened: lambda event: {"connections_opened": 1},
    events.ConnectionsRefused: lambda event: {"connections_refused": event.count},
    events.LinkClosed: lambda event: {f"connections_closed.{event.how}": 1},
    events.FullResync: lambda event: {f"full_resyncs.{event.reason.code}": 1},
    events.PartialResync: lambda event: {"partial_resyncs": 1},
    events.ResyncRefused: lambda event: {f"resyncs_refused.{_refusal(event.reply)}": 1},
    events.RdbProblem: lambda event: {f"rdb_problems.{event.problem}": 1},
    events.Opaque: lambda event: {"opaque": 1},
    events.AckAheadOfMaster: lambda event: {"ack_ahead_of_master": 1},
    events.ReplicaTalkedBack: lambda event: {f"replica_talked_back.{event.what}": event.count},
    events.Commands: lambda event: {"commands": event.count, "command_bytes": event.bytes},
    events.FaultFired: lambda event: {f"faults_fired.{event.fault}": event.count},
}


class StatsD:
    """An observer of the bus that sends what it hears. Nobody waits for it, and it waits for nobody but at the end."""

    def __init__(
        self,
        address: Address,
        bus: Bus,
        names: Sequence[str],
        status: Callable[[], Status],
        lost_bytes: Callable[[], int | None],
    ) -> None:
        """names: of the configured links. status: of the tap, now. lost_bytes: of the recording, None without one."""
        self._address = address
        self._bus = bus
        self._status = status
        self._lost_bytes = lost_bytes
        self._figures = Figures(names)
        self._task: asyncio.Task[None] | None = None
        self._client: Any = None  # of asyncio_dgram
        self._ignoring: asyncio.Task[None] | None = None
        self._renew = 0.0  # when, in the loop's time
        self._failures = 0  # since all went well for long enough
        self._places = 1  # how many addresses the name has

    def __call__(self, told: Told) -> None:
        """An observer of the bus."""
        self._figures.hear(told)

    def start(self) -> None:
        self._bus.subscribe(self, without=COUNTLESS)
        self._task = asyncio.create_task(self._run(), name="statsd")

    async def close(self) -> None:
        """Send the last figures, if that can be done at once."""
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
            lines = self._figures.lines(self._status(), self._lost_bytes())
            for datagram in datagrams(lines):
                await self._client.send(datagram)
        except (OSError, asyncio_dgram.TransportClosed) as error:
            self._failed(words(error))

    async def _connect(self) -> None:
        """To the next address of the name, if the last one failed: "localhost" is two, and an agent listens on one."""
        if self._client is not None:
            self._failures = self._failures % self._places  # has gone well for a while: tell of the next failure
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
        """Take what comes from there. A StatsD says nothing, and what somebody else sends would be kept until the end."""
        try:
            while True:
                await client.recv()
        except asyncio_dgram.TransportClosed:
            pass
        except OSError as error:  # which send() would have raised
            self._failed(words(error))

    def _failed(self, text: str) -> None:
        """Told once all addresses have failed, and then not again before it has gone well."""
        self._leave()
        self._failures += 1
        if self._failures == self._places:
            self._bus.publish(
                "", 0, "", events.ObserverTrouble(observer=f"statsd {self._address}", text=f"{text}; it is tried again")
            )

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._ignoring is not None:
            self._ignoring.cancel()
