"""The values that events and the present status give to metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tap.bus import Told
from tap.observers import series as module
from tap.observers.metrics import METRICS, OTHER, REPLICA
from tap.observers.series import KEEP_SECONDS, MAX_SERIES, Metrics, Sample
from tap.replication import events
from tap.replication.events import Event, Reason
from tap.replication.tallied_times import SYNC_BOUNDS as TIMES
from tap.status import Distribution, LinkStatus, Status
from tap.url import Address
from tests.console.telling import verdict
from tests.observers.test_statsd import REPLID, a_connection, closed, finished, full, of, opened, stream

NAMED = {metric.name: metric for metric in METRICS}


def told(event: Event, *, link: str = "main", connection: int = 1, time: float = 100.0, replica: str = "r:1") -> Told:
    return Told(time, link, connection, replica, event)


def counted(samples: Iterable[Sample]) -> dict[tuple[str, ...], Any]:
    """Values by the metric's name and the labels."""
    return {(one.metric.name, *one.labels): one.value for one in samples}


def partial() -> Event:
    return events.PartialResync(start=0, end=1, replid=REPLID, previous_replid=None, offset=7, bytes_behind=0)


# ---- counters ----


def test_a_counter_grows_by_what_its_event_adds() -> None:
    one = Metrics()
    batch = events.Commands(start=0, end=80, offset=87, count=3, bytes=80, by_name={}, db=0, in_transaction=False)
    for event in (opened(), full(), full("offset_too_old"), full(), partial(), batch, batch):
        one.event(told(event))
    one.event(told(full(), replica="r:2"))
    assert counted(one.samples()) == {
        ("connections_opened", "main"): 1,
        ("full_resyncs", "main", "r:1", "first_sync"): 2,
        ("full_resyncs", "main", "r:1", "offset_too_old"): 1,
        ("full_resyncs", "main", "r:2", "first_sync"): 1,
        ("partial_resyncs", "main", "r:1"): 1,
        ("commands", "main", "r:1"): 6,
        ("command_bytes", "main", "r:1"): 160,
    }


def test_counters_never_fall() -> None:
    one = Metrics()
    values = []
    one.event(told(opened()))
    for passed in (100, 250, 250):
        one.read(of(a_connection(1, passed=passed)), None)
        values.append(counted(one.samples())["bytes_from_master", "main"])
    one.event(told(closed(300, 20)))
    for passed in (0, 40):  # of a new connection with the same number
        one.read(of(a_connection(1, passed=passed)), None)
        values.append(counted(one.samples())["bytes_from_master", "main"])
    assert values == [100, 250, 250, 300, 340]
    assert counted(one.samples())["bytes_from_replica", "main"] == 20


def test_a_link_keeps_its_name_while_codes_and_replicas_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SERIES", 2)
    one = Metrics()

    def resync(link: str, replica: str, code: str) -> None:
        reason = Reason(code=code, text="")
        event = events.FullResync(start=0, end=1, replid=REPLID, offset=7, reason=reason)
        one.event(told(event, link=link, replica=replica))

    resync("a", "r:1", "x")
    resync("a", "r:2", "x")
    resync("a", "r:3", "x")
    resync("a", "r:1", "x")  # has its series
    resync("a", "r:4", "x")
    resync("a", "r:5", "y")
    resync("a", "r:6", "z")
    resync("b", "r:1", "x")
    resync("c", "r:1", "x")
    resync("d", "r:1", "x")
    assert counted(one.samples()) == {
        ("full_resyncs", "a", "r:1", "x"): 2,
        ("full_resyncs", "a", "r:2", "x"): 1,
        ("full_resyncs", "a", OTHER, "x"): 2,
        ("full_resyncs", "a", OTHER, "y"): 1,
        ("full_resyncs", "a", OTHER, OTHER): 1,
        ("full_resyncs", "b", OTHER, OTHER): 1,
        ("full_resyncs", OTHER, OTHER, OTHER): 2,
    }


def test_values_chosen_by_peers_take_bounded_memory() -> None:
    one = Metrics()
    for number in range(5 * MAX_SERIES):
        resync = events.ResyncRefused(start=0, end=1, reply="-LOADING wait")
        one.event(told(resync, link=f"10.0.0.{number}:6379", connection=number))
        one.event(told(full(f"code_{number}"), link=f"10.0.0.{number}:6379", replica=f"r:{number}"))
        one.event(told(finished(1.0), link=f"10.0.0.{number}:6379"))
    assert len(one.samples()) <= 6 * MAX_SERIES + 3
    assert sum(value for (name, *_), value in counted(one.samples()).items() if name == "full_resyncs") == 5 * MAX_SERIES


