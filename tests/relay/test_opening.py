"""A replica's bytes before its master is there: they wait, even if the event loop reads when asked not to.

CPython 3.11.0 to 3.11.3 ignore pause_reading() in connection_made(); other loops may ignore it altogether. Both are made
up here, so that every interpreter tests them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tap import Address, Config, LinkConfig, recording
from tap.relay import opening
from tap.relay.connection import Connection
from tap.relay.leg import EARLY_BYTES, Leg
from tap.relay.opening import host_to_announce
from tap.replication import events
from tap.replication.events import Side
from tests.relay.certificates import Certificates, Peer
from tests.relay.wire import BASE, GRANT, LOCALHOST, all_of, asks, command, in_front_of, only_link, receive
from tests.support import WITHIN, TapThread, wait_until

SET = command("SET", "key", "value")


class Gate:
    """Delays every dial to a master until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._is_open = threading.Event()
        dial = opening.dial  # type: ignore[attr-defined]

        async def later(*arguments: Any) -> None:
            while not self._is_open.is_set():
                await asyncio.sleep(0.001)
            await dial(*arguments)

        monkeypatch.setattr(opening, "dial", later)

    def open(self) -> None:
        self._is_open.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


@pytest.fixture(params=["as in 3.11.2", "never pauses"])
def loop_that_reads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An event loop that reads when it should not."""
    transport = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    if request.param == "as in 3.11.2":

        def add_reader(self: Any, *arguments: Any) -> None:
            if not self._closing:
                self._loop._add_reader(*arguments)

        monkeypatch.setattr(transport, "_add_reader", add_reader)
    else:
        monkeypatch.setattr(transport, "pause_reading", lambda self: None)
    return str(request.param)


@pytest.fixture
def no_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def feed(tap: TapThread, leg: Leg, data: bytes, end: bool = False) -> None:
    """As an event loop that does not pause: the bytes, and FIN."""

    def now() -> None:
        for start in range(0, len(data), 2**16):
            piece = data[start : start + 2**16]
            leg.get_buffer(-1)[: len(piece)] = piece
            leg.buffer_updated(len(piece))
        if end:
            leg.eof_received()

    tap.call(now)


def lose(tap: TapThread, leg: Leg, error: Exception) -> None:
    """As an event loop reports an RST."""

    def now() -> None:
        assert leg.transport is not None
        leg.transport._fatal_error(error)  # type: ignore[attr-defined]

    tap.call(now)


def heard(leg: Leg) -> int:
    return 0 if leg._early is None else len(leg._early.data)


@contextlib.contextmanager
def dialling(
    listener: socket.socket, *faults: str, **options: Any
) -> Iterator[tuple[TapThread, socket.socket, Connection]]:
    """A replica whose master is not there yet."""
    with TapThread(in_front_of(listener.getsockname()[1], *faults, **options)) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica:
            yield tap, replica, only_link(tap)


FAULTS = [(), ("delay 1ms",), ("slice size=3b",), ("cut at=offset:+100gb",)]


@pytest.mark.usefixtures("no_error")
@pytest.mark.parametrize("faults", FAULTS, ids=str)
@pytest.mark.parametrize("is_recorded", [False, True])
def test_bytes_fed_before_the_dial_ends_arrive_in_order(
    listener: socket.socket, gate: Gate, tmp_path: Path, faults: tuple[str, ...], is_recorded: bool
) -> None:
    path = tmp_path / "early.pcapng"
    options = {"record_to": path} if is_recorded else {}
    asked = b"".join(command("REPLCONF", "name", f"{number:0300}") for number in range(30))
    with dialling(listener, *faults, **options) as (tap, replica, link):
        for start in range(0, len(asked), 777):
            feed(tap, link.replica, asked[start : start + 777])
        assert heard(link.replica) == len(asked)
        replica.sendall(asks(BASE))
        gate.open()
        with listener.accept()[0] as master:
            master.settimeout(WITHIN)
            asked += asks(BASE)
            assert receive(master, len(asked)) == asked
            master.sendall(b"+OK\r\n" * 30 + GRANT + SET)
            assert receive(replica, 150 + len(GRANT + SET)) == b"+OK\r\n" * 30 + GRANT + SET
            assert tap.wait_for(events.PartialResync).offset == BASE
    if is_recorded:
        with recording.open(path) as recorded:
            assert [one.args for one in recorded.commands()] == [(b"key", b"value")]
            assert recorded.links[0].bytes_from_replica == len(asked)


@pytest.mark.usefixtures("no_error", "loop_that_reads")
@pytest.mark.parametrize("faults", FAULTS, ids=str)
def test_a_loop_that_reads_early_loses_nothing(listener: socket.socket, gate: Gate, faults: tuple[str, ...]) -> None:
    with dialling(listener, *faults) as (tap, replica, link):
        replica.sendall(command("PING"))
        wait_until(lambda: link.replica.transport)
        replica.sendall(asks(BASE))
        replica.shutdown(socket.SHUT_WR)
        tap.call(lambda: None)
        gate.open()
        with listener.accept()[0] as master:
            master.settimeout(WITHIN)
            assert all_of(master) == command("PING") + asks(BASE)
            master.sendall(b"+PONG\r\n" + GRANT)
            assert receive(replica, 7 + len(GRANT)) == b"+PONG\r\n" + GRANT
        assert replica.recv(1) == b""
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how, closed.bytes_from_replica) == (Side.REPLICA, "fin", 14 + len(asks(BASE)))


@pytest.mark.parametrize("legs", ["replica", "both"])
@pytest.mark.usefixtures("no_error", "loop_that_reads")
def test_a_loop_that_reads_early_begins_no_handshake(
    listener: socket.socket, gate: Gate, tmp_path: Path, legs: str
) -> None:
    """A blackhole leaves a replica without any answer, even to TLS; and its bytes are not lost."""
    certificates = Certificates(tmp_path)
    to_master: dict[str, Any] = {"tls": True, "cacert": certificates.ca} if legs == "both" else {}
    link = LinkConfig(master=Address(LOCALHOST, listener.getsockname()[1]), listen_cert=certificates.leaf, **to_master)
    with TapThread(Config(links=(link,), faults=("refuse mode=blackhole name=dark",))) as tap:
        replica = Peer(socket.create_connection((LOCALHOST, tap.port), WITHIN), certificates.asking(), serves=False)
        with contextlib.closing(replica):
            shaking = threading.Thread(target=replica.shake_hands)
            shaking.start()
            tap.wait_for(events.LinkOpened)
            for _ in range(20):
                tap.call(lambda: None)
            assert not tap.events(events.Secured)
            assert shaking.is_alive()
            gate.open()
            tap.call(lambda: tap.tap.faults.remove("dark"))
            shaking.join(WITHIN)
            assert not shaking.is_alive()
            replica.sendall(command("PING"))
            serving = certificates.serving() if legs == "both" else None
            with contextlib.closing(Peer(listener.accept()[0], serving, serves=True)) as master:
                master.shake_hands()
                assert receive(master, 14) == command("PING")


@pytest.mark.usefixtures("no_error")
def test_an_early_fin_is_passed_on_after_the_bytes_before_it(listener: socket.socket, gate: Gate) -> None:
    with dialling(listener) as (tap, replica, link):
        feed(tap, link.replica, asks(BASE), end=True)
        gate.open()
        with listener.accept()[0] as master:
            master.settimeout(WITHIN)
            assert all_of(master) == asks(BASE)
            master.sendall(GRANT)
            assert receive(replica, len(GRANT)) == GRANT
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how, closed.bytes_from_replica) == (Side.REPLICA, "fin", len(asks(BASE)))


@pytest.mark.usefixtures("no_error")
@pytest.mark.parametrize("faults", FAULTS[:2], ids=str)
def test_an_early_reset_is_passed_on_after_the_bytes_before_it(
    listener: socket.socket, gate: Gate, faults: tuple[str, ...]
) -> None:
    with dialling(listener, *faults) as (tap, _, link):
        feed(tap, link.replica, asks(BASE))
        lose(tap, link.replica, ConnectionResetError())
        assert not tap.events(events.LinkClosed)
        gate.open()
        with listener.accept()[0] as master:
            master.settimeout(WITHIN)
            with pytest.raises(ConnectionResetError):
                all_of(master)
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how, closed.bytes_from_replica) == (Side.REPLICA, "reset", len(asks(BASE)))


@pytest.mark.usefixtures("no_error")
def test_a_reset_without_bytes_before_it_ends_the_link_at_once(listener: socket.socket, gate: Gate) -> None:
    with dialling(listener) as (tap, _, link):
        lose(tap, link.replica, ConnectionResetError())
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how) == (Side.REPLICA, "reset")
        assert not tap.tap.links


@pytest.mark.usefixtures("no_error")
@pytest.mark.parametrize("is_lost", [False, True])
def test_early_bytes_are_dropped_with_an_absent_master(nobody: int, gate: Gate, is_lost: bool) -> None:
    with TapThread(in_front_of(nobody)) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica:
            link = only_link(tap)
            feed(tap, link.replica, asks(BASE))
            if is_lost:
                lose(tap, link.replica, ConnectionResetError())
            gate.open()
            if not is_lost:
                with pytest.raises(ConnectionResetError):
                    replica.recv(1)
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how, closed.bytes_from_replica) == (Side.MASTER, "refused", 0)


@pytest.mark.usefixtures("no_error")
@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("fault", ["", "cut mode=reset", "cut mode=fin", "cut legs=replica", "cut legs=master"])
def test_a_link_that_ends_before_its_master_is_there_leaves_nothing(
    listener: socket.socket, gate: Gate, fault: str, is_lost: bool
) -> None:
    with dialling(listener) as (tap, replica, link):
        feed(tap, link.replica, asks(BASE))
        if is_lost:
            lose(tap, link.replica, ConnectionResetError())
        if fault:
            tap.call(lambda: tap.tap.faults.add(fault))
        else:
            tap.cut()
        if "legs=master" not in fault:
            with contextlib.suppress(ConnectionResetError):
                assert replica.recv(1) == b""
        replica.close()
        assert tap.wait_for(events.LinkClosed).by is Side.TAP
        wait_until(lambda: not tap.tap.links)


def test_a_loop_that_never_pauses_does_not_fill_the_memory(
    listener: socket.socket, gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    transport = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    monkeypatch.setattr(transport, "pause_reading", lambda self: None)
    with dialling(listener) as (tap, replica, link):
        with contextlib.suppress(ConnectionError):
            while link in tap.tap.links:
                replica.sendall(bytes(2**16))
                assert heard(link.replica) <= EARLY_BYTES + 2**18
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how) == (Side.TAP, "error")
        assert f"{EARLY_BYTES} bytes came before the link began" in closed.text
    assert "link main, connection 1: this event loop does not keep the replica waiting" in caplog.text


def test_a_write_without_a_connection_is_an_error_in_the_log(
    listener: socket.socket, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with dialling(listener) as (tap, _, link):
        tap.call(lambda: link.master.write(b"lost"))
        assert "link main, connection 1: 4 bytes for the master are lost" in caplog.text
        caplog.clear()
        tap.cut()
        tap.call(lambda: link.master.write(b"of a link that has ended"))
        assert not caplog.records


@pytest.mark.parametrize("early", [False, True])
def test_a_loop_that_reports_the_same_end_twice_is_heard_once(
    listener: socket.socket, gate: Gate, tmp_path: Path, early: bool
) -> None:
    """As asyncio does whenever a leg at its end was paused for a while."""
    with dialling(listener, record_to=tmp_path / "recorded.pcapng") as (tap, replica, link):
        if not early:
            gate.open()
        feed(tap, link.replica, asks(BASE), end=True)
        feed(tap, link.replica, b"", end=True)
        gate.open()
        with listener.accept()[0] as master:
            master.settimeout(WITHIN)
            assert all_of(master) == asks(BASE)
            feed(tap, link.replica, b"", end=True)
            master.sendall(GRANT)
            assert receive(replica, len(GRANT)) == GRANT
        assert tap.wait_for(events.LinkClosed).bytes_from_replica == len(asks(BASE))


@pytest.mark.parametrize(
    ("replica", "master", "announced"),
    [
        ("10.0.0.7", ("10.0.0.5", 6379), "10.0.0.7"),
        ("10.0.0.7", ("127.0.0.1", 6379), "10.0.0.7"),
        ("127.0.0.1", ("127.0.0.1", 6379), "127.0.0.1"),
        ("127.0.0.1", ("10.0.0.5", 6379), ""),
        ("::1", ("10.0.0.5", 6379), ""),
        ("::1", ("::1", 6379, 0, 0), "::1"),
        ("fd00::7", ("10.0.0.5", 6379), "fd00::7"),
        ("fe80::7%eth0", ("fe80::5%eth0", 6379, 0, 2), "fe80::7%eth0"),
        ("127.0.0.1", "/run/redis.sock", "127.0.0.1"),
        ("::1", "/run/redis.sock", "::1"),
        ("127.0.0.1", "", "127.0.0.1"),
    ],
)
def test_loopback_means_the_replica_only_to_a_local_master(
    replica: str, master: tuple[object, ...] | str, announced: str
) -> None:
    assert host_to_announce(replica, master) == announced
