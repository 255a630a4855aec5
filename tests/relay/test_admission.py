"""Limits of connections, and the places kept for replicas."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import socket

import pytest

from tap.errors import ConfigError
from tap.faults.plan import Plan
from tap.relay.admission import KEPT_PLACES, MAX_KNOWN, Admission, Admitted, Refused, most_by_files, neighbourhood
from tap.relay.connection import Connection
from tap.relay.leg import Leg
from tap.relay.listener import Listener
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tests.relay.wire import LOCALHOST, RESET, all_of, asks, in_front_of, receive
from tests.support import WITHIN, TapThread, wait_until

FULL = b"-ERR max number of clients reached\r\n"


def enter(door: Admission, host: str) -> Admitted:
    place = door.enter(host)
    assert isinstance(place, Admitted)
    return place


def test_beyond_the_limit_no_connection_is_admitted_until_one_leaves() -> None:
    door = Admission(2)
    first = enter(door, "a")
    enter(door, "b")
    assert door.enter("c") == Refused("max_connections", 2)
    first.leave()
    first.leave()
    enter(door, "c")
    assert door.enter("a") == Refused("max_connections", 2)


def test_one_address_has_its_own_limit() -> None:
    door = Admission(10, 2)
    first = enter(door, "a")
    enter(door, "a")
    assert door.enter("a") == Refused("max_connections_per_address", 2)
    enter(door, "b")
    first.leave()
    enter(door, "a")


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fd00::5%eth0", "fd00::/64"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_connections_of_a_neighbourhood_are_counted_together(host: str, counted: str) -> None:
    assert neighbourhood(host) == counted


def test_the_addresses_of_an_ipv6_network_share_a_limit_and_a_replica_is_one_of_them() -> None:
    door = Admission(10, 2)
    replica = enter(door, "2001:db8::1")
    replica.granted()
    enter(door, "2001:db8::2")
    assert door.enter("2001:db8::3") == Refused("max_connections_per_address", 2)
    enter(door, "2001:db8:0:1::3")
    back = enter(door, "2001:db8::1")
    assert back.is_kept
    for place in (replica, back):
        place.leave()
    enter(door, "2001:db8::3")


def test_the_limit_of_open_files_is_a_limit_too() -> None:
    assert Admission(10, most_by_files=1).most == 1
    assert Admission(10, most_by_files=20).most == 10
    door = Admission(10, most_by_files=1)
    enter(door, "a")
    assert door.enter("b") == Refused("open_files", 1)


@pytest.mark.parametrize("of_address", [None, 1])
def test_an_address_with_a_replica_is_admitted_all_the_same(of_address: int | None) -> None:
    door = Admission(1, of_address)
    replica = enter(door, "replica")
    replica.granted()
    replica.leave()
    enter(door, "replica" if of_address else "client")  # idle
    assert isinstance(door.enter("client"), Refused)
    for _ in range(KEPT_PLACES):
        assert enter(door, "replica").is_kept
    assert isinstance(door.enter("client"), Refused)


def test_an_idle_client_gives_up_its_kept_place_to_a_replica_and_a_replica_does_not() -> None:
    door = Admission(1)
    enter(door, "replica").granted()
    kept = [enter(door, "replica") for _ in range(KEPT_PLACES)]
    ended = []
    for number, place in enumerate(kept):
        place.end = lambda number=number: ended.append(number)  # type: ignore[misc]
    for place in (kept[0], *kept[2:-1]):
        place.granted()
    enter(door, "replica").granted()
    enter(door, "replica").granted()
    assert ended == [1, KEPT_PLACES - 1]
    assert door.enter("replica") == Refused("max_connections", 1)
    kept[0].leave()
    enter(door, "replica")


def test_a_replica_gets_a_free_ordinary_place_and_another_replica_its_kept_one() -> None:
    door = Admission(2)
    clients = [enter(door, "client"), enter(door, "replica")]
    clients[1].granted()
    kept = [enter(door, "replica") for _ in range(KEPT_PLACES)]
    for place in kept:
        place.granted()
    assert door.enter("replica") == Refused("max_connections", 2)
    for client in clients:
        client.leave()
    assert isinstance(door.enter("client"), Refused)  # as many as before the limit
    for _ in range(2):
        enter(door, "replica").granted()
    assert door.enter("replica") == Refused("max_connections", 2)


def test_beyond_the_limit_of_its_address_a_replica_stays_in_its_kept_place() -> None:
    door = Admission(1000, 2)
    clients = [enter(door, "replica") for _ in range(2)]
    clients[0].granted()
    kept = [enter(door, "replica") for _ in range(KEPT_PLACES)]
    for place in kept:
        place.granted()
    enter(door, "client").leave()
    assert door.enter("replica") == Refused("max_connections_per_address", 2)


def test_addresses_of_replicas_are_forgotten_the_oldest_first() -> None:
    door = Admission(1)
    enter(door, "client")
    for number in range(MAX_KNOWN):
        door.know(str(number))
    door.know("0")
    door.know("new")
    assert isinstance(door.enter("1"), Refused)
    for known in ("0", "2", "new"):
        assert isinstance(door.enter(known), Admitted)


def test_the_limit_of_files_allows_a_number_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 10_000
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    many = most_by_files()
    assert many is not None
    assert 4_000 < many < 5_000
    limit = 10
    assert most_by_files() == 1
    limit = resource.RLIM_INFINITY
    assert most_by_files() is None


@pytest.mark.parametrize("option", ["max_connections", "max_connections_per_address"])
@pytest.mark.parametrize("value", [0, -1, True, "many"])
def test_a_limit_of_zero_is_refused(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{option} {value!r}: a number of connections is expected, 1 or more"):
        in_front_of(1, **{option: value})


# ---- on the wire ----


def hang_up(sock: socket.socket) -> None:
    """With RST: the master does not have to close, too."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def test_a_refused_client_gets_the_error_of_redis_and_is_counted(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap.relay.refusals.SUMMED_SECONDS", 0.5)
    with contextlib.ExitStack() as stack:
        tap = stack.enter_context(TapThread(in_front_of(listener.getsockname()[1], max_connections=2)))
        inside = [stack.enter_context(socket.create_connection((LOCALHOST, tap.port), WITHIN)) for _ in range(2)]
        wait_until(lambda: len(tap.events(events.LinkOpened)) == 2)
        for _ in range(50):
            with socket.create_connection((LOCALHOST, tap.port), WITHIN) as one:
                assert all_of(one) == FULL
        told = wait_until(lambda: tap.events(events.ConnectionsRefused)[1:] and tap.events(events.ConnectionsRefused))
        assert told[0].count == 1
        assert (told[0].limit, told[0].most) == ("max_connections", 2)
        assert told[0].peer.startswith(f"{LOCALHOST}:")
        wait_until(lambda: sum(event.count for event in tap.events(events.ConnectionsRefused)) == 50)
        assert len(tap.events(events.ConnectionsRefused)) < 25
        hang_up(inside[0])
        wait_until(lambda: len(tap.tap.links) == 1)
        late = stack.enter_context(socket.create_connection((LOCALHOST, tap.port), WITHIN))
        late.sendall(b"PING\r\n")
        for _ in range(3):
            master = stack.enter_context(listener.accept()[0])
        assert receive(master, 6) == b"PING\r\n"


