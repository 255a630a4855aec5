"""The declarations of metrics."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tap.bus import COUNTLESS
from tap.observers.metrics import (
    LINK,
    METRICS,
    REPLICA,
    Counter,
    Gauge,
    Histogram,
)

NAMED = {metric.name: metric for metric in METRICS}


def test_names_and_labels_fit_every_monitoring_system() -> None:
    """Prometheus: [a-zA-Z_:][a-zA-Z0-9_:]* and labels without a colon; "le" is the label of its buckets."""
    assert len(NAMED) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z_]*", metric.name), metric.name
        assert all(re.fullmatch(r"[a-z]+", label) and label != "le" for label in metric.labels), metric.name
        assert metric.help
        assert not metric.help.endswith(".")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_labels_are_the_link_then_the_replica_then_one_of_the_metrics_own(metric: Any) -> None:
    own = () if metric.own_label is None else (metric.own_label,)
    assert metric.labels in ((), (LINK, *own), (LINK, REPLICA, *own))
    if isinstance(metric, Counter):
        assert (metric.value is not None) == (metric.own_label is not None)


def test_buckets_ascend_and_times_are_in_seconds() -> None:
    for metric in METRICS:
        if isinstance(metric, Histogram):
            assert list(metric.buckets) == sorted(set(metric.buckets))
            assert metric.unit == "seconds"


def test_units_match_names_and_times() -> None:
    assert {metric.name: metric.unit for metric in METRICS if metric.unit} == {
        "command_bytes": "bytes",
        "bytes_from_master": "bytes",
        "bytes_from_replica": "bytes",
        "lag_bytes": "bytes",
        "recording_lost_bytes": "bytes",
        "output_buffer": "bytes",
        "output_buffer_limit": "bytes",
        "lag_seconds": "seconds",
        "rdb_time": "seconds",
        "full_resync_time": "seconds",
        "partial_resync_time": "seconds",
        "catch_up_time": "seconds",
        "sync_phase": "seconds",
        "ack_lag": "seconds",
        "master_silence": "seconds",
        "replica_silence": "seconds",
    }


def test_metrics_have_three_kinds() -> None:
    assert {type(metric): metric.kind for metric in METRICS} == {
        Counter: "counter",
        Gauge: "gauge",
        Histogram: "histogram",
    }


def test_no_high_volume_event_is_counted() -> None:
    """So observers that measure do not cause them to be made."""
    assert not [metric for metric in METRICS if isinstance(metric, Counter) and metric.event in COUNTLESS]
