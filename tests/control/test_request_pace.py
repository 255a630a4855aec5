"""The pace of requests, on a loop whose time is set by hand where it matters."""

from __future__ import annotations

import asyncio
import time

from tap.control.request_pace import BURST, RATE, RequestPace
from tests.control.asking import asked


def test_a_burst_goes_at_once_and_more_wait_in_their_order() -> None:
    order: list[int] = []

    async def run() -> float:
        pace = RequestPace(rate=100, burst=3)

        async def one(number: int) -> None:
            await pace.turn()
            order.append(number)

        began = time.monotonic()
        await asyncio.gather(*map(one, range(13)))
        return time.monotonic() - began

    assert asyncio.run(run()) >= 0.095
    assert order == list(range(13))


def test_one_turn_of_the_loop_lets_one_waiting_request_go_on() -> None:
    async def run() -> None:
        pace = RequestPace(rate=1000, burst=2)
        tasks = [asyncio.create_task(pace.turn()) for _ in range(10)]
        await asyncio.sleep(0)
        assert sum(task.done() for task in tasks) == 2
        loop = asyncio.get_running_loop()
        pace._next = 0.0  # as after a loop that was busy for long
        pace._release(loop)
        await asyncio.sleep(0)
        assert sum(task.done() for task in tasks) == 3
        await asyncio.gather(*tasks)

    asyncio.run(run())


def test_a_client_that_leaves_takes_no_turn() -> None:
    async def run() -> None:
        pace = RequestPace(rate=50, burst=1)
        await pace.turn()
        tasks = [asyncio.create_task(pace.turn()) for _ in range(5)]
        await asyncio.sleep(0)
        for task in tasks[:4]:
            task.cancel()
        began = time.monotonic()
        await tasks[4]
        assert time.monotonic() - began < 4 / 50

    asyncio.run(run())


def test_no_more_than_these_are_answered_in_a_second() -> None:
    with asked() as tap:
        began = time.monotonic()
        for _ in range(60):
            assert tap.client.get("/healthz").status == 200
        assert time.monotonic() - began >= (60 - BURST) / RATE