def test_running_out_of_files_is_not_the_masters_fault(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dial(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("tap.relay.opening.dial", dial)
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, pytest.raises(ConnectionResetError):
            replica.recv(1)
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how) == (Side.TAP, "error")
        assert closed.text.startswith("Too many open files (limit ")


def test_refusals_are_reported_at_the_end(listener: socket.socket) -> None:
    with TapThread(in_front_of(listener.getsockname()[1], max_connections=1)) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN):
            wait_until(lambda: tap.tap.links)
            for _ in range(5):
                with socket.create_connection((LOCALHOST, tap.port), WITHIN) as one:
                    all_of(one)
    assert [event.count for event in tap.events(events.ConnectionsRefused)] == [1, 4]


@pytest.mark.parametrize("crowd", ["127.0.0.2", LOCALHOST])
def test_idle_clients_do_not_keep_a_replica_out(listener: socket.socket, crowd: str) -> None:
    """Not even those on its own host."""
    with contextlib.ExitStack() as stack:
        tap = stack.enter_context(TapThread(in_front_of(listener.getsockname()[1], max_connections=10)))

        def sync() -> socket.socket:
            replica = stack.enter_context(socket.create_connection((LOCALHOST, tap.port), WITHIN))
            replica.sendall(asks(1000))
            masters: list[socket.socket] = []  # of the idle ones, too, which see their end
            while not (asked := [one for one in masters if _has_bytes(one)]):
                assert select.select([listener, *masters], [], [], WITHIN)[0]
                masters = [one for one in masters if not select.select([one], [], [], 0)[0] or _has_bytes(one)]
                while select.select([listener], [], [], 0)[0]:
                    masters.append(stack.enter_context(listener.accept()[0]))
            asked[0].sendall(b"+CONTINUE\r\n")
            assert receive(replica, 11) == b"+CONTINUE\r\n"
            return replica

        hang_up(sync())
        wait_until(lambda: not tap.tap.links)
        for _ in range(10 + KEPT_PLACES + 5):
            stack.enter_context(socket.create_connection((LOCALHOST, tap.port), WITHIN, (crowd, 0)))
        wait_until(lambda: len(tap.tap.links) >= 10)
        while select.select([listener], [], [], 0)[0]:
            stack.enter_context(listener.accept()[0])
        sync()
        sync()
        evicted = [event for event in tap.events(events.LinkClosed) if "kept for replicas" in event.text]
        assert bool(evicted) == (crowd == LOCALHOST)


