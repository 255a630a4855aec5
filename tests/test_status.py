"""The state of links and connections: the figures of one moment, and their cost to the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

import pytest

from tap import Tap
from tap.config import Config, LinkConfig
from tap.relay.admission import Admission, Admitted
from tap.relay.connection import Connection
from tap.relay.route import Route
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Role
from tap.replication.lag import OVERDUE_SECONDS
from tap.replication.memory import Memory
from tap.replication.phase import Phase
from tap.status import ConnectionStatus, RdbStatus, connection_status
from tap.url import Address
from tests.relay.wire import BASE, GRANT, LOCALHOST, REPLID, add, asks, command, in_front_of, remove
from tests.support import WITHIN, Servers, TapThread, client, level, wait_until


def granted(memory: Memory | None = None) -> Conversation:
    """A partial resync at time 100."""
    one = Conversation(lambda event: None, memory=memory, peer_host="10.0.0.7", peer_port=1234)
    one.receive_from_replica(command("REPLCONF", "listening-port", "6379") + asks(BASE), 100.0)
    one.receive_from_master(b"+OK\r\n" + GRANT, 100.0)
    return one


def status_of(conversation: Conversation, now: float = 100.0) -> ConnectionStatus:
    master = Address("10.0.0.5", 6379)
    return connection_status(conversation, now, number=3, link="main", peer="10.0.0.7:1234", master=master, opened=99.0)


def pooled() -> Conversation:
    """The record of an idle client."""
    one = Conversation(lambda event: None, peer_host="10.0.0.7", peer_port=1234)
    one.receive_from_replica(command("GET", "key"), 100.0)
    one.receive_from_master(b"$-1\r\n", 100.0)
    return one


def lag(conversation: Conversation, now: float) -> tuple[int | None, float | None]:
    status = status_of(conversation, now)
    return status.lag_bytes, status.lag_seconds


def acks(conversation: Conversation, offset: int, at: float) -> None:
    conversation.receive_from_replica(command("REPLCONF", "ACK", str(offset)), at)


def test_a_replica_has_its_record() -> None:
    one = granted()
    one.receive_from_master(command("SELECT", "3"), 101.0)
    acks(one, BASE, 101.25)
    status = status_of(one, 101.5)
    assert status == ConnectionStatus(
        number=3,
        link="main",
        peer="10.0.0.7:1234",
        replica="10.0.0.7:6379",
        master=Address("10.0.0.5", 6379),
        opened=99.0,
        role=Role.REPLICA,
        phase=Phase.STREAM,
        replid=REPLID,
        offset=BASE + 23,
        acked=BASE,
        db=3,
        lag_bytes=23,
        lag_seconds=0.25,
        bytes_from_master=len(b"+OK\r\n" + GRANT) + 23,
        bytes_from_replica=one.from_replica,
        stream_bytes=23,
        rdb=None,
        rdb_channel_bytes=None,
        lag_at_least=True,  # until it has caught up
        lag_known_from="wire",
    )
    with pytest.raises(AttributeError):
        status.offset = 7  # type: ignore[misc]


def test_the_lag_is_that_of_the_last_acknowledgement_until_the_next_one_is_overdue() -> None:
    one = granted()
    assert lag(one, 100.0) == (None, None)
    one.receive_from_master(command("PING"), 101.0)
    acks(one, BASE, 101.125)
    one.receive_from_master(command("PING"), 102.0)
    assert lag(one, 102.0) == (14, 0.125)
    assert lag(one, 101.125 + OVERDUE_SECONDS) == (14, 0.125)
    assert lag(one, 104.125) == (28, 3.0)
    acks(one, BASE + 28, 105.0)
    assert lag(one, 105.0) == (0, 3.0)
    one.receive_from_master(command("PING"), 106.0)
    assert lag(one, 106.25) == (0, 3.0)


def test_a_lag_in_bytes_is_unknown_without_offsets() -> None:
    """The stream of a refused and a doubted history has no offsets, and yet a replica that is silent."""
    one = granted()
    one.receive_from_master(command("PING"), 101.0)
    acks(one, BASE + 1000, 101.0)  # more than was sent: one of the two has counted wrongly
    one.receive_from_master(command("PING"), 101.0)
    acks(one, BASE + 1000, 102.0)
    assert lag(one, 102.0) == (None, None)
    assert lag(one, 110.0) == (None, 8.0)


def test_an_rdb_in_progress_has_its_record() -> None:
    one = Conversation(lambda event: None, peer_host="10.0.0.7", peer_port=1234)
    assert (status_of(one).phase, status_of(one).role, status_of(one).rdb) == (Phase.CONNECT, None, None)
    one.receive_from_replica(command("PSYNC", "?", "-1"), 100.0)
    one.receive_from_master(f"+FULLRESYNC {REPLID} 7\r\n$100\r\nREDIS0011\xfe\0\xfb\2\0".encode("latin-1"), 100.0)
    status = status_of(one)
    assert status.rdb == RdbStatus(received=14, size=100, keys=0, announced=2)
    assert (status.phase, status.offset, status.stream_bytes, status.rdb_channel_bytes) == (Phase.RDB, 7, None, None)


def test_the_record_of_an_ordinary_connection_is_kept_until_its_bytes_have_moved() -> None:
    one = Conversation(lambda event: None, peer_host="10.0.0.7", peer_port=1234)
    one.receive_from_replica(command("GET", "key"), 100.0)
    before = status_of(one)
    assert before.phase is Phase.ORDINARY
    assert before.is_current(one)
    one.receive_from_master(b"$-1\r\n", 100.0)
    assert not before.is_current(one)
    assert not before._replace(phase=Phase.STREAM, bytes_from_master=5).is_current(one)
    assert before._replace(bytes_from_master=5).is_current(one)


def test_a_tap_reports_the_state_of_its_links_and_connections(servers: Servers, any_server: str) -> None:
    first, second = servers.start(any_server), servers.start(any_server)
    links = tuple(
        LinkConfig(name=name, master=Address(LOCALHOST, one.port)) for name, one in (("a", first), ("b", second))
    )
    assert Tap(Config(links=links)).status().links == ()  # it does not listen yet
    with TapThread(Config(links=links)) as tap:
        ports = [listener.address.port for listener in tap.tap.listeners]
        replicas = [servers.start(any_server, "replicaof", f"{LOCALHOST} {port}") for port in reversed(ports)]
        client(first).set("key", "value")
        for master, replica in zip((second, first), replicas, strict=True):
            level(master, replica)
        tap.wait_for(events.StreamStarted, 2)
        status = tap.tap.status()
        assert [(one.name, one.address.port, one.master) for one in status.links] == [
            (link.name, port, link.master) for link, port in zip(links, ports, strict=True)
        ]
        mains = [one for one in status.connections if one.role is Role.REPLICA]
        assert [one.number for one in status.connections] == sorted(one.number for one in status.connections)
        assert {(one.link, one.replica) for one in mains} == {
            ("b", f"{LOCALHOST}:{replicas[0].port}"),
            ("a", f"{LOCALHOST}:{replicas[1].port}"),
        }
        assert all(one.rdb is not None and one.rdb.received for one in mains)
        assert abs(status.time - time.time()) < WITHIN


def test_a_connection_has_the_taps_address_from_the_dial_on_and_ends_with_a_half() -> None:
    """Of an ordinary client no byte passes in the meantime: its record is not the kept one."""
    with socket.create_server((LOCALHOST, 0)) as listening, contextlib.ExitStack() as opened:
        listening.settimeout(WITHIN)
        tap = opened.enter_context(TapThread(in_front_of(listening.getsockname()[1])))
        client = opened.enter_context(socket.create_connection((LOCALHOST, tap.port), WITHIN))
        client.sendall(command("GET", "key"))
        master, address = listening.accept()
        opened.enter_context(master)

        def state() -> tuple[Phase, tuple[str, int] | None, bool] | None:
            found = tap.tap.status().connections
            return (found[0].phase, found[0].tap_address, found[0].has_ended) if found else None

        wait_until(lambda: state() == (Phase.ORDINARY, address, False))
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: state() == (Phase.ORDINARY, address, True))


def test_a_connection_is_stalled_while_a_fault_stalls_what_the_master_sends() -> None:
    with socket.create_server((LOCALHOST, 0)) as listening, contextlib.ExitStack() as opened:
        listening.settimeout(WITHIN)
        tap = opened.enter_context(TapThread(in_front_of(listening.getsockname()[1])))
        replica = opened.enter_context(socket.create_connection((LOCALHOST, tap.port), WITHIN))
        replica.sendall(asks(BASE))
        master = opened.enter_context(listening.accept()[0])
        master.sendall(GRANT)

        def is_stalled() -> bool:
            return tap.tap.status().connections[0].is_stalled

        wait_until(lambda: tap.tap.status().connections[0].phase is Phase.STREAM)
        assert not is_stalled()
        for sender, expected in (("replica", False), ("master", True), ("both", True)):
            armed = add(tap, f"stall from={sender}")
            assert armed.fired == 1
            assert is_stalled() is expected
            remove(tap, armed)
            assert not is_stalled()


@pytest.mark.slow
@pytest.mark.parametrize("make", [pooled, granted])
def test_ten_thousand_connections_cost_the_event_loop_little(make: Callable[[], Conversation]) -> None:
    """Clients at rest, whose records are reused, and replicas, whose records are not."""

    async def run() -> list[float]:
        async with Tap(Config(links=(LinkConfig(master=Address(LOCALHOST, 1)),))) as tap:
            (listener,) = tap.listeners
            admission = Admission(10_000)
            route = Route.of(listener.config, tap.config)
            for number in range(10_000):
                place = admission.enter(LOCALHOST)
                assert isinstance(place, Admitted)
                one = Connection(listener, number, place)
                one.route, one.name, one.conversation = route, "main", make()
                listener.connections.append(one)
            took = []
            for _ in range(5):
                began = time.thread_time()
                assert len(tap.status().connections) == 10_000
                took.append(time.thread_time() - began)
            listener.connections.clear()
            return took

    # Idle clients took 6 ms and replicas 42 ms here; the limits leave room for a slower machine.
    assert min(asyncio.run(run())[1:]) < (0.02 if make is pooled else 0.2)
