"""The time without a stream, of played links, with a clock of its own."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tap.bus import Bus, Told
from tap.replication.events import Ack, Keepalive, Side
from tap.replication.phase import Phase
from tap.scenario.outage import Outages


def link(
    phase: Phase = Phase.STREAM,
    *,
    stream: int | None = None,
    rdb: bool = False,
    channel: int | None = None,
    **state: bool,
) -> Any:
    """A connection's status. stream, channel: its stream_bytes and rdb_channel_bytes. rdb: whether it has one."""
    states = {"is_stalled": False, "has_ended": False} | state
    return SimpleNamespace(
        phase=phase, stream_bytes=stream, rdb=object() if rdb else None, rdb_channel_bytes=channel, **states
    )


class Watched:
    """A tap whose links the test sets, and the outages found."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.links: list[Any] = []
        tap: Any = self
        self.outages = Outages(tap)
        self.now = 100.0
        clock: Any = SimpleNamespace(time=lambda: self.now)
        self.outages._loop = clock

    def status(self) -> Any:
        return SimpleNamespace(connections=self.links)

    def at(self, now: float, *links: Any) -> None:
        self.now, self.links = now, list(links)
        self.outages._look()


def found(*moments: tuple[float, list[Any]], until: float = 200.0) -> list[float]:
    async def story() -> list[float]:
        one = Watched()
        for now, links in moments:
            one.at(now, *links)
        one.now = until
        seen = one.outages.found
        await one.outages.close()
        return seen

    return asyncio.run(story())


UP = [link()]


def test_an_outage_lasts_from_the_loss_of_a_stream_to_the_next_one() -> None:
    assert found((100.0, []), (101.0, UP), (105.0, UP)) == []  # time before the first stream does not count
    assert found((101.0, UP), (103.0, []), (104.0, []), (107.5, UP), (110.0, [])) == [4.5, 90.0]
    assert found((101.0, UP), (103.0, []), until=103.0) == [0.0]


@pytest.mark.parametrize(
    ("one", "has_stream"),
    [
        (link(), True),
        (link(Phase.LOADING), True),
        (link(Phase.OPAQUE), True),
        (link(Phase.RDB), False),
        (link(Phase.WAITING), False),
        (link(Phase.WAITING, stream=0, rdb=True), True),  # after SYNC
        (link(Phase.WAITING, rdb=True), False),
        (link(Phase.WAITING, stream=0), False),
        (link(Phase.RDB, stream=0, rdb=True, channel=10), False),  # the stream flows beside the RDB
        (link(has_ended=True), False),
        (link(is_stalled=True), False),
    ],
)
def test_a_stream_is_recognized(one: Any, has_stream: bool) -> None:
    async def story() -> tuple[bool, bool]:
        watched = Watched()
        watched.links = [one]
        alone = watched.outages.has_stream
        watched.links = [link(Phase.RDB), one]
        beside = watched.outages.has_stream
        await watched.outages.close()
        return alone, beside

    assert asyncio.run(story()) == (has_stream, has_stream)


def test_between_two_polls_events_show_a_link_that_was_lost_and_is_back() -> None:
    async def story() -> list[float]:
        one = Watched()
        one.at(100.0, *UP)
        one.now, one.links = 101.0, []
        keepalive = Keepalive(start=0, end=1, side=Side.MASTER)
        ack = Ack(start=0, end=1, offset=1, fsynced=None, lag_bytes=0, lag_seconds=0.0)
        one.bus.publish("main", 1, "r", keepalive)
        assert one.outages.found == []
        one.bus.publish("main", 1, "r", ack)
        assert one.outages.found == [0.0]
        one.now, one.links = 102.0, UP
        one.outages._hear(Told(0.0, "main", 1, "r", ack))
        await one.outages.close()
        one.links = []
        one.bus.publish("main", 1, "r", ack)  # unsubscribed by now
        return one.outages.found

    assert asyncio.run(story()) == [1.0]


def test_it_polls_without_events() -> None:
    async def story() -> list[float]:
        one = Watched()
        one.links = UP
        await asyncio.sleep(0.05)
        one.links = []
        async with asyncio.timeout(10):
            while not one.outages.found:
                await asyncio.sleep(0.005)
        await one.outages.close()
        return one.outages.found

    assert len(asyncio.run(story())) == 1