def _has_bytes(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:  # nothing yet, or its end
        return False


def test_the_connection_of_an_rdb_keeps_its_place_as_its_main_one_does(listener: socket.socket) -> None:
    with contextlib.ExitStack() as stack:
        tap = stack.enter_context(TapThread(in_front_of(listener.getsockname()[1])))

        def asked(request: bytes, answer: bytes) -> None:
            replica = stack.enter_context(socket.create_connection((LOCALHOST, tap.port), WITHIN))
            master = stack.enter_context(listener.accept()[0])
            replica.sendall(request)
            assert receive(master, len(request)) == request
            master.sendall(answer)
            assert receive(replica, len(answer)) == answer

        asked(b"PSYNC ? -1\r\n", b"+RDBCHANNELSYNC 7\r\n")
        asked(
            b"REPLCONF rdb-channel 1 main-ch-client-id 7\r\nPSYNC ? -1\r\n", b"+OK\r\n+FULLRESYNC %b 5\r\n" % (b"a" * 40)
        )
        asked(b"PING\r\n", b"+PONG\r\n")
        tap.wait_for(events.FullResync)
        assert [link.admitted.is_granted for link in tap.tap.links] == [True, True, False]


@pytest.mark.parametrize("failing", [Leg, Connection, Listener, Conversation, Plan])
def test_a_link_that_cannot_begin_ends_its_connection_and_frees_its_place(
    failing: type, listener: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    where = {
        Leg: "connection_made",
        Connection: "__init__",
        Listener: "route",
        Conversation: "__init__",
        Plan: "refusal",
    }[failing]
    with TapThread(in_front_of(listener.getsockname()[1], max_connections=1)) as tap:
        with monkeypatch.context() as broken, contextlib.suppress(ConnectionResetError):
            broken.setattr(failing, where, _fail)
            with socket.create_connection((LOCALHOST, tap.port), WITHIN) as one:
                assert all_of(one) == b""
        wait_until(lambda: not tap.tap.links)
        assert "no memory for this" in caplog.text
        replica = socket.create_connection((LOCALHOST, tap.port), WITHIN)
        with replica, listener.accept()[0] as master:
            master.settimeout(WITHIN)
            replica.sendall(b"PING\r\n")
            assert receive(master, 6) == b"PING\r\n"


def _fail(*_: object, **_more: object) -> None:
    raise MemoryError("no memory for this")
