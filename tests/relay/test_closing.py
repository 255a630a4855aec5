"""What a connection holds, and releases at its end: both sockets, its timers, its place in the list."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from tap.relay import dial as dial_module
from tap.relay.connection import Connection
from tap.replication import events
from tap.replication.events import Side
from tests.relay.wire import BASE, GRANT, LOCALHOST, RESET, add, all_of, asks, fill, in_front_of, only_link, receive
from tests.support import WITHIN, TapThread, wait_until

SOON = 5.0  # seconds, far below what any other timer would take


def connected(tap: TapThread, listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    replica = socket.create_connection((LOCALHOST, tap.port), WITHIN)
    master, _ = listener.accept()
    master.settimeout(WITHIN)
    replica.sendall(asks(BASE))
    receive(master, len(asks(BASE)))
    master.sendall(GRANT)
    receive(replica, len(GRANT))
    return replica, master


def assert_let_go(tap: TapThread, link: Connection) -> None:
    """Nothing of the link is left in the event loop."""
    wait_until(lambda: not tap.tap.links, SOON)
    assert link.closed
    assert link.replica.lost or link.replica.transport is None
    assert link.master.lost or link.master.transport is None
    for timer in (link.closing._draining, link._performer._waking):
        assert timer is None or timer.cancelled() or timer.when() <= tap._loop.time()
    assert link._opening._task is not None
    wait_until(link._opening._task.done, SOON)


def test_time_passes_only_for_links_with_something_to_wait_for(listener: socket.socket) -> None:
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as idle, listener.accept()[0]:
            wait_until(lambda: tap.tap.links)
            link = only_link(tap)
            assert not link.has_a_clock
            armed = add(tap, "stall")
            assert link.has_a_clock
            tap.call(lambda: tap.tap.faults.remove(armed.name))
            wait_until(lambda: not link.has_a_clock)
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        wait_until(lambda: not tap.tap.links)
        replica, master = connected(tap, listener)
        with replica, master:
            wait_until(lambda: only_link(tap).has_a_clock)


def test_the_end_says_how_long_each_side_had_been_silent(listener: socket.socket) -> None:
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        replica, master = connected(tap, listener)
        with replica, master:
            time.sleep(0.2)
            replica.sendall(b"\n")
            wait_until(lambda: only_link(tap).conversation.from_replica > len(asks(BASE)))
            master.close()
        closed = tap.wait_for(events.LinkClosed)
    assert closed.master_silence is not None
    assert closed.replica_silence is not None
    assert closed.master_silence - closed.replica_silence > 0.19


@pytest.mark.parametrize("order", [("replica", "master"), ("master", "replica")])
@pytest.mark.parametrize("how", ["fin", "reset"])
def test_when_one_peer_has_gone_the_other_is_closed_and_nothing_is_left(
    listener: socket.socket, order: tuple[str, str], how: str
) -> None:
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        replica, master = connected(tap, listener)
        link = only_link(tap)
        peers = {"replica": replica, "master": master}
        leaves, stays = peers[order[0]], peers[order[1]]
        if how == "reset":
            leaves.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        leaves.close()
        if how == "reset":
            with pytest.raises(ConnectionResetError):
                all_of(stays)
        else:
            assert all_of(stays) == b""
        stays.close()
        assert_let_go(tap, link)
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by.value, closed.how) == (order[0], how)


def test_a_master_that_keeps_sending_to_a_replica_that_has_gone_is_ended(listener: socket.socket) -> None:
    """Its bytes have no destination: the replica's kernel says so, and the master's leg is closed."""
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        replica, master = connected(tap, listener)
        link = only_link(tap)
        replica.close()
        assert all_of(master) == b""
        with master:
            wait_until(lambda: has_failed(master), SOON)
        assert_let_go(tap, link)


def has_failed(sock: socket.socket) -> bool:
    try:
        sock.sendall(bytes(1000))
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


@pytest.mark.parametrize("leaves", ["fin", "reset"])
def test_a_replica_that_leaves_as_its_master_answers_the_dial_leaves_no_leg_to_the_master(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, leaves: str
) -> None:
    gone: list[Callable[[], Any]] = []
    dial = dial_module.dial

    async def slow_dial(*arguments: Any) -> None:
        await dial(*arguments)
        while not gone:
            await asyncio.sleep(0.001)
        gone[0]()
        await asyncio.sleep(0.05)

    monkeypatch.setattr("tap.relay.opening.dial", slow_dial)
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica:
            with listener.accept()[0] as master:
                master.settimeout(SOON)
                link = only_link(tap)
                if leaves == "reset":
                    replica.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                replica.close()
                gone.append(lambda: None)
                with contextlib.suppress(ConnectionResetError):
                    assert all_of(master) == b""
            assert_let_go(tap, link)


def test_bytes_that_a_replica_does_not_take_wait_no_longer_than_the_drain_timeout(
    listener: socket.socket,
) -> None:
    with TapThread(in_front_of(listener.getsockname()[1], drain_timeout=0.5)) as tap:
        replica, master = connected(tap, listener)
        link = only_link(tap)
        with replica, master:
            fill(tap, master)
            began = time.monotonic()
            tap.cut()
            wait_until(lambda: not tap.tap.links, SOON)
            assert time.monotonic() - began >= 0.4
            assert_let_go(tap, link)


def test_bytes_that_a_replica_takes_late_all_arrive(listener: socket.socket) -> None:
    with TapThread(in_front_of(listener.getsockname()[1], drain_timeout=30.0)) as tap:
        replica, master = connected(tap, listener)
        link = only_link(tap)
        with replica, master:
            fill(tap, master)
            tap.cut()
            assert tap.tap.links == [link]
            assert len(GRANT) + len(all_of(replica)) == link.conversation.from_master
        assert_let_go(tap, link)
        assert link.closing._draining is not None
        assert link.closing._draining.cancelled()


@pytest.mark.parametrize("mode", ["fin", "reset"])
def test_peers_that_do_not_answer_the_end_of_a_cut_are_dropped_after_the_drain_timeout(
    listener: socket.socket, mode: str
) -> None:
    with TapThread(in_front_of(listener.getsockname()[1], drain_timeout=0.5)) as tap:
        replica, master = connected(tap, listener)
        with replica, master:
            link = only_link(tap)
            add(tap, f"cut mode={mode}")
            wait_until(lambda: not tap.tap.links, SOON)
            assert_let_go(tap, link)
            closed = tap.wait_for(events.LinkClosed)
            assert (closed.by, closed.how, closed.text) == (
                Side.TAP,
                mode,
                "cut by fault cut-1",
            )
            assert closed.offset == BASE


def test_a_cut_that_is_answered_leaves_no_timer(listener: socket.socket) -> None:
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        replica, master = connected(tap, listener)
        link = only_link(tap)
        add(tap, "cut mode=fin")
        assert all_of(replica) == all_of(master) == b""
        replica.close()
        master.close()
        assert_let_go(tap, link)
        assert link.closing._draining is not None
        assert link.closing._draining.cancelled()


def test_a_link_that_ends_with_an_active_delay_leaves_no_alarm(listener: socket.socket) -> None:
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        replica, master = connected(tap, listener)
        armed = add(tap, "delay 60s name=late")
        link = only_link(tap)
        wait_until(lambda: armed.at_work == 1, SOON)
        master.sendall(b"*1\r\n$4\r\nPING\r\n")
        wait_until(lambda: link._performer._waking is not None, SOON)
        tap.call(link.abort)
        replica.close()
        master.close()
        assert_let_go(tap, link)
        assert link._performer._waking is None or link._performer._waking.cancelled()
        assert armed.at_work == 0
