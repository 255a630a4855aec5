"""Lag and silence as a tap reports them, beside what real servers say of themselves."""

from __future__ import annotations

import os
import re
import signal
import threading
from dataclasses import replace

import pytest

from tap.config import Config, LinkConfig
from tap.replication import events
from tap.replication.events import Role, Side
from tap.servers.embedded import Server
from tap.status import ConnectionStatus
from tap.url import Address
from tests.support import Servers, TapThread, client, follow, is_up, level, master_offset, versions, wait_until

NAMES = versions(["redis-7.0", "redis-8.0", "valkey-newest"])


def two_links(master: Server) -> Config:
    address = Address("127.0.0.1", master.port)
    return Config(links=tuple(LinkConfig(name=name, master=address, listen="127.0.0.1:0") for name in ("a", "b")))


def port_of(tap: TapThread, link: str) -> int:
    return next(one.address.port for one in tap.tap.status().links if one.name == link)


def status(tap: TapThread, link: str = "a") -> ConnectionStatus:
    return next(one for one in tap.tap.status().connections if one.link == link)


def fill(master: Server, megabytes: int) -> None:
    with client(master) as to_master:
        for number in range(10 * megabytes):
            to_master.set(f"key:{number % 50}", "v" * 100_000)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("others", [0, 1])
def test_the_lag_of_a_stopped_replica_is_a_bound_that_holds_or_the_masters_own_figure(
    servers: Servers, name: str, others: int
) -> None:
    master = servers.start(name, "client-output-buffer-limit", "replica 0 0 0", "repl-ping-replica-period", "3600")
    stopped, *fast = (servers.start(name) for _ in range(1 + others))
    with TapThread(two_links(master)) as tap:
        follow(stopped, port_of(tap, "a"))
        wait_until(lambda: is_up(stopped))
        for one in fast:
            follow(one, port_of(tap, "b"))
            wait_until(lambda one=one: is_up(one))  # type: ignore[misc]
        level(master, stopped, *fast)
        wait_until(lambda: status(tap).lag_bytes == 0)
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            fill(master, 30)
            acked = status(tap).acked
            assert acked is not None
            truth = master_offset(master) - acked
            if others:
                wait_until(lambda: status(tap).lag_bytes == truth)
                assert (status(tap).lag_at_least, status(tap).lag_known_from) == (False, "link")
                fill(master, 1)
                grown = master_offset(master) - acked
                assert grown > truth
                wait_until(lambda: status(tap).lag_bytes == grown)
            else:
                wait_until(lambda: (status(tap).lag_bytes or 0) > 1_000_000)
                assert status(tap).lag_at_least
                assert (status(tap).lag_bytes or 0) <= truth
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        level(master, stopped, *fast)
        wait_until(lambda: (status(tap).lag_bytes, status(tap).lag_at_least) == (0, False))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_is_stopped_is_silent_until_it_goes_on(servers: Servers, name: str) -> None:
    master, replica = servers.start(name, "repl-ping-replica-period", "1"), servers.start(name)
    with TapThread(Config(links=(LinkConfig(name="a", master=Address("127.0.0.1", master.port)),))) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        wait_until(lambda: tap.tap.links[0].route.facts.pulse.ping_period)
        for side, server in ((Side.MASTER, master), (Side.REPLICA, replica)):
            before = len(tap.events(events.Silent))
            os.kill(server.pid, signal.SIGSTOP)
            try:
                wait_until(lambda: status(tap).silent is side)  # noqa: B023
            finally:
                os.kill(server.pid, signal.SIGCONT)
            wait_until(lambda: status(tap).silent is None)
            [silent] = tap.events(events.Silent)[before:]
            assert (silent.side, silent.phase) == (side, "stream")
            assert tap.events(events.SilentOver)[-1].side is side
            assert tap.events(events.SilentOver)[-1].seconds >= silent.seconds
        assert all(one.role is Role.RDB_CHANNEL for one in tap.events(events.LinkClosed))


def test_alerts_have_a_beginning_and_an_end(servers: Servers) -> None:
    """The one link has rules of its own, the other those of all links."""
    master = servers.start("redis-7.0", "client-output-buffer-limit", "replica 0 0 0")
    stopped, busy = servers.start("redis-7.0"), servers.start("redis-7.0")
    one, other = two_links(master).links
    with TapThread(
        Config(links=(one, replace(other, alerts=())), alerts=("lag > 1mb", "lag > 2s", "silence > 1h"))
    ) as tap:
        for link, replica in (("a", stopped), ("b", busy)):
            follow(replica, port_of(tap, link))
            wait_until(lambda replica=replica: is_up(replica))  # type: ignore[misc]
        level(master, stopped, busy)
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            fill(master, 30)
            tap.wait_for(events.Alert, 2)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        level(master, stopped, busy)
        tap.wait_for(events.AlertOver, 2)
        alerts, over = tap.events(events.Alert), tap.events(events.AlertOver)
        assert {told.link for told in tap.told if isinstance(told.event, events.Alert)} == {"a"}
        assert {alert.rule for alert in alerts} == {one.rule for one in over} == {"lag > 1mb", "lag > 2s"}
        assert all(alert.value > alert.limit for alert in alerts)
        assert all(one.value is not None and one.value <= one.limit < one.peak and one.how == "back" for one in over)
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            tap.wait_for(events.Alert, 3)
            tap.cut()
            assert tap.wait_for(events.AlertOver, 3).how == "closed"
        finally:
            os.kill(stopped.pid, signal.SIGCONT)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("others", [0, 1])
def test_what_a_replica_lacked_under_load_is_bounded_by_what_the_master_sent(
    servers: Servers, name: str, others: int
) -> None:
    """The master's log says it: Sending N bytes of backlog."""
    master = servers.start(name, "repl-backlog-size", "64mb")
    replica, *fast = (servers.start(name) for _ in range(1 + others))
    with TapThread(two_links(master)) as tap:
        follow(replica, port_of(tap, "a"))
        wait_until(lambda: is_up(replica))
        for one in fast:
            follow(one, port_of(tap, "b"))
            wait_until(lambda one=one: is_up(one))  # type: ignore[misc]
        is_over = threading.Event()
        writing = threading.Thread(target=write_until, args=(master, is_over))
        writing.start()
        try:
            wait_until(lambda: (status(tap).stream_bytes or 0) > 200_000)
            tap.call(lambda: next(one for one in tap.tap.links if one.name == "a").close())
            partial = tap.wait_for(events.PartialResync)
            if others:
                tap.wait_for(events.CaughtUp)
        finally:
            is_over.set()
            writing.join()
        caught_up = tap.wait_for(events.CaughtUp)
        sent = int(re.findall(r"Sending (\d+) bytes of backlog", master.log)[-1])
        assert partial.bytes_behind is None
        assert partial.bytes_behind_at_least <= caught_up.at_least <= sent <= caught_up.at_most
        assert caught_up.bytes in (None, sent)
        if others:
            assert partial.bytes_behind_at_least > 0.5 * sent or sent < 100_000


def write_until(master: Server, is_over: threading.Event) -> None:
    """About a megabyte each second."""
    with client(master) as to_master:
        while not is_over.wait(0.01):
            pipeline = to_master.pipeline(transaction=False)
            for number in range(10):
                pipeline.set(f"key:{number}", "v" * 1000)
            pipeline.execute()
