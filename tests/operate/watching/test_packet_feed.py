"""Packets on their way from a thread to the event loop: all of them, in order, and not too many at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from tap.capture.content import GoesOn
from tap.capture.pcapng import Packet
from tap.operate.watching import packet_feed
from tap.operate.watching.packet_feed import BATCH_BYTES, MAX_WAITING, PacketFeed
from tests.support import WITHIN, wait_inside


def packet(number: int, size: int = 1) -> Packet:
    return Packet(number, 101, b"x" * size, size)


def reads(packets: list[Packet]) -> Callable[[list[str], GoesOn], Iterator[Packet]]:
    def read(problems: list[str], goes_on: GoesOn) -> Iterator[Packet]:
        for one in packets:
            yield one
            if not goes_on(False):
                return

    return read


def test_all_packets_come_in_order() -> None:
    async def feed() -> list[int]:
        taken: list[int] = []
        one = PacketFeed(
            reads([packet(number) for number in range(5000)]), lambda given: taken.append(given.time), is_pipe=True
        )
        one.start()
        await asyncio.wait_for(one.ended, WITHIN)
        return taken

    assert asyncio.run(feed()) == list(range(5000))


def test_packets_wait_until_they_may_be_taken() -> None:
    async def feed() -> None:
        taken: list[int] = []
        asked, is_ready = 0, False

        def ready() -> bool:
            nonlocal asked
            asked += 1
            return is_ready

        given = reads([packet(number) for number in range(100)])
        one = PacketFeed(given, lambda given: taken.append(given.time), is_pipe=True, is_ready=ready)
        one.start()
        await wait_inside(lambda: asked > 3)
        assert taken == []
        is_ready = True
        await asyncio.wait_for(one.ended, WITHIN)
        assert taken == list(range(100))

    asyncio.run(feed())


def test_a_thread_that_is_faster_waits() -> None:
    """Memory is bounded, and what the loop does not take stays in the pipe."""
    read = 0

    def endless(problems: list[str], goes_on: GoesOn) -> Iterator[Packet]:
        nonlocal read
        while goes_on(False):
            read += 1
            yield packet(read, BATCH_BYTES)

    async def feed() -> None:
        taken = 0

        def take(given: Packet) -> None:
            nonlocal taken
            taken += 1

        one = PacketFeed(endless, take, is_pipe=True)
        loop = asyncio.get_running_loop()
        one.start()
        give_up = loop.time() + WITHIN
        while read <= MAX_WAITING and loop.time() < give_up:
            threading.Event().wait(0.01)  # the loop takes nothing meanwhile
        threading.Event().wait(0.1)
        assert read <= MAX_WAITING + 2
        assert taken == 0
        await wait_inside(lambda: taken > MAX_WAITING)
        await one.finish(0.4)
        await asyncio.wait_for(one.ended, WITHIN)

    asyncio.run(feed())


def test_a_long_batch_leaves_the_loop_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_feed, "SLICE_SECONDS", 0.0)

    async def feed() -> tuple[int, int]:
        turns, taken = 0, 0

        def take(given: Packet) -> None:
            nonlocal taken
            taken += 1

        one = PacketFeed(lambda problems, goes_on: iter([packet(number) for number in range(800)]), take, is_pipe=True)
        one.start()
        while not one.ended.done():
            turns += 1
            await asyncio.sleep(0)
        return turns, taken

    turns, taken = asyncio.run(feed())
    assert taken == 800
    assert turns >= 800 // packet_feed.LOOK_EVERY


def test_what_fails_in_the_loop_ends_the_feed() -> None:
    def fail(given: Packet) -> None:
        raise ZeroDivisionError

    async def feed() -> None:
        one = PacketFeed(reads([packet(number) for number in range(9)]), fail, is_pipe=True)
        one.start()
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(one.ended, WITHIN)

    asyncio.run(feed())


def test_what_fails_in_the_thread_ends_the_feed() -> None:
    def fail(problems: list[str], goes_on: GoesOn) -> Iterator[Packet]:
        yield packet(1)
        raise ZeroDivisionError

    async def feed() -> None:
        one = PacketFeed(fail, lambda given: None, is_pipe=True)
        one.start()
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(one.ended, WITHIN)

    asyncio.run(feed())
