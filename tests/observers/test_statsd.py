"""Figures for graphs: the bytes of their datagrams, and what a real pair sends to a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import asyncio_dgram
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.bus import COUNTLESS, Bus, Told
from tap.config import LinkConfig
from tap.config.config import Config, StatsdTags, statsd_address
from tap.config.file import load
from tap.errors import ConfigError
from tap.observers.metrics import METRICS
from tap.observers.series import MAX_SERIES
from tap.observers.statsd import (
    DATAGRAM,
    END_SECONDS,
    MAX_TIMES,
    RENEW_SECONDS,
    Figures,
    StatsD,
    clean,
    datagrams,
    name_of,
)
from tap.relay.name_lookup import UNRESOLVABLE
from tap.replication import events
from tap.replication.events import Event, Reason, Role, Side
from tap.replication.phase import Phase
from tap.status import ConnectionStatus, LinkStatus, Status
from tap.url import Address
from tests.jumping import acted
from tests.observers.attaching import attached
from tests.support import WITHIN, Servers, TapThread, client, digest, follow, level, wait_until

REPLID = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb"


def told(event: Event, *, link: str = "main", connection: int = 1, time: float = 100.0) -> Told:
    return Told(time, link, connection, "10.0.0.7:6379", event)


def opened() -> Event:
    return events.LinkOpened(peer="10.0.0.7:1234", master="10.0.0.5:6379")


def closed(from_master: int, from_replica: int, how: str = "fin") -> Event:
    return events.LinkClosed(
        by=Side.MASTER, how=how, text="", role=Role.REPLICA, phase="stream", offset=1,
        bytes_from_master=from_master, bytes_from_replica=from_replica,
    )  # fmt: skip


def full(code: str = "first_sync") -> Event:
    return events.FullResync(start=0, end=1, replid=REPLID, offset=7, reason=Reason(code=code, text=""))


def stream() -> Event:
    return events.StreamStarted(start=0, end=0, replid=REPLID, offset=7, db=None)


def finished(seconds: float) -> Event:
    return events.RdbFinished(
        start=0, end=1, transfer=events.Transfer.DISK, bytes=1, seconds=seconds, keys=0, expiring=0, functions=0,
        by_type={}, largest=(), checksum="ok",
    )  # fmt: skip


def a_connection(
    number: int, *, link: str = "main", offset: int | None = 7, passed: int = 0, lag: tuple[int, float] | None = None
) -> ConnectionStatus:
    lag_bytes, lag_seconds = lag or (None, None)
    return ConnectionStatus(
        number=number,
        link=link,
        peer="10.0.0.7:1234",
        replica="10.0.0.7:6379",
        master=Address("10.0.0.5", 6379),
        opened=1.0,
        role=Role.REPLICA,
        phase=Phase.STREAM,
        replid=REPLID,
        offset=offset,
        acked=None,
        db=0,
        lag_bytes=lag_bytes,
        lag_seconds=lag_seconds,
        bytes_from_master=passed,
        bytes_from_replica=0,
        stream_bytes=0,
        rdb=None,
        rdb_channel_bytes=None,
    )


def of(*connections: ConnectionStatus) -> Status:
    """A tap with these connections, on one link."""
    return Status(100.0, (LinkStatus("main", Address("127.0.0.1", 6400), Address("127.0.0.1", 6379), connections),))


def transparent(*connections: ConnectionStatus) -> Status:
    """A tap with these connections, on one link that is transparent."""
    return Status(100.0, (LinkStatus("main", Address("127.0.0.1", 6400), None, connections),))


def test_events_are_counted_and_sent_once() -> None:
    figures = Figures()
    batch = events.Commands(
        start=0, end=80, offset=87, count=3, bytes=80, by_name={}, db=0, in_transaction=False
    )  # fmt: skip
    fired = events.FaultFired(
        fault="my.cut", spec="cut", text="", side=Side.MASTER, phase="stream", position=1, offset=1, bytes=0, count=2
    )
    refused = events.ResyncRefused(start=0, end=1, reply="-NOMASTERLINK Can't SYNC while not connected with my master")
    for event in (opened(), full(), refused, batch, batch, fired, closed(100, 20, "reset")):
        figures.hear(told(event))
    assert figures.lines(of(), None) == [
        "redis_tap.main.connections_opened:1|c",
        "redis_tap.main.full_resyncs.first_sync:1|c",
        "redis_tap.main.resyncs_refused.nomasterlink:1|c",
        "redis_tap.main.commands:6|c",
        "redis_tap.main.command_bytes:160|c",
        "redis_tap.main.faults_fired.my_cut:2|c",
        "redis_tap.main.connections_closed.reset:1|c",
        "redis_tap.main.bytes_from_master:100|c",
        "redis_tap.main.bytes_from_replica:20|c",
        "redis_tap.main.connections:0|g",
    ]
    assert figures.lines(of(), None) == ["redis_tap.main.connections:0|g"]


def test_codes_invented_by_a_master_do_not_pile_up() -> None:
    figures = Figures()
    for number in range(5000):
        code = "".join(chr(ord("A") + int(digit)) for digit in str(number))
        figures.hear(told(events.ResyncRefused(start=0, end=1, reply=f"-{code} no")))
    figures.hear(told(opened()))
    figures.hear(told(events.ResyncRefused(start=0, end=1, reply="-A no")))  # 0, which is known
    lines = figures.lines(of(), None)
    assert "redis_tap.main.resyncs_refused.a:2|c" in lines
    assert len(lines) == MAX_SERIES + 3
    assert f"redis_tap.main.resyncs_refused.other:{5000 - MAX_SERIES}|c" in lines
    assert "redis_tap.main.connections_opened:1|c" in lines


def test_bytes_are_counted_while_they_flow_and_only_once() -> None:
    figures = Figures()
    sent = [figures.lines(of(a_connection(1, passed=passed)), None) for passed in (1000, 1000, 1500)]
    figures.hear(told(closed(1600, 5)))
    sent.append(figures.lines(of(), None))
    assert [[line.partition(":")[2] for line in lines if "from_master" in line] for lines in sent] == [
        ["1000|c"],
        [],
        ["500|c"],
        ["100|c"],
    ]


def test_a_gauge_shows_the_replica_that_lags_most() -> None:
    figures = Figures()
    near, far = a_connection(1, offset=2**60, lag=(10, 0.25)), a_connection(2, offset=None, lag=(30, 0.0005))
    lines = figures.lines(of(near, far), 4096)
    assert lines == [
        "redis_tap.main.connections:2|g",
        f"redis_tap.main.offset:{2**60}|g",
        "redis_tap.main.lag_bytes:30|g",
        "redis_tap.main.lag_at_least:0|g",
        "redis_tap.main.lag_seconds:0.250000|g",
        "redis_tap.recording_lost_bytes:4096|g",
    ]


def test_times_are_in_milliseconds_and_do_not_mix() -> None:
    figures = Figures()
    finished = events.RdbFinished(
        start=0, end=1, transfer=events.Transfer.DISK, bytes=1, seconds=1.25, keys=0, expiring=0, functions=0,
        by_type={}, largest=(), checksum="ok",
    )  # fmt: skip
    figures.hear(told(opened(), time=100.0))
    figures.hear(told(opened(), connection=2, time=101.0))
    figures.hear(told(full(), time=100.1))
    figures.hear(told(finished, time=102.0))
    partial = events.PartialResync(start=0, end=1, replid=REPLID, previous_replid=None, offset=7, bytes_behind=0)
    figures.hear(told(partial, connection=2, time=101.002))
    figures.hear(told(stream(), connection=2, time=101.002))
    figures.hear(told(stream(), time=102.5))
    assert [line for line in figures.lines(transparent(), None) if line.endswith("ms")] == [
        "redis_tap.main.rdb_time:1250.000|ms",
        "redis_tap.main.sync_phase.rdb:1250.000|ms",
        "redis_tap.main.partial_resync_time:2.000|ms",
        "redis_tap.main.full_resync_time:2500.000|ms",
    ]


def test_a_discovered_link_is_reported_until_it_has_gone() -> None:
    """The links of a transparent tap are not configured."""
    figures = Figures()
    link = a_connection(1, link="10.0.0.5:6379")
    assert "redis_tap.10_0_0_5_6379.connections:1|g" in figures.lines(transparent(link), None)
    assert figures.lines(transparent(), None) == ["redis_tap.10_0_0_5_6379.connections:0|g"]
    assert figures.lines(transparent(), None) == []


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("orders", "orders"),
        ("a.b", "a_b"),
        ("[::1]:6379", "1_6379"),
        ("a:1|c\nb:2", "a_1_c_b_2"),
        ("...", "_"),
        ("a" * 64, "a" * 64),
        ("a" * 65, "a" * 64),
    ],
)
def test_a_name_is_one_part(name: str, part: str) -> None:
    assert clean(name) == part


@pytest.mark.parametrize("size", [DATAGRAM - 3, DATAGRAM - 2, DATAGRAM - 1, DATAGRAM, DATAGRAM + 1])
def test_lines_share_a_datagram_up_to_its_size(size: int) -> None:
    first, second = "a" * (size // 2), "b" * (size - size // 2 - 1)  # size bytes with the separator
    together = [f"{first}\n{second}".encode()]
    assert datagrams([first, second]) == (together if size < DATAGRAM else [first.encode(), second.encode()])
    assert datagrams(["a" * size, "b"]) == ([b"a" * size + b"\nb"] if size + 2 < DATAGRAM else [b"a" * size, b"b"])
    assert datagrams([]) == []


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("-LOADING Redis is loading", "loading"),
        ("-ERR", "err"),
        ("-NOPERM", "noperm"),
        ("-" + "A" * 32 + " x", "a" * 32),
        ("-" + "A" * 33 + " x", "other"),
        ("-Error", "other"),
        ("- ERR", "other"),
        ("+OK", "other"),
        ("", "other"),
    ],
)
def test_a_refusal_is_counted_by_its_code(reply: str, code: str) -> None:
    figures = Figures()
    figures.hear(told(events.ResyncRefused(start=0, end=1, reply=reply)))
    assert figures.lines(transparent(), None) == [f"redis_tap.main.resyncs_refused.{code}:1|c"]


def test_of_times_that_cannot_be_sent_the_oldest_go() -> None:
    figures = Figures()
    for number in range(MAX_TIMES + 5):
        figures.hear(told(opened(), connection=number, time=100.0))
        figures.hear(told(full(), connection=number, time=100.0))
        figures.hear(told(stream(), connection=number, time=100.0 + number))
    times = [line for line in figures.lines(transparent(), None) if line.endswith("|ms")]
    assert len(times) == MAX_TIMES
    assert times[0] == "redis_tap.main.full_resync_time:5000.000|ms"
    assert not [line for line in figures.lines(transparent(), None) if line.endswith("|ms")]


def test_a_stream_without_a_grant_has_no_time_and_a_grant_is_for_one_stream() -> None:
    figures = Figures()
    figures.hear(told(opened(), time=100.0))
    figures.hear(told(stream(), time=101.0))
    figures.hear(told(full(), time=102.0))
    figures.hear(told(stream(), time=103.0))
    figures.hear(told(stream(), time=104.0))
    assert [line for line in figures.lines(transparent(), None) if "_time" in line] == [
        "redis_tap.main.full_resync_time:3000.000|ms"
    ]


def test_rare_events_are_counted_by_name() -> None:
    figures = Figures()
    problem = events.RdbProblem(start=0, end=0, problem="damaged", text="", position=7, keys=0, db=0, key=None)
    for event in (
        problem,
        problem,
        events.ConnectionsRefused(count=3, peer="10.0.0.7:1", limit="open_files", most=9),
        events.Opaque(start=0, end=0, side=Side.MASTER, reason="x"),
        events.AckAheadOfMaster(start=0, end=1, offset=9, sent=7, by_fault=False),
        events.ReplicaTalkedBack(start=0, end=1, what="error", text="-ERR", count=9),
        events.PartialResync(start=0, end=1, replid=REPLID, previous_replid=None, offset=7, bytes_behind=0),
    ):
        figures.hear(told(event))
    assert figures.lines(transparent(), None) == [
        "redis_tap.main.rdb_problems.damaged:2|c",
        "redis_tap.main.connections_refused:3|c",
        "redis_tap.main.opaque:1|c",
        "redis_tap.main.ack_ahead_of_master:1|c",
        "redis_tap.main.replica_talked_back.error:9|c",
        "redis_tap.main.partial_resyncs:1|c",
    ]


def test_a_reused_number_is_another_connection() -> None:
    figures = Figures()
    figures.hear(told(opened(), time=100.0))
    figures.hear(told(full(), time=101.0))
    figures.lines(transparent(a_connection(1, passed=1000)), None)
    figures.hear(told(closed(1000, 0), time=102.0))
    figures.lines(transparent(), None)
    figures.hear(told(stream(), time=103.0))
    assert sorted(figures.lines(transparent(a_connection(1, passed=400)), None)) == [
        "redis_tap.main.bytes_from_master:400|c",
        "redis_tap.main.connections:1|g",
        "redis_tap.main.offset:7|g",
    ]


def test_an_unknown_link_has_no_figures_but_its_connections() -> None:
    figures = Figures()
    assert figures.lines(of(a_connection(1, offset=None), a_connection(2, link="new", offset=0)), 0) == [
        "redis_tap.main.connections:1|g",
        "redis_tap.new.connections:1|g",
        "redis_tap.new.offset:0|g",
        "redis_tap.recording_lost_bytes:0|g",
    ]
    assert figures.lines(of(), None) == ["redis_tap.main.connections:0|g", "redis_tap.new.connections:0|g"]
    assert figures.lines(of(), None) == ["redis_tap.main.connections:0|g"]


@given(st.lists(st.text("abc.:|", min_size=1, max_size=300)))
def test_datagrams_hold_every_line_in_order_and_are_small(lines: list[str]) -> None:
    packed = datagrams(lines)
    assert b"\n".join(packed).decode().split("\n") == (lines or [""])
    assert all(0 < len(one) < DATAGRAM for one in packed)
    assert all(len(one) + 1 + len(after.split(b"\n")[0]) >= DATAGRAM for one, after in itertools.pairwise(packed))


NAMES = {
    "redis_tap.main.connections_opened": "c",
    "redis_tap.main.connections_closed.reset": "c",
    "redis_tap.main.connections_refused": "c",
    "redis_tap.main.full_resyncs.offset_too_old": "c",
    "redis_tap.main.partial_resyncs": "c",
    "redis_tap.main.resyncs_refused.noperm": "c",
    "redis_tap.main.commands": "c",
    "redis_tap.main.command_bytes": "c",
    "redis_tap.main.bytes_from_master": "c",
    "redis_tap.main.bytes_from_replica": "c",
    "redis_tap.main.faults_fired.my_cut": "c",
    "redis_tap.main.opaque": "c",
    "redis_tap.main.rdb_problems.damaged": "c",
    "redis_tap.main.silences.master": "c",
    "redis_tap.main.alerts.lag": "c",
    "redis_tap.main.alerts_over.lag": "c",
    "redis_tap.main.pressures.hard": "c",
    "redis_tap.main.ack_ahead_of_master": "c",
    "redis_tap.main.replica_talked_back.error": "c",
    "redis_tap.main.connections": "g",
    "redis_tap.main.output_buffer": "g",
    "redis_tap.main.offset": "g",
    "redis_tap.main.lag_bytes": "g",
    "redis_tap.main.lag_at_least": "g",
    "redis_tap.main.lag_seconds": "g",
    "redis_tap.main.master_silence": "g",
    "redis_tap.main.replica_silence": "g",
    "redis_tap.recording_lost_bytes": "g",
    "redis_tap.main.verdicts.disk_full": "g",
    "redis_tap.main.rdb_time": "ms",
    "redis_tap.main.full_resync_time": "ms",
    "redis_tap.main.partial_resync_time": "ms",
    "redis_tap.main.catch_up_time": "ms",
    "redis_tap.main.sync_phase.rdb": "ms",
    "redis_tap.main.ack_lag": "ms",  # which is not sent: no single time is known
    "redis_tap.main.output_buffer_limit": "g",
    "redis_tap.main.silent": "g",
    "redis_tap.recording_stops": "c",
}
OWN = {
    "how": "reset",
    "reason": "offset_too_old",
    "code": "noperm",
    "fault": "my.cut",
    "problem": "damaged",
    "what": "error",
    "side": "master",
    "figure": "lag",
    "cause": "disk_full",
    "limit": "hard",
    "phase": "rdb",
}


def test_every_metric_has_the_name_that_dashboards_know() -> None:
    """Names are kept for ever; a new metric is added to these."""
    labels = {"link": "main", "replica": "r:1", **OWN}
    types = {"counter": "c", "gauge": "g", "histogram": "ms"}
    named = {name_of(one, tuple(labels[label] for label in one.labels)): types[one.kind] for one in METRICS}
    assert named == NAMES


def test_a_replica_that_is_gone_takes_nothing_from_the_counts_of_its_link() -> None:
    figures = Figures()
    figures.hear(Told(100.0, "main", 1, "a:1", full()))
    assert figures.lines(Status(100.0, ()), None) == ["redis_tap.main.full_resyncs.first_sync:1|c"]
    figures.hear(Told(450.0, "main", 2, "b:1", full()))
    assert figures.lines(Status(450.0, ()), None) == ["redis_tap.main.full_resyncs.first_sync:1|c"]
    figures.hear(Told(450.0, "main", 1, "a:1", full()))
    figures.hear(Told(450.0, "main", 2, "b:1", full()))
    assert figures.lines(Status(451.0, ()), None) == ["redis_tap.main.full_resyncs.first_sync:2|c"]


@pytest.mark.parametrize(
    ("tags", "sent"),
    [
        (
            "datadog",
            [
                "redis_tap.full_resyncs:1|c|#link:orders,replica:10.0.0.7:6379,reason:first_sync",
                "redis_tap.full_resyncs:2|c|#link:orders,replica:a_b:1,reason:first_sync",
                "redis_tap.connections:1|g|#link:main",
                "redis_tap.offset:7|g|#link:main,replica:10.0.0.7:6379",
                "redis_tap.recording_lost_bytes:0|g",
                "redis_tap.rdb_time:1500.000|ms|#link:orders",
                "redis_tap.sync_phase:1500.000|ms|#link:orders,phase:rdb",
            ],
        ),
        (
            "influx",
            [
                "redis_tap.full_resyncs,link=orders,replica=10.0.0.7_6379,reason=first_sync:1|c",
                "redis_tap.full_resyncs,link=orders,replica=a_b_1,reason=first_sync:2|c",
                "redis_tap.connections,link=main:1|g",
                "redis_tap.offset,link=main,replica=10.0.0.7_6379:7|g",
                "redis_tap.recording_lost_bytes:0|g",
                "redis_tap.rdb_time,link=orders:1500.000|ms",
                "redis_tap.sync_phase,link=orders,phase=rdb:1500.000|ms",
            ],
        ),
    ],
)
def test_tags_tell_replicas_apart(tags: StatsdTags, sent: list[str]) -> None:
    figures = Figures(tags)
    figures.hear(told(opened(), link="orders"))
    figures.lines(Status(100.0, ()), None)
    figures.hear(Told(1.0, "orders", 1, "10.0.0.7:6379", full()))
    for _ in range(2):  # a host name may be anything
        figures.hear(Told(1.0, "orders", 1, "a|,#\nb:1", full()))
    figures.hear(Told(1.0, "orders", 1, "10.0.0.7:6379", finished(1.5)))
    assert figures.lines(of(a_connection(1)), 0) == sent


def test_counts_of_replicas_are_added_up_for_their_link() -> None:
    figures = Figures()
    sent = []
    for replica, times in (("a:1", 1), ("b:1", 2), ("a:1", 3)):
        for _ in range(times):
            figures.hear(Told(1.0, "main", 1, replica, full()))
        sent += figures.lines(transparent(), None)
    for replica in ("a:1", "b:1", "c:1"):
        figures.hear(Told(1.0, "main", 1, replica, full()))
    sent += figures.lines(transparent(), None)
    assert sent == [f"redis_tap.main.full_resyncs.first_sync:{count}|c" for count in (1, 2, 3, 3)]


# ---- when and to whom it sends ----

PLACES: list[tuple[int, tuple[str, int]]] = [
    (socket.AF_INET, ("127.0.0.1", 8125)),
    (socket.AF_INET, ("127.0.0.2", 8125)),
    (socket.AF_INET, ("127.0.0.3", 1)),
]


@dataclass
class Network:
    """A stand-in for a resolver and asyncio_dgram: what was sent to which host, in which second."""

    places: list[tuple[int, tuple[str, int]]]
    dead: set[str] = field(default_factory=set)  # hosts
    looked_up: list[float] = field(default_factory=list)
    sent: list[tuple[float, str, bytes]] = field(default_factory=list)
    open: list[socket.socket] = field(default_factory=list)

    async def resolved(self, address: Address) -> list[tuple[int, tuple[str, int]]]:
        assert address == HOST
        self.looked_up.append(now())
        return self.places

    async def from_socket(self, sock: socket.socket) -> Any:
        assert not sock.getblocking()
        assert sock.type == socket.SOCK_DGRAM
        self.open.append(sock)
        host = sock.getpeername()[0]

        async def send(data: bytes) -> None:
            if host in self.dead:
                raise ConnectionRefusedError(111, "Connection refused")
            self.sent.append((now(), host, data))

        def close() -> None:
            self.open.remove(sock)
            sock.close()

        return SimpleNamespace(send=send, close=close, recv=asyncio.Event().wait)

    def hosts(self) -> list[str]:
        return [host for _, host, _ in self.sent]


HOST = Address("metrics.example", 8125)


def now() -> float:
    """Seconds since the loop began."""
    return asyncio.get_running_loop().time() - 1000


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    one = Network(PLACES[:1])
    monkeypatch.setattr("tap.observers.statsd.resolved", one.resolved)
    monkeypatch.setattr("asyncio_dgram.from_socket", one.from_socket)
    return one


def a_statsd() -> tuple[StatsD, Bus, list[str]]:
    """A StatsD observer that is not sending yet, and the troubles that it will report."""
    bus, said = Bus(), list[str]()

    def hear(told: Told) -> None:
        if isinstance(told.event, events.ObserverTrouble):
            assert told.event.observer == f"statsd {HOST}"
            assert (told.link, told.connection) == ("", 0)
            said.append(told.event.text)

    bus.subscribe(hear, without=(events.Command, events.RdbKey, events.Ack))
    return StatsD(HOST), bus, said


def sending(story: Callable[[StatsD, Bus], Coroutine[Any, Any, None]], **other: Any) -> list[str]:
    """The troubles reported by one that sends while the story goes on."""

    async def run() -> list[str]:
        one, bus, said = a_statsd()
        end = attached(one, bus, **{"status": of, **other}).stop
        await story(one, bus)
        await end()
        return said

    return acted(run())


def test_counts_are_sent_once_a_second_and_at_the_end(network: Network) -> None:
    async def story(one: StatsD, bus: Bus) -> None:
        await asyncio.sleep(1.5)
        bus.publish("main", 1, "", opened())
        await asyncio.sleep(1)
        bus.publish("main", 1, "", opened())

    assert sending(story, lost_bytes=lambda: 7) == []
    gauges = b"redis_tap.main.connections:0|g\nredis_tap.recording_lost_bytes:7|g"
    counted = b"redis_tap.main.connections_opened:1|c\n" + gauges
    assert network.sent == [(1.0, "127.0.0.1", gauges), (2.0, "127.0.0.1", counted), (2.5, "127.0.0.1", counted)]
    assert network.open == []
    assert network.looked_up == [1.0]


def test_high_volume_events_are_not_made_for_statsd(network: Network) -> None:
    async def story(one: StatsD, bus: Bus) -> None:
        assert [kind for kind in COUNTLESS if bus.takes(kind)] == []

    sending(story)


def test_the_name_is_resolved_again_after_a_minute(network: Network) -> None:
    async def story(one: StatsD, bus: Bus) -> None:
        await asyncio.sleep(2)
        network.places = PLACES[1:2]
        await asyncio.sleep(RENEW_SECONDS - 1)
        assert set(network.hosts()) == {"127.0.0.1"}
        await asyncio.sleep(2)
        assert network.hosts()[-1] == "127.0.0.2"
        assert len(network.open) == 1

    assert sending(story) == []
    assert network.looked_up == [1.0, RENEW_SECONDS + 2]


def test_each_address_is_tried_in_turn_and_one_report_covers_all_failures(network: Network) -> None:
    network.places = PLACES
    network.dead = {"127.0.0.1", "127.0.0.2", "127.0.0.3"}

    async def story(one: StatsD, bus: Bus) -> None:
        told: list[Event] = []
        bus.subscribe(lambda one: told.append(one.event))
        await asyncio.sleep(2.5)
        assert told == []
        await asyncio.sleep(1)
        assert len(told) == 1
        await asyncio.sleep(6)
        assert network.open == []
        network.dead = {"127.0.0.1", "127.0.0.3"}
        await asyncio.sleep(3)

    assert sending(story) == ["Connection refused; it is tried again"]
    assert set(network.hosts()) == {"127.0.0.2"}
    assert network.looked_up[:9] == [float(second) for second in range(1, 10)]


def test_a_failure_is_reported_again_after_a_good_minute(network: Network) -> None:
    async def story(one: StatsD, bus: Bus) -> None:
        network.dead = {"127.0.0.1"}
        await asyncio.sleep(3.5)
        network.dead = set()
        await asyncio.sleep(10)
        network.dead = {"127.0.0.1"}  # not for long enough
        await asyncio.sleep(2)
        network.dead = set()
        await asyncio.sleep(RENEW_SECONDS + 5)
        network.dead = {"127.0.0.1"}
        await asyncio.sleep(3)
        network.dead = set()

    assert sending(story) == ["Connection refused; it is tried again"] * 2


def test_of_several_addresses_the_working_one_is_kept(network: Network) -> None:
    network.places = PLACES
    network.dead = {"127.0.0.1"}

    async def story(one: StatsD, bus: Bus) -> None:
        await asyncio.sleep(2 * RENEW_SECONDS + 10)

    assert sending(story) == []
    assert set(network.hosts()) == {"127.0.0.2"}


def test_a_client_closed_by_another_is_reported_too(network: Network) -> None:
    async def story(one: StatsD, bus: Bus) -> None:
        await asyncio.sleep(1.1)

        async def send(data: bytes) -> None:
            raise asyncio_dgram.TransportClosed("closed")

        one._client.send = send
        await asyncio.sleep(1.5)

    assert sending(story) == ["closed; it is tried again"]


def test_a_name_that_no_resolver_accepts_is_reported(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolved(address: Address) -> list[Any]:
        raise ValueError("label too long")

    monkeypatch.setattr("tap.observers.statsd.resolved", resolved)

    async def story(one: StatsD, bus: Bus) -> None:
        await asyncio.sleep(5)

    assert sending(story) == [f"{UNRESOLVABLE}; it is tried again"]


def test_what_was_opened_in_vain_is_closed(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    socks: list[socket.socket] = []

    async def from_socket(sock: socket.socket) -> Any:
        socks.append(sock)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("asyncio_dgram.from_socket", from_socket)

    async def story(one: StatsD, bus: Bus) -> None:
        await asyncio.sleep(1.5)

    (told,) = sending(story)
    assert told.startswith("Too many open files")
    assert [sock.fileno() for sock in socks] == [-1, -1]


def test_it_ends_in_time_without_an_answer(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolved(address: Address) -> list[Any]:
        await asyncio.sleep(3600)
        return []

    monkeypatch.setattr("tap.observers.statsd.resolved", resolved)

    async def run() -> tuple[list[str], float]:
        one, bus, said = a_statsd()
        end = attached(one, bus).stop
        await asyncio.sleep(5)
        await end()
        return said, now()

    said, ended = acted(run())
    assert said == ["the last figures could not be sent in time; it is tried again"]
    assert ended == pytest.approx(5 + END_SECONDS)


def test_one_that_never_began_or_has_ended_sends_nothing(network: Network) -> None:
    async def run() -> None:
        one, bus, _ = a_statsd()
        await one.stop()
        assert network.sent == []
        end = attached(one, bus).stop
        await end()
        assert len(network.sent) == 1
        await one.stop()
        await asyncio.sleep(10)

    acted(run())
    assert len(network.sent) == 1


def test_an_internal_error_is_logged_and_ends_only_statsd(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    def status() -> Status:
        if now() == 1.0:
            raise ZeroDivisionError
        return of()

    async def story(one: StatsD, bus: Bus) -> None:
        await asyncio.sleep(10)
        assert network.sent == []

    assert sending(story, status=status) == []
    assert caplog.messages == ["StatsD failed and is over, the links go on; please report this"]


# ---- a real socket ----


@dataclass
class Receiver:
    """A StatsD that keeps what it receives."""

    sock: socket.socket
    datagrams: list[bytes] = field(default_factory=list)

    def lines(self) -> list[str]:
        return [line for one in tuple(self.datagrams) for line in one.decode().split("\n")]

    def total(self, name: str) -> int:
        """The total of a counter."""
        return sum(int(value[:-2]) for line in self.lines() for what, _, value in [line.partition(":")] if what == name)

    def last(self, name: str) -> str:
        """The newest value of a gauge or a time."""
        return next(
            (value for line in reversed(self.lines()) for what, _, value in [line.partition(":")] if what == name), ""
        )

    def run(self) -> None:
        while datagram := self.sock.recv(65536):
            self.datagrams.append(datagram)

    @classmethod
    @contextlib.contextmanager
    def at(cls, port: int = 0, host: str = "127.0.0.1") -> Iterator[Self]:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((host, port))
            one = cls(sock)
            thread = threading.Thread(target=one.run, name="statsd receiver")
            thread.start()
            try:
                yield one
            finally:
                sock.sendto(b"", sock.getsockname())
                thread.join()

    @property
    def address(self) -> Address:
        host, port = self.sock.getsockname()[:2]
        return Address(host, port)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no test has to wait for a second."""
    monkeypatch.setattr("tap.observers.statsd.INTERVAL_SECONDS", 0.05)


