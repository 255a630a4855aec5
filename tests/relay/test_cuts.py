"""Cuts on the wire: which packets end the legs, and which bytes came before."""

from __future__ import annotations

import itertools
import socket

import pytest

from tap.replication import events
from tap.replication.events import Side
from tests.conftest import need
from tests.relay.wire import (
    BASE,
    LOCALHOST,
    Flood,
    Packets,
    Writes,
    add,
    asks,
    assert_ended_with,
    block_up_to,
    flooded,
    in_front_of,
    only_link,
    port_of_master,
)
from tests.support import (
    MATRIX,
    OLDEST_AND_NEWEST,
    WITHIN,
    Servers,
    TapThread,
    client,
    digest,
    follow,
    info_of,
    is_up,
    level,
    master_offset,
    wait_until,
)

FAR = 3_000_007  # bytes: more than the tap and the kernel hold at once


@pytest.mark.parametrize("slow", [False, True], ids=["", "slow reader"])
@pytest.mark.parametrize("mode", ["fin", "reset"])
def test_a_cut_ends_both_legs_as_specified_under_full_load_and_after_its_byte(mode: str, slow: bool) -> None:
    with Packets() as packets:
        spec = f"cut at=offset:{BASE + FAR} mode={mode}"
        with flooded(lambda port: in_front_of(port, spec), slow=slow) as (tap, counter, flood):
            counter.finish()
            flood.join(WITHIN)
            master_port = port_of_master(tap)
            fired = tap.wait_for(events.FaultFired)
            assert tap.wait_for(events.LinkClosed).how == mode
        assert (counter.how, flood.how) == (mode, mode)
        assert counter.count == FAR
        assert counter.data == block_up_to(FAR)
        assert flood.sent > FAR
        assert fired.offset == BASE + FAR
        assert_ended_with(mode, packets, tap.port, counter.port)
        assert_ended_with(mode, packets, flood.port, master_port)


@pytest.mark.parametrize("other", ["", "delay 50ms", "throttle 2mb/s", "slice 1kb"])
@pytest.mark.parametrize("mode", ["fin", "reset"])
def test_a_timed_cut_ends_both_legs_after_the_byte_it_reports(mode: str, other: str) -> None:
    """Also if the replica has not taken what was read for it, or another fault holds some of that."""
    with Packets() as packets:
        with flooded(lambda port: in_front_of(port, *filter(None, [other])), slow=True) as (tap, counter, flood):
            wait_until(lambda: counter.count > 100_000)
            add(tap, f"cut mode={mode}")
            counter.finish()
            flood.join(WITHIN)
            fired = tap.events(events.FaultFired)[-1]
            master_port = port_of_master(tap)
            tap.wait_for(events.LinkClosed)  # a tap that ends sooner cuts off a leg that is still saying goodbye
        assert (counter.how, flood.how) == (mode, mode)
        assert fired.offset == BASE + counter.count
        assert counter.data == block_up_to(counter.count)
        assert_ended_with(mode, packets, tap.port, counter.port)
        assert_ended_with(mode, packets, flood.port, master_port)


@pytest.mark.parametrize("slow", [False, True], ids=["", "slow reader"])
@pytest.mark.parametrize("mode", ["fin", "reset"])
def test_a_cut_of_the_replicas_leg_leaves_the_masters_open(mode: str, slow: bool) -> None:
    with Packets() as packets:
        spec = f"cut at=offset:{BASE + FAR} mode={mode} legs=replica"
        with flooded(lambda port: in_front_of(port, spec), slow=slow) as (tap, counter, flood):
            master_port = port_of_master(tap)
            counter.finish()
            assert counter.how == mode
            assert counter.data == block_up_to(FAR)
            there = flood.sent
            wait_until(lambda: flood.sent > there + 50 * 2**20)  # something takes it: more than any buffer holds
            assert not flood.how
            assert not packets.between(flood.port, master_port)
            assert_ended_with(mode, packets, tap.port, counter.port)
            flood.stop()
            assert tap.wait_for(events.LinkClosed).text == "cut by fault cut-1"


