"""The answers of a recording's master to PSYNC at any offset, and its description of itself, without a connection."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tap import __version__
from tap.errors import ConfigError
from tap.replay.master import ReplayMaster
from tap.replay.session import Wish
from tap.replication.requests import Request
from tests.replay.support import BEFORE, OTHER, REPLID, part


class Clock:
    """A stand-in for an event loop."""

    def __init__(self) -> None:
        self.now = 50.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def master(tmp_path: Path) -> ReplayMaster:
    one = ReplayMaster("none.pcapng")
    clock: Any = Clock()
    one._loop = clock
    one._turn_to(part(tmp_path))
    return one


def wish(replid: str | None, offset: int, name: bytes = b"PSYNC") -> Wish:
    return Wish(Request((name,), 0, 1, inline=False), replid, offset)


def code(master: ReplayMaster, replid: str | None, offset: int) -> str | None:
    """offset: of the first byte asked for."""
    reason = master.why_full(wish(replid, offset))
    return None if reason is None else reason.code


@pytest.mark.parametrize(
    ("replid", "offset", "why"),
    [
        (None, -1, "first_sync"),
        (OTHER, 1001, "replication_id_unknown"),
        (REPLID, 1000, "offset_out_of_backlog"),
        (REPLID, 1001, None),
        (REPLID, 1101, None),
        (REPLID, 1102, "offset_ahead_of_master"),
        (BEFORE, 1000, "offset_out_of_backlog"),
        (BEFORE, 1001, None),
        (BEFORE, 1041, None),
        (BEFORE, 1042, "offset_ahead_of_master"),
    ],
)
def test_before_playing_any_recorded_offset_may_be_asked_for(
    master: ReplayMaster, replid: str | None, offset: int, why: str | None
) -> None:
    assert code(master, replid, offset) == why


def test_while_playing_only_played_offsets_may_be_asked_for(master: ReplayMaster) -> None:
    assert master.offset == 1000
    master.start_clock(1020)
    assert master.offset == 1020
    assert code(master, REPLID, 1021) is None
    assert code(master, REPLID, 1022) == "offset_ahead_of_master"
    assert code(master, BEFORE, 1021) is None
    assert code(master, BEFORE, 1022) == "offset_ahead_of_master"
    master._advance(1080)
    assert code(master, REPLID, 1081) is None
    assert code(master, BEFORE, 1042) == "offset_ahead_of_master"
    reason = master.why_full(wish(REPLID, 1090))
    assert reason is not None
    assert "up to offset 1089, the recording has been played up to 1080" in reason.text


@pytest.mark.parametrize(
    ("replid", "offset", "text"),
    [
        (OTHER, 1001, "the replica offered cccccccc… up to offset 1000; what is played of the recording is aaaaaaaa…"),
        (BEFORE, 1042, "the replica offered bbbbbbbb… up to offset 1041, the recording has been played up to 1040"),
        (REPLID, 1000, "the replica offered aaaaaaaa… up to offset 999, the RDB is at 1000: nothing before is there"),
    ],
)
def test_a_refusal_gives_both_sides(master: ReplayMaster, replid: str, offset: int, text: str) -> None:
    reason = master.why_full(wish(replid, offset))
    assert reason is not None
    assert reason.text == text


def test_sync_always_gets_the_rdb(master: ReplayMaster) -> None:
    reason = master.why_full(wish(None, -1, b"SYNC"))
    assert reason is not None
    assert reason.code == "legacy_sync"


def test_the_clock_starts_at_the_first_replica_and_not_again(master: ReplayMaster) -> None:
    assert master.seconds_left is None
    master.start_clock(1000)
    assert master.seconds_left == 10.0
    clock: Any = master._loop
    clock.now += 4
    assert master.seconds_left == 6.0
    master.start_clock(1000)
    assert master.seconds_left == 6.0
    clock.now += 100
    assert master.seconds_left == 0.0


def test_a_replica_that_has_a_part_starts_the_clock_there(master: ReplayMaster) -> None:
    master.start_clock(1040)
    assert master.seconds_left == 6.0
    assert master.offset == 1040
    master._advance(1030)
    assert master.offset == 1040  # never back


class Follower:
    def __init__(self, acknowledged: int | None, *, is_follower: bool = True, port: int = 6380) -> None:
        self.acknowledged = acknowledged
        self.is_follower = is_follower
        self.host, self.port = "10.0.0.7", port


@pytest.mark.parametrize(
    ("acknowledged", "all_have"),
    [([], False), ([1100], True), ([1099], False), ([1100, 1200], True), ([1100, None], False), ([None], False)],
)
def test_all_is_acknowledged_when_every_follower_says_so(
    master: ReplayMaster, acknowledged: list[int | None], all_have: bool
) -> None:
    replicas: Any = [Follower(one) for one in acknowledged]
    master.replicas = replicas
    assert master._has_acknowledged() == all_have
    master.replicas = [*replicas, Follower(None, is_follower=False)]  # type: ignore[list-item]
    assert master._has_acknowledged() == all_have


def test_info_gives_its_state(master: ReplayMaster) -> None:
    replicas: Any = [Follower(1050), Follower(None, port=6381), Follower(7, is_follower=False)]
    master.replicas = replicas
    master.start_clock(1060)
    lines = master.info().decode().split("\r\n")
    said = dict(line.split(":", 1) for line in lines if ":" in line)
    assert said["role"] == "master"
    assert said["connected_slaves"] == "2"
    assert said["slave0"] == "ip=10.0.0.7,port=6380,state=online,offset=1050,lag=0"
    assert said["slave1"] == "ip=10.0.0.7,port=6381,state=online,offset=0,lag=0"
    assert (said["master_replid"], said["master_repl_offset"]) == (REPLID, "1060")
    assert (said["master_replid2"], said["redis_tap_version"]) == ("0" * 40, __version__)
    assert (said["repl_backlog_first_byte_offset"], said["repl_backlog_histlen"]) == ("1001", "60")
    assert master.followers == [("10.0.0.7", 6380, 1050), ("10.0.0.7", 6381, 0)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"speed": 0}, "speed 0: write how many times as fast, more than 0"),
        ({"speed": -1.0}, "more than 0"),
        ({"speed": "fast"}, "speed fast"),
        ({"speed": math.nan}, "speed nan"),
        ({"listen": "/run/x.sock"}, "a master listens on HOST:PORT"),
    ],
)
def test_impossible_excerpts_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ReplayMaster("one.pcapng", **options)


def test_without_a_recording_there_is_nothing_to_play() -> None:
    with pytest.raises(ConfigError, match="a recording is missing"):
        ReplayMaster()
    assert ReplayMaster("one.pcapng", speed="max")._excerpt.speed == math.inf
    assert ReplayMaster("one.pcapng", listen=6390).port == 6390
