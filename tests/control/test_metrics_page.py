"""/metrics: what prometheus-client, promtool and a client of a real pair read."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tap.bus import Bus, Told
from tap.control.metrics_page import MetricsPage, exposed_name
from tap.observers.metrics import METRICS, Histogram
from tap.observers.series import Reading
from tap.replication import events
from tap.status import ConnectionStatus, Distribution, LinkStatus
from tap.url import Address
from tests.console.telling import verdict
from tests.control.asking import LOOPBACK_API, asked
from tests.observers.test_statsd import a_connection, closed, finished, full, opened
from tests.support import Servers, client, follow, level, wait_until

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool, of Debian's prometheus, is missing"
)
LONGEST_TURN = 0.05  # seconds; measured: 2 ms on a quiet machine, and a busy one stops the process for longer than that


def samples(page: bytes) -> dict[tuple[str, ...], float]:
    """Values by name and the values of labels, in the order of their names."""
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(page.decode())
        for one in family.samples
    }


class Tap:
    """Stands for a tap with connections that are not of sockets."""

    def __init__(self, *statuses: ConnectionStatus, lost_bytes: int | None = None) -> None:
        self.bus = Bus()
        self.recorder = None if lost_bytes is None else SimpleNamespace(lost_bytes=lost_bytes)
        self.connections = [SimpleNamespace(closed=False, status=lambda one=one: one) for one in statuses]
        self.times = Distribution((1,) + (0,) * 12, 0.00005)
        self.listeners = [SimpleNamespace(connections=self.connections, own_status=self._link())]

    def _link(self) -> LinkStatus:
        here = Address("127.0.0.1", 6400)
        return LinkStatus("main", here, Address("127.0.0.1", 6379), (), ack_times=self.times)

    def tell(self, event: Any, replica: str = "10.0.0.7:6379", connection: int = 1) -> None:
        self.bus.tell(Told(time.time(), "main", connection, replica, event))


def page_of(tap: Any) -> MetricsPage:
    return MetricsPage(tap)


def test_names_follow_the_conventions_of_prometheus() -> None:
    names = {one.name: exposed_name(one) for one in METRICS}
    assert len(set(names.values())) == len(METRICS)
    for one in METRICS:
        name = names[one.name]
        assert name.startswith("redis_tap_")
        assert name.endswith("_total") == (one.kind == "counter"), name
        if one.unit:
            assert name.removesuffix("_total").endswith(f"_{one.unit}"), name
    assert names["bytes_from_master"] == "redis_tap_from_master_bytes_total"
    assert names["full_resync_time"] == "redis_tap_full_resync_seconds"


def everything() -> Tap:
    """A tap with a series of nearly every metric, and values that need quoting."""
    one = a_connection(1, passed=1000, lag=(10, 0.25))._replace(master_silence=1.5, buffer_bytes=7)
    tap = Tap(one, a_connection(2)._replace(replica='odd "name"\\\n'), lost_bytes=4096)
    page = page_of(tap)
    for event in (opened(), full(), finished(1.25), verdict(cause="disk_full"), closed(5, 5, "reset")):
        tap.tell(event, connection=7)
    tap.tell(events.RecordingStopped(text="disk full"))
    tap.page = page  # type: ignore[attr-defined]
    return tap


def test_the_page_holds_every_series() -> None:
    tap: Any = everything()
    page = asyncio.run(tap.page.page())
    found = samples(page)
    assert found["redis_tap_full_resyncs_total", "main", "first_sync", "10.0.0.7:6379"] == 1
    assert found["redis_tap_from_master_bytes_total", "main"] == 1005
    assert found["redis_tap_lag_seconds", "main", "10.0.0.7:6379"] == 0.25
    assert found["redis_tap_offset", "main", 'odd "name"\\\n'] == 7
    assert found["redis_tap_recording_lost_bytes",] == 4096
    assert found["redis_tap_recording_stops_total",] == 1
    assert found["redis_tap_ack_lag_seconds_bucket", "0.0001", "main"] == 1
    assert found["redis_tap_ack_lag_seconds_count", "main"] == 1
    assert found["redis_tap_sync_phase_seconds_sum", "main", "rdb"] == 1.25
    assert [key for key in found if key[0] == "redis_tap_build_info"]


@needs_promtool
def test_promtool_finds_nothing() -> None:
    tap: Any = everything()
    page = asyncio.run(tap.page.page())
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_connection_that_closes_during_a_scrape_is_counted_once() -> None:
    tap = Tap(*(a_connection(number, passed=100) for number in range(200)))
    page = page_of(tap)

    async def scrape() -> bytes:
        scraping = asyncio.create_task(page.page())
        await asyncio.sleep(0)
        for number in (0, 199):  # one that was read already, and one that was not
            tap.tell(closed(100, 0), connection=number)
            tap.connections[number].closed = True
        return await scraping

    found = samples(asyncio.run(scrape()))
    assert found["redis_tap_from_master_bytes_total", "main"] == 200 * 100


def test_a_metric_of_many_series_has_one_head_and_every_series() -> None:
    tap = Tap(*(a_connection(number)._replace(replica=f"10.0.0.7:{number}") for number in range(1000)))
    page = asyncio.run(page_of(tap).page())
    assert page.count(b"# TYPE redis_tap_offset gauge\n") == 1
    assert len([key for key in samples(page) if key[0] == "redis_tap_offset"]) == 1000


def test_a_thousand_replicas_hold_the_event_loop_for_a_moment_only() -> None:
    """For the figure on a quiet machine see docs/speed.md."""
    silences: dict[str, Any] = {"master_silence": 1.0, "replica_silence": 1.0, "buffer_bytes": 0}
    replicas = [
        a_connection(number, lag=(1, 0.1))._replace(replica=f"10.0.0.7:{number}", **silences) for number in range(1000)
    ]
    tap = Tap(*replicas)
    page = page_of(tap)
    for one in replicas:
        tap.tell(full(), replica=one.replica)

    async def scrape() -> float:
        scraping = asyncio.create_task(page.page())
        longest, last = 0.0, time.thread_time()
        while not scraping.done():
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now
        await scraping
        return longest

    longest = asyncio.run(scrape())
    print(f"longest turn: {1000 * longest:.2f} ms")
    assert longest < LONGEST_TURN


def test_scrapes_at_once_share_a_page() -> None:
    tap = Tap(*(a_connection(number) for number in range(200)))
    page = page_of(tap)
    begun = []
    reading = page._metrics.reading

    def counting(time: float) -> Reading:
        begun.append(time)
        return reading(time)

    page._metrics.reading = counting  # type: ignore[method-assign]

    async def scrape() -> list[bytes]:
        return list(await asyncio.gather(*(page.page() for _ in range(20))))

    pages = asyncio.run(scrape())
    assert len(begun) <= 2
    assert len(set(map(len, pages))) == 1


def test_figures_of_a_real_pair_move_as_bytes_flow(servers: Servers, any_server: str) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(LOOPBACK_API, links=f"127.0.0.1:{master.port}") as tap:

        def figure(name: str) -> float:
            reply = tap.client.get("/metrics")
            assert reply.status == 200
            assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
            return sum(value for key, value in samples(reply.body).items() if key[0] == name)

        assert figure("redis_tap_full_resyncs_total") == 0
        follow(replica, tap.thread.port)
        client(master).set("key", "v" * 1000)
        level(master, replica)
        wait_until(lambda: figure("redis_tap_full_resyncs_total") == 1)
        before = figure("redis_tap_from_master_bytes_total")
        assert before > 100
        client(master).set("key", "v" * 100_000)
        level(master, replica)
        wait_until(lambda: figure("redis_tap_from_master_bytes_total") > before + 100_000)
        wait_until(lambda: figure("redis_tap_ack_lag_seconds_count") > 0)
        for phase in ("handshake", "waiting", "rdb", "loading"):
            found = samples(tap.client.get("/metrics").body)
            assert found["redis_tap_sync_phase_seconds_count", "main", phase] >= 1, phase


def test_every_histogram_has_bounds_that_a_float_prints_shortly() -> None:
    assert all("e" not in str(bound) for one in METRICS if isinstance(one, Histogram) for bound in one.buckets)