def sending_to(address: Address, master: int, **options: Any) -> TapThread:
    link = LinkConfig(master=Address("127.0.0.1", master))
    return TapThread(Config(links=(link,), statsd=address, **options))


def trouble(tap: TapThread) -> list[str]:
    return [f"{one.observer}: {one.text}" for one in tap.events(events.ObserverTrouble)]


@pytest.mark.usefixtures("often")
def test_a_full_and_a_partial_resync_give_their_figures(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    with Receiver.at() as receiver:
        with sending_to(receiver.address, master.port) as tap:
            follow(replica, tap.port)
            level(master, replica)
            tap.wait_for(events.StreamStarted)
            writer = client(master)
            for number in range(100):
                writer.set(f"key:{number}", "x" * 100)
            tap.cut()
            tap.wait_for(events.PartialResync)
            offset = level(master, replica)
            tap.wait_for(events.StreamStarted, 2)
            wait_until(lambda: int((receiver.last("redis_tap.main.offset") or "0|g")[:-2]) >= offset)
            wait_until(lambda: receiver.last("redis_tap.main.lag_bytes") == "0|g")
            assert receiver.last("redis_tap.main.connections") == "1|g"
        closed = tap.events(events.LinkClosed)
        assert digest(master) == digest(replica)
        resyncs = len(tap.events(events.FullResync)), len(tap.events(events.PartialResync))
        # the last figures are sent at the end
        wait_until(lambda: receiver.total("redis_tap.main.connections_closed.fin") == len(closed))
        assert trouble(tap) == []
    assert resyncs == (1, 1)
    [full_resync] = tap.events(events.FullResync)
    assert receiver.total(f"redis_tap.main.full_resyncs.{full_resync.reason.code}") == 1
    assert receiver.total("redis_tap.main.partial_resyncs") == 1
    assert receiver.total("redis_tap.main.connections_opened") == len(closed)
    assert receiver.total("redis_tap.main.bytes_from_master") == sum(one.bytes_from_master for one in closed)
    assert receiver.total("redis_tap.main.bytes_from_replica") == sum(one.bytes_from_replica for one in closed)
    batches = tap.events(events.Commands)
    assert receiver.total("redis_tap.main.commands") == sum(one.count for one in batches) >= 100
    assert receiver.total("redis_tap.main.command_bytes") == sum(one.bytes for one in batches)
    for time in ("rdb_time", "full_resync_time", "partial_resync_time"):
        assert float(receiver.last(f"redis_tap.main.{time}").removesuffix("|ms")) >= 0
    assert all(len(one) < DATAGRAM for one in receiver.datagrams)


@pytest.mark.usefixtures("often")
def test_a_dead_host_is_reported_once_and_found_when_it_is_back() -> None:
    with Receiver.at() as receiver:
        address = receiver.address
    with sending_to(address, 1) as tap:
        wait_until(lambda: trouble(tap))
        with Receiver.at(address.port) as receiver:
            wait_until(lambda: receiver.last("redis_tap.main.connections") == "0|g")
        assert trouble(tap) == [f"statsd {address}: Connection refused; it is tried again"]


@pytest.mark.usefixtures("often")
def test_an_unknown_name_is_reported_once_and_does_not_delay_the_end() -> None:
    address = Address("no.such.host.invalid", 8125)
    with sending_to(address, 1) as tap:
        wait_until(lambda: trouble(tap))
    said = trouble(tap)
    assert said[0].startswith("statsd no.such.host.invalid:8125: the name cannot be resolved (")
    assert len(said) == 1


@pytest.mark.usefixtures("often")
def test_a_silent_resolver_does_not_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answers = threading.Event(), threading.Event()

    def silent(*_: object, **__: object) -> list[Any]:
        asked.set()
        answers.wait()
        return []

    with sending_to(Address("slow.example", 8125), 1) as tap:
        with monkeypatch.context() as patched:
            patched.setattr("socket.getaddrinfo", silent)
            assert asked.wait(30)
            assert tap.end()
        answers.set()
    assert trouble(tap) == ["statsd slow.example:8125: the last figures could not be sent in time; it is tried again"]


def resolve(monkeypatch: pytest.MonkeyPatch, name: str, places: Callable[[], list[tuple[str, int]]]) -> None:
    """Resolve only that name to these: the tap's listener asks, too."""
    real = socket.getaddrinfo

    def found(host: Any, *rest: Any, **named: Any) -> list[Any]:
        if host != name:
            return real(host, *rest, **named)
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", place) for place in places()]

    monkeypatch.setattr("socket.getaddrinfo", found)


@pytest.mark.usefixtures("often")
def test_of_a_name_with_two_addresses_the_one_that_listens_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As "localhost", if the agent listens on IPv4 only."""
    with Receiver.at() as receiver:
        port = receiver.address.port

        resolve(monkeypatch, "localhost", lambda: [("127.0.0.2", port), ("127.0.0.1", port)])
        with sending_to(Address("localhost", port), 1) as tap:
            wait_until(lambda: receiver.datagrams)
        assert trouble(tap) == []


@pytest.mark.usefixtures("often")
def test_a_host_that_has_moved_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap.observers.statsd.RENEW_SECONDS", 0.0)
    with Receiver.at() as first, Receiver.at() as second:
        lives = first.sock.getsockname()
        resolve(monkeypatch, "metrics.example", lambda: [lives])
        with sending_to(Address("metrics.example", 8125), 1) as tap:
            wait_until(lambda: first.datagrams)
            lives = second.sock.getsockname()
            wait_until(lambda: second.datagrams)
        assert trouble(tap) == []


@pytest.mark.usefixtures("often")
def test_figures_go_over_ipv6() -> None:
    with contextlib.ExitStack() as stack:
        try:
            receiver = stack.enter_context(Receiver.at(host="::1"))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        stack.enter_context(sending_to(receiver.address, 1))
        wait_until(lambda: receiver.last("redis_tap.main.connections") == "0|g")


# ---- the option ----


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.7", Address("10.0.0.7", 8125)),
        ("metrics.example:9125", Address("metrics.example", 9125)),
        ("[::1]:8125", Address("::1", 8125)),
        ("[::1]", Address("::1", 8125)),
        (":9125", Address("127.0.0.1", 9125)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert statsd_address(text) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("unix:/run/statsd.sock", "'unix:/run/statsd.sock' is not the address of a StatsD server: write HOST:PORT"),
        ("h:0", "'h:0' is not the address of a StatsD server"),
        ("h:x", "'h:x' is not an address: 'x' is not a port"),
        ("::1:8125", "an IPv6 address is written in brackets"),
        ("user:sekret@h:1", "without a user or a password"),
    ],
)
def test_an_impossible_address_is_explained(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        statsd_address(text)
    path = tmp_path / "tap.toml"
    path.write_text(f"statsd = '{text}'\n[links.a]\nmaster = 'h:1'\n")
    with pytest.raises(ConfigError, match="line 1: statsd: "):
        load(path)


def test_replies_of_a_statsd_are_not_kept(often: None) -> None:
    """Otherwise anyone who knows the source of the figures could fill the tap's memory with datagrams."""

    async def run() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.setblocking(False)
            bus = Bus()
            one = StatsD(Address("127.0.0.1", peer.getsockname()[1]))
            end = attached(one, bus).stop
            _, place = await asyncio.get_running_loop().sock_recvfrom(peer, DATAGRAM)
            taken: list[int] = []
            for number in range(3000):
                peer.sendto(b"x" * 100, place)
                if number % 10 == 0:
                    await asyncio.sleep(0)
                    taken.append(one._client._recvq.qsize())
            async with asyncio.timeout(WITHIN):
                while one._client._recvq.qsize():
                    await asyncio.sleep(0.01)
            assert max(taken) < 20
            await end()
            assert one._ignoring is not None
            assert one._ignoring.done()

    asyncio.run(run())