@pytest.mark.parametrize("mode", ["fin", "reset"])
def test_a_cut_of_the_masters_leg_leaves_the_replicas_open(mode: str) -> None:
    with Packets() as packets, socket.create_server((LOCALHOST, 0)) as listener:
        listener.settimeout(WITHIN)
        master_port = listener.getsockname()[1]
        with TapThread(in_front_of(master_port, f"cut at=offset:{BASE + FAR} mode={mode} legs=master")) as tap:
            flood = Flood(listener)
            flood.start()
            with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica:
                replica.sendall(asks(BASE))
                flood_sent = b"+CONTINUE\r\n" + block_up_to(FAR)
                received = bytearray()
                while len(received) < len(flood_sent):
                    received += replica.recv(65536)
                assert received == flood_sent
                flood.join(WITHIN)
                assert flood.how == mode
                for _ in range(50):
                    replica.sendall(bytes(2**20))  # something takes it
                replica.setblocking(False)
                with pytest.raises(BlockingIOError):
                    replica.recv(1)
                assert not packets.between(tap.port, replica.getsockname()[1])
                assert_ended_with(mode, packets, flood.port, master_port)
            assert tap.wait_for(events.LinkClosed).text == "cut by fault cut-1"


# ---- real servers ----


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *(pytest.param(name, "fin", marks=pytest.mark.slow) for name in MATRIX if name not in OLDEST_AND_NEWEST),
        ("redis-newest", "fin"),
        *itertools.product(["redis-6.2", "valkey-newest"], ["fin", "reset"]),
    ],
)
def test_real_servers_under_load_are_cut_and_resync_partially(servers: Servers, name: str, mode: str) -> None:
    master = servers.start(need(name), "repl-backlog-size", "256mb")
    replica = servers.start(name)
    with Packets() as packets, TapThread(in_front_of(master.port)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        link = only_link(tap)
        assert link.replica.transport is not None
        assert link.master.transport is not None
        replica_port = link.replica.transport.get_extra_info("peername")[1]
        tap_port = link.master.transport.get_extra_info("sockname")[1]
        partial_before = client(master).info("stats")["sync_partial_ok"]
        with Writes(master.port):
            add(tap, f"cut at=offset:+3mb mode={mode}")
            fired = tap.wait_for(events.FaultFired)
            tap.wait_for(events.PartialResync)
        level(master, replica)
        assert digest(master) == digest(replica)
        assert client(master).info("stats")["sync_partial_ok"] == partial_before + 1
        ends = [(closed.how, closed.text) for closed in tap.events(events.LinkClosed) if closed.by is Side.TAP]
        assert ends == [(mode, "cut by fault cut-1")]
        assert_ended_with(mode, packets, tap.port, replica_port)
        assert_ended_with(mode, packets, tap_port, master.port)
        assert tap.events(events.PsyncRequested)[-1].offset <= (fired.offset or 0) + 1


def test_a_real_replica_whose_masters_leg_is_cut_notices_by_its_timeout(servers: Servers, server_name: str) -> None:
    master = servers.start(server_name, "repl-backlog-size", "64mb")
    replica = servers.start(server_name, "repl-timeout", "3")
    with Packets() as packets, TapThread(in_front_of(master.port)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        replica_port = only_link(tap).replica.transport.get_extra_info("peername")[1]  # type: ignore[union-attr]
        add(tap, "cut legs=master")
        wait_until(lambda: info_of(master)["connected_slaves"] == "0")
        assert is_up(replica)
        client(master).set("while", "away")
        tap.wait_for(events.PartialResync)
        seen = wait_until(lambda: packets.between(tap.port, replica_port))
        assert seen[0][0] == replica_port
        level(master, replica)
        assert client(replica).get("while") == b"away"


def test_a_real_master_whose_replicas_leg_is_cut_notices_by_its_timeout(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server, "repl-backlog-size", "64mb", "repl-timeout", "3")
    replica = servers.start(any_server)
    with Packets() as packets, TapThread(in_front_of(master.port)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        first = only_link(tap)
        tap_port = first.master.transport.get_extra_info("sockname")[1]  # type: ignore[union-attr]
        add(tap, "cut legs=replica")
        tap.wait_for(events.PartialResync)
        assert client(master).info("replication")["connected_slaves"] == 2
        assert not packets.between(tap_port, master.port)
        wait_until(lambda: info_of(master)["connected_slaves"] == "1")
        assert wait_until(lambda: packets.between(tap_port, master.port))[0][0] == master.port
        level(master, replica)
        assert master_offset(master) == tap.offset()