def test_replicas_that_are_gone_leave_nothing_behind() -> None:
    one = Metrics()
    for number in range(100):
        time, replica = 100.0 + number, f"10.0.0.{number}:6379"
        for event in (opened(), full(), partial(), verdict(cause="disk_full")):
            one.event(told(event, connection=number, time=time, replica=replica))
        one.event(told(events.VerdictOver(cause="disk_full", count=4, seconds=9.0), time=time, replica=replica))
        one.read(of(a_connection(number)._replace(replica=replica, master_silence=1.0)), None)
        one.event(told(closed(100, 20), connection=number, time=time, replica=replica))
    assert len([key for key in counted(one.samples()) if key[0] == "full_resyncs"]) == 100
    one.read(Status(210.0 + KEEP_SECONDS, of().links), None)
    left = counted(one.samples())
    assert not [key for key in left if REPLICA in NAMED[key[0]].labels]
    assert len(left) == len({name for name, *_ in left})
    assert not any(of_a_connection(one))


def of_a_connection(one: Metrics) -> list[Any]:
    return [one._passed, one._beginnings, one._loops]


def test_a_replica_that_is_connected_keeps_what_it_has_counted() -> None:
    one = Metrics()
    one.event(told(full(), replica="10.0.0.7:6379"))
    for time in (200.0, 200.0 + KEEP_SECONDS, 200.0 + 2 * KEEP_SECONDS):
        one.read(Status(time, of(a_connection(1)).links), None)
    assert counted(one.samples())["full_resyncs", "main", "10.0.0.7:6379", "first_sync"] == 1
    one.read(Status(201.0 + 3 * KEEP_SECONDS, ()), None)
    assert ("full_resyncs", "main", "10.0.0.7:6379", "first_sync") not in counted(one.samples())


def test_the_counters_of_a_configured_link_begin_at_zero() -> None:
    one = Metrics()
    link = LinkStatus("orders", Address("127.0.0.1", 1), Address("127.0.0.1", 2), ())
    one.read(Status(1.0, (link,)), None)
    assert counted(one.samples()) == {
        ("connections_opened", "orders"): 0,
        ("connections_refused", "orders"): 0,
        ("bytes_from_master", "orders"): 0,
        ("bytes_from_replica", "orders"): 0,
        ("opaque", "orders"): 0,
        ("ack_ahead_of_master", "orders"): 0,
        ("connections", "orders"): 0,
    }


# ---- gauges ----


def test_gauges_show_the_moment_by_replica() -> None:
    one = Metrics()
    near = a_connection(1, offset=2**60, lag=(10, 0.25))
    far = a_connection(2, offset=None, lag=(30, 0.0))._replace(replica="r:2", lag_at_least=True)
    one.read(of(near, far), 4096)
    gauges = {key: value for key, value in counted(one.samples()).items() if NAMED[key[0]].kind == "gauge"}
    assert gauges == {
        ("connections", "main"): 2,
        ("offset", "main", "10.0.0.7:6379"): 2**60,
        ("lag_bytes", "main", "10.0.0.7:6379"): 10,
        ("lag_at_least", "main", "10.0.0.7:6379"): 0,
        ("lag_seconds", "main", "10.0.0.7:6379"): 0.25,
        ("lag_bytes", "main", "r:2"): 30,
        ("lag_at_least", "main", "r:2"): 1,
        ("lag_seconds", "main", "r:2"): 0.0,
        ("recording_lost_bytes",): 4096,
    }
    one.read(of(), None)
    gauges = {key: value for key, value in counted(one.samples()).items() if NAMED[key[0]].kind == "gauge"}
    assert gauges == {("connections", "main"): 0}


def test_of_two_connections_of_one_replica_the_higher_figure_counts() -> None:
    one = Metrics()
    one.read(of(a_connection(1, offset=9), a_connection(2, offset=5)), None)
    assert counted(one.samples())["offset", "main", "10.0.0.7:6379"] == 9


# ---- histograms ----


