"""Pressure on a master's output buffer, on a virtual clock."""

from __future__ import annotations

from typing import Any

import pytest

from tap.replication.events import Event, Pressure, PressureOver, Role
from tap.replication.inspected import BufferLimit, Inspected
from tap.replication.phase import Phase
from tap.status import ConnectionStatus, LinkStatus, RdbStatus
from tap.url import Address
from tap.verdict.pressure import FORECASTS, Pressures

MB = 2**20
MASTER = Address("10.0.0.5", 6379)


def replica(**figures: Any) -> ConnectionStatus:
    given: dict[str, Any] = {
        "number": 1,
        "link": "main",
        "peer": "10.0.0.7:1234",
        "replica": "10.0.0.7:6379",
        "master": MASTER,
        "opened": 0.0,
        "role": Role.REPLICA,
        "phase": Phase.STREAM,
        "replid": "a" * 40,
        "offset": 100,
        "acked": 100,
        "db": 0,
        "lag_bytes": 0,
        "lag_seconds": 0.0,
        "bytes_from_master": 100,
        "bytes_from_replica": 100,
        "stream_bytes": 100,
        "rdb": None,
        "rdb_channel_bytes": None,
    }
    return ConnectionStatus(**given | figures)


class Story:
    def __init__(self, hard: int = 100, soft: int = 0, seconds: float = 0.0) -> None:
        self.said: list[Event] = []
        self.pressures = Pressures(lambda link, number, name, event: self.said.append(event))
        self.limit: BufferLimit | None = BufferLimit(hard * MB, soft * MB, seconds)
        self.buffers: dict[tuple[str, int], int] | None = {}

    def now(self, at: float, megabytes: float | None, **figures: Any) -> list[Event]:
        """The events of an answer at this time; megabytes: of the only replica's buffer, None if it has gone."""
        buffer = None if megabytes is None else int(megabytes * MB)
        connections = () if megabytes is None else (replica(buffer_bytes=buffer, **figures),)
        said = Inspected(at - 0.01, at, buffers=self.buffers, limit=self.limit, write_rate=2.0 * MB)
        before = len(self.said)
        self.pressures.look(LinkStatus("main", MASTER, MASTER, connections, said, 0.0), at)
        return self.said[before:]

    def rdb(self, at: float, megabytes: float, received: int, size: int | None = 1000, **figures: Any) -> list[Event]:
        rdb = RdbStatus(received * MB, None if size is None else size * MB, **{"keys": 0, "announced": 0} | figures)
        return self.now(at, megabytes, phase=Phase.RDB, rdb=rdb)


def levels(said: list[Event]) -> list[int]:
    return [one.level for one in said if isinstance(one, Pressure)]


def test_sixty_and_ninety_percent_are_reported_once_each_and_their_end() -> None:
    story = Story()
    course = [50, 61, 59, 65, 91, 89, 95, 70, 65, 55, 51, 49, 30]
    said = [story.now(at, megabytes) for at, megabytes in enumerate(course)]
    assert [levels(one) for one in said] == [[], [60], [], [], [90], *[[]] * 8]
    [over] = [one for one in story.said if isinstance(one, PressureOver)]
    assert said[11] == [over]
    assert (over.peak, over.buffer, over.seconds, over.how) == (95 * MB, 49 * MB, 10.0, "back")
    assert levels(story.now(20.0, 61)) == [60]


def test_a_pressure_ends_with_its_connection_and_goes_on_while_nothing_is_known() -> None:
    story = Story()
    story.now(0.0, 95)
    story.buffers = None
    story.pressures.look(
        LinkStatus("main", MASTER, MASTER, (replica(),), Inspected(1.0, 1.0, limit=story.limit), 0.0), 1.0
    )
    assert len(story.said) == 1
    story.buffers = {}
    [over] = story.now(5.0, None)
    assert isinstance(over, PressureOver)
    assert (over.how, over.buffer, over.seconds) == ("closed", None, 5.0)


def test_a_first_sync_that_will_fit_is_no_pressure() -> None:
    story = Story()
    for second in range(20):  # 3 MB more in the buffer, 50 MB more of the RDB each second
        story.rdb(second, 3 * second, 50 * second)
    assert story.now(20.0, 30, rdb=None) == []
    assert story.said == []


def test_a_transfer_that_takes_longer_than_the_buffer_lasts_is_foreseen() -> None:
    story = Story(hard=200)
    for second in range(1 + FORECASTS):  # 10 MB more in the buffer, 20 MB more of 1000 each second
        said = story.rdb(second, 10 * second, 20 * second)
    [pressure] = said
    assert isinstance(pressure, Pressure)
    assert pressure.level == 0
    assert pressure.seconds_to_close == pytest.approx(17.0)
    assert pressure.rdb_seconds_left == pytest.approx(47.0)
    assert pressure.needed == 2 * (30 + 470) * MB
    assert levels(story.rdb(13, 130, 260)) == [60]
    assert levels(story.rdb(18, 180, 360)) == [90]
    assert not any(isinstance(one, PressureOver) for one in story.said)


def test_a_diskless_rdb_is_measured_by_its_keys() -> None:
    story = Story(hard=200)
    for second in range(1 + FORECASTS):
        said = story.rdb(second, 10 * second, 20 * second, None, keys=1000 * second, announced=50_000)
    [pressure] = said
    assert isinstance(pressure, Pressure)
    assert pressure.rdb_seconds_left == pytest.approx(47.0)
    unknown = Story(hard=200)
    for second in range(9):
        assert unknown.rdb(second, 10 * second, 20 * second, None) == []
    [pressure] = unknown.rdb(13, 130, 260, None)
    assert isinstance(pressure, Pressure)
    assert (pressure.level, pressure.rdb_seconds_left, pressure.needed) == (60, None, None)


def test_a_soft_limit_has_its_time() -> None:
    story = Story(hard=0, soft=100, seconds=60.0)
    story.now(0.0, 50)
    [pressure] = story.now(1.0, 60)
    assert isinstance(pressure, Pressure)
    assert (pressure.limit, pressure.soft_seconds) == ("soft", 60.0)
    assert pressure.seconds_to_close == pytest.approx(64.0)
    story.now(10.0, 100, db=1)
    assert len(story.said) == 2
    story.now(11.0, 20)
    assert isinstance(story.said[-1], PressureOver)
    [pressure] = story.now(12.0, 110)
    assert isinstance(pressure, Pressure)
    assert pressure.seconds_to_close == 60.0


def test_without_limits_or_buffers_nothing_is_said() -> None:
    story = Story(hard=0)
    assert story.now(0.0, 9999) == []
    story.limit = None
    assert story.now(1.0, 9999) == []
