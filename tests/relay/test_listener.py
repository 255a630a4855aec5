"""Where replicas arrive: closed by a fault, opened again when possible, and the masters they go to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tap import Address, Config, LinkConfig
from tap.bus import Bus
from tap.faults.plan import Plan
from tap.relay import listener as listener_module
from tap.relay.admission import Admission
from tap.relay.buffers import Buffers
from tap.relay.listener import MAX_ROUTES, Listener
from tap.replication import events
from tests.relay.wire import LOCALHOST, add, in_front_of, refuses, remove
from tests.support import WITHIN, TapThread, wait_until


def test_a_fault_closes_the_port_and_its_end_opens_it_and_both_are_reported(listener: socket.socket) -> None:
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        port = tap.port
        armed = add(tap, "refuse")
        wait_until(lambda: refuses(port))
        assert tap.wait_for(events.FaultFired).text == "no longer listening"
        assert armed.fired == 1
        remove(tap, armed)
        again = tap.wait_for(events.Listening)
        assert (again.host, again.port, again.master) == (LOCALHOST, port, f"127.0.0.1:{listener.getsockname()[1]}")
        with socket.create_connection((LOCALHOST, port), WITHIN), listener.accept()[0]:
            pass


def test_a_port_that_another_process_took_is_tried_again_until_it_is_free(
    listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        port = tap.port
        armed = add(tap, "refuse")
        wait_until(lambda: refuses(port))
        with socket.create_server((LOCALHOST, port)):
            remove(tap, armed)
            wait_until(lambda: "trying again" in caplog.text)
            first = tap.tap.listeners[0]._reopening
            wait_until(lambda: tap.tap.listeners[0]._reopening is not first)
            tap.call(lambda: None)
            assert len(caplog.records) == 1  # the same complaint only once
            assert f"cannot listen on 127.0.0.1:{port}" in caplog.text
        tap.wait_for(events.Listening)
        with socket.create_connection((LOCALHOST, port), WITHIN), listener.accept()[0]:
            pass
        caplog.clear()
        armed = add(tap, "refuse")  # and again: this complaint is a new one
        wait_until(lambda: refuses(port))
        with socket.create_server((LOCALHOST, port)):
            remove(tap, armed)
            wait_until(lambda: "trying again" in caplog.text)
        tap.wait_for(events.Listening, 2)


def test_a_fault_that_comes_back_while_the_port_is_closed_fires_once(listener: socket.socket) -> None:
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        first, second = add(tap, "refuse"), add(tap, "refuse")
        wait_until(lambda: refuses(tap.port))
        remove(tap, first)
        tap.call(lambda: None)
        assert refuses(tap.port)
        assert (first.fired, second.fired) == (1, 0)
        remove(tap, second)
        tap.wait_for(events.Listening)
        assert not refuses(tap.port)


# ---- routes ----


@contextlib.contextmanager
def transparent() -> Iterator[tuple[Listener, list[Address | None]]]:
    """A listener, and the destination of the next connection."""
    goes: list[Address | None] = [None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listener_module, "original_destination", lambda sock: goes[0])
        one = Listener(
            LinkConfig(transparent=True),
            Config(links=(LinkConfig(transparent=True),)),
            Bus(),
            Plan(1, lambda event: None, lambda: 0.0),
            Buffers(),
            itertools.count(1),
            Admission(1),
        )
        yield one, goes


def test_connections_to_one_master_share_a_route_and_others_have_theirs() -> None:
    async def story() -> None:
        with transparent() as (one, goes):
            sock = cast(Any, None)
            goes[0] = Address("10.0.0.5", 6379)
            first = one.route(sock)
            assert (first.name, first.master) == ("10.0.0.5:6379", goes[0])
            assert one.route(sock) is first
            goes[0] = Address("10.0.0.6", 6379)
            assert one.route(sock) is not first
            goes[0] = None
            assert one.route(sock).master is None

    asyncio.run(story())


def test_the_least_recently_used_route_is_forgotten() -> None:
    async def story() -> None:
        with transparent() as (one, goes):
            sock = cast(Any, None)
            routes = []
            for number in range(MAX_ROUTES):
                goes[0] = Address(f"10.0.{number // 256}.{number % 256}", 6379)
                routes.append(one.route(sock))
            goes[0] = routes[0].master
            assert one.route(sock) is routes[0]
            goes[0] = Address("10.9.9.9", 6379)
            one.route(sock)
            assert len(one._routes) == MAX_ROUTES
            goes[0] = routes[0].master
            assert one.route(sock) is routes[0]
            goes[0] = routes[1].master
            assert one.route(sock) is not routes[1]

    asyncio.run(story())
