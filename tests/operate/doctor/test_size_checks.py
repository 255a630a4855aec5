"""Backlog, output buffer and timeouts against what the master writes: the arithmetic is shown, and the value suffices."""

from __future__ import annotations

from typing import Any

import pytest

from tap.operate.doctor.size_checks import delay, rdb_seconds
from tap.units import parse_size
from tests.operate.doctor.pairs import found, pair

MB = 2**20


def writing(rate: int, **more: Any) -> Any:
    return pair(written=(0, rate), **more)


def test_a_small_backlog_is_found_and_its_value_ends_the_finding() -> None:
    one = found(writing(2 * MB, of_master={"repl-backlog-size": str(MB)}))["backlog_too_small"]
    assert one.severity == "warning"
    assert "covers an outage of 0.5 s" in one.text
    assert "2.0 MB/s x 60 s x 1.5 (margin) = 180mb" in one.text
    assert one.remedy[-1] == "redis-cli -h 10.0.0.5 -p 6379 CONFIG SET repl-backlog-size 180mb"
    assert "backlog_too_small" not in found(writing(2 * MB, of_master={"repl-backlog-size": str(parse_size("180mb"))}))
    assert "backlog_too_small" not in found(writing(2 * MB, of_master={"repl-backlog-size": str(MB)}, outage=0.5))


def test_the_backlog_is_known_from_info_where_config_is_not() -> None:
    without = {"of_master": {"repl-backlog-size": None}}
    one = found(writing(MB, master={"repl_backlog_size": MB}, **without))["backlog_too_small"]
    assert one.evidence[0].source == "INFO of 10.0.0.5:6379"
    assert "backlog_too_small" not in found(writing(MB, **without))


def test_a_small_output_buffer_is_found_and_its_value_ends_the_finding() -> None:
    rdb = {"rdb_last_bgsave_time_sec": 20}
    one = found(writing(6 * MB, master=rdb))["output_buffer_too_small"]
    # 5 s delay, 20 s transfer, 20 s load, twice
    assert "6.0 MB/s x 45 s (5 s delay, 20 s transfer and 20 s load, both as its last RDB took) = 270.0 MB" in one.text
    assert "disconnect it at 256.0 MB: a loop of full resyncs. With a margin of 2: 540mb" in one.text
    value = one.remedy[0].split("client-output-buffer-limit ")[1].strip("'")
    assert value == "replica 540mb 540mb 60"
    wide = f"normal 0 0 0 slave {540 * MB} {540 * MB} 60"
    assert "output_buffer_too_small" not in found(
        writing(6 * MB, master=rdb, of_master={"client-output-buffer-limit": wide})
    )


@pytest.mark.parametrize(
    ("limit", "seconds", "is_found"),
    [
        (f"slave 0 {MB} 60", 20, False),  # over before the soft limit has lasted a minute
        (f"slave 0 {MB} 60", 40, True),
        ("slave 0 0 0", 40, False),
        (f"slave {MB} 0 0", 40, False),  # counts as the backlog of 100 MB
        (f"slave {MB} 0 0", 400, True),
    ],
)
def test_limits_count_as_the_master_counts_them(limit: str, seconds: int, is_found: bool) -> None:
    facts = writing(
        MB // 2, master={"rdb_last_bgsave_time_sec": seconds}, of_master={"client-output-buffer-limit": limit}
    )
    assert ("output_buffer_too_small" in found(facts)) == is_found


@pytest.mark.parametrize("option", ["repl-rdb-channel", "dual-channel-replication-enabled"])
def test_with_two_connections_the_stream_waits_elsewhere(option: str) -> None:
    both = {"of_master": {option: "yes"}, "of_replica": {option: "yes"}, "master": {"rdb_last_bgsave_time_sec": 20}}
    assert "output_buffer_too_small" not in found(writing(6 * MB, **both))
    one = {"of_master": {option: "yes"}, "master": {"rdb_last_bgsave_time_sec": 20}}
    assert "output_buffer_too_small" in found(writing(6 * MB, **one))


@pytest.mark.parametrize(("timeout", "severity"), [("10", "broken"), ("20", "warning"), ("21", None)])
def test_a_timeout_has_to_be_longer_than_the_pings_are_apart(timeout: str, severity: str | None) -> None:
    facts = found(pair(of_replica={"repl-timeout": timeout}))
    if severity is None:
        assert "timeout_too_short" not in facts
    else:
        assert facts["timeout_too_short"].severity == severity
        assert facts["timeout_too_short"].remedy == ("redis-cli -h 10.0.0.5 -p 6380 CONFIG SET repl-timeout 60",)
    slow = found(pair(of_master={"repl-ping-replica-period": "60"}))["timeout_too_short"]
    assert slow.remedy[0].endswith("repl-timeout 180")


def test_a_timeout_below_the_rdb_is_a_note() -> None:
    one = found(pair(master={"rdb_last_bgsave_time_sec": 100}))["timeout_below_rdb"]
    assert one.severity == "note"
    assert one.remedy[0].endswith("repl-timeout 200")
    assert "timeout_below_rdb" not in found(pair(master={"rdb_last_bgsave_time_sec": 30}))


def test_the_time_of_an_rdb_is_measured_or_said_to_be_estimated() -> None:
    assert rdb_seconds(pair(master={"rdb_last_bgsave_time_sec": 7}).master) == (7.0, "as its last RDB took")
    seconds, how = rdb_seconds(pair(master={"rdb_last_bgsave_time_sec": -1, "used_memory": 500 * MB}).master)
    assert (seconds, how) == (10.0, "estimated from used_memory at 50.0 MB/s")
    assert rdb_seconds(pair(master={"rdb_last_bgsave_time_sec": 0}).master)[0] == 1.0
    assert delay(pair().master) == 5
    assert delay(pair(of_master={"repl-diskless-sync": "no"}).master) == 0
