"""A tap in an event loop: which events it keeps, what can be waited for, and what can never come."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap import Tap, events
from tap.errors import ConfigError
from tests.support import Servers, client, follow, level, wait_inside

MASTER = "127.0.0.1:1"
REASON = events.Reason(code="first_sync", text="it is new")
FULL = events.FullResync(start=0, end=1, replid="a" * 40, offset=7, reason=REASON)


def test_events_kept_for_waiting_take_bounded_memory() -> None:
    """Each may be as long as a line of the protocol."""

    async def story() -> int:
        async with Tap(MASTER) as tap:
            tracemalloc.start()
            try:
                for number in range(2000):
                    reply = f"-{number} " + "x" * 60_000
                    tap.bus.publish("main", 1, "", events.ResyncRefused(start=number, end=number, reply=reply))
                kept, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            refused = await tap.wait_for("resync_refused", where=lambda event: event.start > 1900)
            assert refused.start == 1901
            for number in range(20_000):
                tap.bus.publish("main", 1, "", events.SyncRequested(start=number, end=number, inline=True))
            assert (await tap.wait_for("sync_requested")).start > 9000
            return kept

    assert asyncio.run(story()) < 20 * 2**20


async def in_a_tap(story: Callable[[Tap], Any]) -> Any:
    async with Tap(MASTER) as one:
        one.bus.publish("main", 1, "10.0.0.7:6379", FULL)
        return await story(one)


@pytest.mark.parametrize(
    "wait",
    [
        lambda one: one.wait_for("full_resync"),
        lambda one: one.wait_for(events.FullResync, 1),
        lambda one: one.wait_for((events.PartialResync, events.FullResync), within="1s"),
        lambda one: one.wait_for("full_resync", where={"reason.code": "first_*", "offset": 7}),
        lambda one: one.wait_for(events.FullResync, where=lambda event: event.offset == 7, link="main"),
    ],
)
def test_an_event_may_be_waited_for_in_many_ways(wait: Callable[[Tap], Any]) -> None:
    assert asyncio.run(in_a_tap(wait)) is FULL


@pytest.mark.parametrize(
    ("wait", "kind", "says"),
    [
        (
            lambda one: one.wait_for("partial_resync", within=0.01),
            TimeoutError,
            "no partial_resync within 0.01 s; reported meanwhile: 1 x listening, 1 x full_resync",
        ),
        (lambda one: one.wait_for("partial_resinc"), ConfigError, "Did you mean 'partial_resync'?"),
        (lambda one: one.wait_for(events), ConfigError, "is not a kind of event: write its class, as events.FullResync"),
        (lambda one: one.wait_for(FULL), ConfigError, "is not a kind of event"),
        (
            lambda one: one.wait_for("full_resync", timeout=1),
            TypeError,
            "wait_for() has no option 'timeout'. Write",
        ),
        (lambda one: one.wait_for("full_resync", within="1 hour"), ConfigError, "'1 hour' is not a time"),
        (lambda one: one.wait_for("full_resync", link="orders"), ConfigError, "no link is named 'orders'; known: main."),
        (
            lambda one: one.wait_for("full_resync", where={"reason.cod": "x"}),
            ConfigError,
            "full_resync.reason has no field 'cod'; "
            "known: causes, code, inference, known_from, text. Did you mean 'code'?",
        ),
        (lambda one: one.wait_for("full_resync", where="first_sync"), ConfigError, "write fields and their values"),
        (
            lambda one: one.wait_for(events.Command),
            ConfigError,
            "command is reported only on request: Tap(",
        ),
        (lambda one: one.__aenter__(), ConfigError, "this Tap has been started before: make another one"),
    ],
)
def test_an_endless_wait_is_refused_in_a_sentence(wait: Callable[[Tap], Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind) as caught:
        asyncio.run(in_a_tap(wait))
    assert says in str(caught.value)


def test_a_tap_that_has_not_begun_cannot_be_waited_for() -> None:
    with pytest.raises(ConfigError, match="a Tap reports nothing before 'async with Tap"):
        asyncio.run(Tap(MASTER).wait_for("full_resync"))


def test_a_failing_condition_ends_the_wait(caplog: pytest.LogCaptureFixture) -> None:
    async def story(one: Tap) -> None:
        await one.wait_for(events.FullResync)
        asyncio.get_running_loop().call_soon(one.bus.publish, "main", 1, "", FULL)
        await one.wait_for(events.FullResync, where=lambda event: event.told)  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="'FullResync' object has no attribute 'told'"):
        asyncio.run(in_a_tap(story))
    assert not caplog.records


def test_a_link_reports_its_state(servers: Servers, any_server: str) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)

    async def story() -> None:
        async with Tap(master.address) as one:
            await asyncio.to_thread(follow, replica, one.port)
            await one.wait_for("stream_started")
            client(master).set("key", "value")
            offset = await asyncio.to_thread(level, master, replica)
            (link,) = one.links
            await wait_inside(lambda: link.acked is not None and link.acked >= offset)
            assert (link.name, link.number, link.role, link.phase, link.lag_bytes) == ("main", 1, "replica", "stream", 0)
            assert link.replid == client(master).info("replication")["master_replid"]
            assert link.offset == link.acked
            assert repr(link) == f"<Connection 1 of main: 127.0.0.1:{replica.port}, stream, offset {link.offset}>"

    asyncio.run(story())


def test_recordings_start_and_stop_only_with_an_api(tmp_path: Path) -> None:
    async def story() -> None:
        async with Tap(MASTER, record_to=tmp_path / "x.pcapng") as one:
            with pytest.raises(ConfigError, match=r"records into .*x\.pcapng already: stop that first"):
                one.start_recording(tmp_path / "y.pcapng")
            with pytest.raises(ConfigError, match="without an API records from its start to its end"):
                await one.stop_recording()
        async with Tap(MASTER) as one:
            with pytest.raises(ConfigError, match="without an API records from its start to its end"):
                one.start_recording(tmp_path / "y.pcapng")
        async with Tap(MASTER, api="127.0.0.1:0") as one:
            with pytest.raises(ConfigError, match="nothing is being recorded"):
                await one.stop_recording()
            assert one.start_recording(tmp_path / "y.pcapng").path == tmp_path / "y.pcapng"
            assert (await one.stop_recording()).trouble == ""

    asyncio.run(story())
