"""Names of masters are looked up once for all that wait."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tap.errors import words
from tap.relay import name_lookup
from tap.relay.name_lookup import MAX_THREADS, resolved
from tap.url import Address
from tests.support import WITHIN, wait_inside, wait_until

NAME = Address("master.example", 6379)


class Resolver:
    """answers: one for each query; a query waits for its own."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: list[str | Exception] = []
        self._changed = threading.Condition()

    def __call__(self, host: Any, port: Any, **_: Any) -> list[Any]:
        with self._changed:
            number, self.asked = self.asked, self.asked + 1
            assert self._changed.wait_for(lambda: len(self.answers) > number, WITHIN)
        answer = self.answers[number]
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (answer, port))]

    def answer(self, *answers: str | Exception) -> None:
        with self._changed:
            self.answers += answers
            self._changed.notify_all()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    one = Resolver()
    monkeypatch.setattr("socket.getaddrinfo", one)
    yield one
    one.answer(*["192.0.2.99"] * 100)  # ends the threads


def look_ups(count: int) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(resolved(NAME)) for _ in range(count)]


async def outcomes(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WITHIN)


def test_a_thousand_callers_cause_one_query(resolver: Resolver) -> None:
    async def ask() -> None:
        waiting = look_ups(1000)
        await wait_inside(lambda: resolver.asked)
        resolver.answer("192.0.2.1")
        assert await outcomes(waiting) == [[(socket.AF_INET, ("192.0.2.1", 6379))]] * 1000
        assert await resolved(NAME) == [(socket.AF_INET, ("192.0.2.1", 6379))]
        assert resolver.asked == 1

    asyncio.run(ask())


def test_an_error_is_shared_and_soon_forgotten(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        resolver.answer(socket.gaierror(socket.EAI_AGAIN, "no answer"))
        failures = await outcomes(look_ups(3))
        assert [str(one) for one in failures] == [f"[Errno {int(socket.EAI_AGAIN)}] no answer"] * 3
        assert len({id(one) for one in failures}) == 3  # each is raised with a traceback of its own
        monkeypatch.setattr(name_lookup, "FRESH_SECONDS", 0.0)
        resolver.answer("192.0.2.2")
        assert await outcomes(look_ups(2)) == [[(socket.AF_INET, ("192.0.2.2", 6379))]] * 2
        assert resolver.asked == 2

    asyncio.run(ask())


def test_a_stuck_resolver_is_asked_again_but_not_endlessly(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        monkeypatch.setattr(name_lookup, "AGAIN_SECONDS", 0.0)
        waiting = look_ups(MAX_THREADS + 5)
        await wait_inside(lambda: resolver.asked == MAX_THREADS)
        resolver.answer("192.0.2.3")
        assert await outcomes(waiting) == [[(socket.AF_INET, ("192.0.2.3", 6379))]] * len(waiting)
        assert resolver.asked == MAX_THREADS

    asyncio.run(ask())


def test_a_stuck_look_up_does_not_delay_callers_after_another_one_answered(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()

    def look_up(*arguments: Any, **_: Any) -> list[Any]:
        if resolver.asked == 0:
            resolver.asked = 1
            stuck.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.6", 6379))]

    async def ask() -> None:
        monkeypatch.setattr("socket.getaddrinfo", look_up)
        first = look_ups(1)
        await wait_inside(lambda: resolver.asked)
        with monkeypatch.context() as later:
            later.setattr(name_lookup, "AGAIN_SECONDS", 0.0)
            assert await resolved(NAME)
        monkeypatch.setattr(name_lookup, "FRESH_SECONDS", 0.0)
        assert await asyncio.wait_for(resolved(NAME), WITHIN)
        await outcomes(first)

    try:
        asyncio.run(ask())
    finally:
        stuck.set()


def test_without_a_thread_the_name_is_asked_for_again(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def ask() -> None:
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", start)
            for failure in await outcomes(look_ups(2 * MAX_THREADS)):
                assert isinstance(failure, OSError)
                assert words(failure) == "the name cannot be resolved (can't start new thread)"
        resolver.answer("192.0.2.7")
        assert await outcomes(look_ups(1)) == [[(socket.AF_INET, ("192.0.2.7", 6379))]]

    asyncio.run(ask())


def test_a_caller_that_gives_up_leaves_the_others_waiting(resolver: Resolver) -> None:
    async def ask() -> None:
        impatient, patient = look_ups(2)
        await wait_inside(lambda: resolver.asked)
        impatient.cancel()
        resolver.answer("192.0.2.4")
        cancelled, found = await outcomes([impatient, patient])
        assert isinstance(cancelled, asyncio.CancelledError)
        assert found == [(socket.AF_INET, ("192.0.2.4", 6379))]

    asyncio.run(ask())


def test_a_loop_that_ends_does_not_wait_for_the_resolver(resolver: Resolver) -> None:
    async def ask() -> None:
        waiting = look_ups(1)
        await wait_inside(lambda: resolver.asked)
        waiting[0].cancel()
        await outcomes(waiting)

    asyncio.run(ask())
    resolver.answer("192.0.2.5")
    wait_until(lambda: not any(one.name == "resolve master.example" for one in threading.enumerate()))
