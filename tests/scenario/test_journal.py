"""Waiting for events without missing one."""

from __future__ import annotations

import asyncio
import contextlib

from tap.bus import Bus
from tap.replication import events
from tap.scenario.journal import Journal


def closed(phase: str) -> events.LinkClosed:
    return events.LinkClosed(
        by=events.Side.TAP,
        how="reset",
        text="",
        role=events.Role.REPLICA,
        phase=phase,
        offset=5,
        bytes_from_master=0,
        bytes_from_replica=0,
    )


def test_each_wait_continues_after_the_last_match() -> None:
    async def story() -> list[str]:
        bus, journal = Bus(), Journal()
        bus.subscribe(journal)
        said = []
        for phase in ("rdb", "stream", "psync"):
            bus.publish("main", 1, "", closed(phase))
        for _ in range(2):
            entry = await journal.wait_for("link_closed", where={}, times=1, within=1)
            said.append(entry.told.as_dict()["phase"])
        asyncio.get_running_loop().call_later(0.01, bus.publish, "main", 1, "", closed("waiting"))
        entry = await journal.wait_for("link_closed", where={"phase": "w*"}, times=1, within=1)
        said.append(entry.told.as_dict()["phase"])
        return said

    assert asyncio.run(story()) == ["rdb", "stream", "waiting"]


def test_a_wait_matches_as_many_as_requested_and_no_later_than_allowed() -> None:
    async def story() -> bool:
        bus, journal = Bus(), Journal()
        bus.subscribe(journal)
        for _ in range(3):
            bus.publish("main", 1, "", closed("rdb"))
        await journal.wait_for("link_closed", where={}, times=3, within=1)
        with contextlib.suppress(TimeoutError):
            await journal.wait_for("link_closed", where={}, times=1, within=0.01)
            return False
        bus.publish("main", 1, "", closed("rdb"))
        journal.skip()
        with contextlib.suppress(TimeoutError):
            await journal.wait_for("link_closed", where={}, times=1, within=0.01)
            return False
        return len(journal.of("link_closed")) == 4

    assert asyncio.run(story())