def test_an_observation_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() -> None:
    seen: list[tuple[str, tuple[str, ...], float]] = []
    one = Metrics(observed=lambda histogram, labels, value: seen.append((histogram.name, labels, value)))
    times = (0.0, TIMES[0], 0.004, 1.0, TIMES[-1], 5000.0)
    for seconds in times:
        one.event(told(finished(seconds)))
    [found] = [sample.value for sample in one.samples()]
    assert isinstance(found, Distribution)
    assert found.sum == sum(times)
    assert {bound: count for bound, count in zip(TIMES, found.counts, strict=False) if count} == {
        TIMES[0]: 2,
        0.01: 1,
        1.0: 1,
        TIMES[-1]: 1,
    }
    assert found.counts[len(TIMES) :] == (1,)
    assert found.cumulative[-1] == len(times)
    assert found.cumulative[:3] == (2, 3, 3)
    assert seen == [("rdb_time", ("main",), seconds) for seconds in times]


def test_a_sample_does_not_change_after_it_was_taken() -> None:
    one = Metrics()
    one.event(told(finished(1.0)))
    before = one.samples()
    one.event(told(finished(2.0)))
    assert before[0].value != one.samples()[0].value


def test_the_time_of_a_resync_runs_from_its_connection_to_its_stream() -> None:
    one = Metrics()
    for event, time in ((opened(), 100.0), (full(), 101.0), (stream(), 102.5), (stream(), 104.0)):
        one.event(told(event, time=time))
    for event, time in ((opened(), 200.0), (partial(), 200.1), (stream(), 200.25)):
        one.event(told(event, time=time, connection=2))
    sums = {
        sample.metric.name: (sum(sample.value.counts), sample.value.sum)
        for sample in one.samples()
        if isinstance(sample.value, Distribution)
    }
    assert sums == {"full_resync_time": (1, 2.5), "partial_resync_time": (1, 0.25)}


def test_each_phase_of_a_sync_is_timed() -> None:
    one = Metrics()
    asks = events.PsyncRequested(start=0, end=1, replid=None, offset=-1)
    begins = events.RdbStarted(start=0, end=1, transfer=events.Transfer.DISK, size=7, version=11, aux={})
    for event, time in ((opened(), 1.0), (asks, 1.5), (asks, 2.0), (full(), 3.0), (begins, 3.5), (finished(2.0), 5.5)):
        one.event(told(event, time=time))
    link = LinkStatus("main", Address("127.0.0.1", 1), None, (), load_times=Distribution((0, 1), 7.0))
    one.read(Status(6.0, (link,)), None)
    values = {labels[1]: value for (metric, *labels), value in counted(one.samples()).items() if metric == "sync_phase"}
    assert {phase: (sum(value.counts), value.sum) for phase, value in values.items()} == {
        "handshake": (1, 0.5),
        "waiting": (1, 2.0),
        "rdb": (1, 2.0),
        "loading": (1, 7.0),
    }


def test_loops_are_counted_by_cause_while_they_last() -> None:
    one = Metrics()

    def gauges() -> dict[tuple[str, ...], Any]:
        one.read(Status(0.0, ()), None)
        return {key: value for key, value in counted(one.samples()).items() if key[0] == "verdicts"}

    assert gauges() == {}
    one.event(told(verdict(cause="output_buffer")))
    one.event(told(verdict(cause="output_buffer"), replica="r:2"))
    one.event(told(verdict(cause="output_buffer"), replica="r:2"))
    assert gauges() == {("verdicts", "main", "output_buffer"): 2}
    one.event(told(verdict(cause="disk_full")))
    one.event(told(events.VerdictOver(cause="output_buffer", count=4, seconds=9.0), replica="r:2"))
    assert gauges() == {("verdicts", "main", "output_buffer"): 0, ("verdicts", "main", "disk_full"): 1}


def test_a_loop_that_is_counted_may_change_its_cause_when_no_more_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SERIES", 2)
    one = Metrics()
    for replica, cause in (
        ("r:1", "disk_full"),
        ("r:2", "output_buffer"),
        ("r:3", "disk_full"),
        ("r:1", "output_buffer"),
    ):
        one.event(told(verdict(cause=cause), replica=replica))
    one.read(Status(0.0, ()), None)
    gauges = {key: value for key, value in counted(one.samples()).items() if key[0] == "verdicts"}
    assert gauges == {("verdicts", "main", "disk_full"): 0, ("verdicts", "main", "output_buffer"): 2}


def test_a_status_without_links_has_no_gauges() -> None:
    one = Metrics()
    one.read(Status(1.0, ()), None)
    assert one.samples() == []
