"""Whether the master will continue where a replica stops: each way in which it will not, with the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tap.operate.resync_forecast import Forecast, forecast
from tap.servers.info import Info, ReplicationSection

MINE, OTHER = "a" * 40, "b" * 40
MASTER = {
    "role": "master",
    "connected_slaves": 1,
    "master_replid": MINE,
    "master_repl_offset": 5000,
    "master_replid2": "0" * 40,
    "second_repl_offset": -1,
    "repl_backlog_active": 1,
    "repl_backlog_first_byte_offset": 1001,
}
REPLICA = MASTER | {
    "role": "slave",
    "master_host": "10.0.0.5",
    "master_port": 6379,
    "master_link_status": "up",
    "slave_repl_offset": 4900,
}


def replication(fields: dict[str, Any]) -> ReplicationSection:
    return Info.parse("\r\n".join(f"{name}:{value}" for name, value in fields.items())).replication


def foretold(replica: dict[str, Any], master: dict[str, Any], size: int = 4000, rate: float = 100) -> Forecast:
    return forecast(replication(REPLICA | replica), replication(MASTER | master), size, rate)


@pytest.mark.parametrize(
    ("replica", "master"),
    [
        ({}, {}),
        ({"slave_repl_offset": 5000}, {}),
        ({"slave_repl_offset": 1000}, {"master_repl_offset": 4700}),
        ({"master_replid": OTHER}, {"master_replid2": OTHER, "second_repl_offset": 4901}),
    ],
)
def test_a_master_continues_within_its_history_and_its_backlog(replica: dict[str, Any], master: dict[str, Any]) -> None:
    assert foretold(replica, master).is_partial


@pytest.mark.parametrize(
    ("replica", "master", "said"),
    [
        ({"master_replid": OTHER}, {}, "this may not be the master that the replica follows"),
        (
            {"master_replid": OTHER, "master_link_status": "down"},
            {},
            "link is down, and this master could only resync it in full",
        ),
        ({"master_replid": OTHER}, {"master_replid2": OTHER, "second_repl_offset": 4900}, "at offset 4900, beyond 4900"),
        ({}, {"repl_backlog_active": 0}, "the master has no backlog"),
        ({"slave_repl_offset": 5001}, {}, "ahead of the master, which is at 5000"),
        ({"slave_repl_offset": 999}, {}, "the master's backlog begins at 1001"),
    ],
)
def test_each_reason_against_it_has_its_numbers(replica: dict[str, Any], master: dict[str, Any], said: str) -> None:
    found = foretold(replica, master)
    assert not found.is_partial
    assert said in found.text


def test_the_backlog_needs_room_for_what_is_written_during_the_move() -> None:
    assert foretold({}, {}, size=400, rate=100).is_partial
    found = foretold({}, {}, size=399, rate=100)
    assert not found.is_partial
    assert "this needs 400 bytes of backlog, which has 399" in found.text
    assert foretold({}, {}, size=2**20, rate=2**20).text.endswith("CONFIG SET repl-backlog-size 7mb would do")


def test_a_replica_that_never_followed_names_no_offset() -> None:
    fields = {name: value for name, value in REPLICA.items() if name != "slave_repl_offset"}
    assert not forecast(replication(fields), replication(MASTER), 4000, 0).is_partial
