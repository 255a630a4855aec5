"""The relay with peers made of sockets: bytes, ends and backpressure pass unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap import Address, Config, LinkConfig, Tap
from tap.errors import EnvironmentFailure
from tap.relay.buffers import Buffers
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Role, Side
from tap.servers.embedded import free_port
from tests.relay.wire import LOCALHOST, RESET, all_of, fill, in_front_of, receive
from tests.support import WITHIN, TapThread, expect_reset, wait_until


class Pair:
    """A replica's and a master's socket with a tap in between."""

    def __init__(self, tap: TapThread, listener: socket.socket) -> None:
        self.replica = socket.create_connection((LOCALHOST, tap.port), WITHIN)
        self.master = listener.accept()[0]
        self.master.settimeout(WITHIN)

    def close(self) -> None:
        self.replica.close()
        self.master.close()


@pytest.fixture
def tap(listener: socket.socket) -> Iterator[TapThread]:
    with TapThread(in_front_of(listener.getsockname()[1])) as one:
        yield one


@pytest.fixture
def pair(tap: TapThread, listener: socket.socket) -> Iterator[Pair]:
    with contextlib.closing(Pair(tap, listener)) as one:
        yield one


BYTES = st.binary(max_size=100) | st.sampled_from(
    [b"PING\r\n", b"*1\r\n$4\r\nPING\r\n", b"\n", b"SYNC\r\n", bytes(300_000)]
)


@settings(max_examples=60)
@given(turns=st.lists(st.tuples(st.booleans(), BYTES), max_size=12), first=st.booleans())
def test_bytes_out_are_bytes_in_whatever_they_are(turns: list[tuple[bool, bytes]], first: bool) -> None:
    """Law 2, with half-close in either order."""
    with SHARED as (tap, listener), contextlib.closing(Pair(tap, listener)) as pair:
        sent = {True: b"", False: b""}
        for from_master, data in turns:
            source, target = (pair.master, pair.replica) if from_master else (pair.replica, pair.master)
            sender = threading.Thread(target=source.sendall, args=(data,))
            sender.start()
            assert receive(target, len(data)) == data
            sender.join()
            sent[from_master] += data
        for source, target in [(pair.master, pair.replica), (pair.replica, pair.master)][:: 1 if first else -1]:
            source.shutdown(socket.SHUT_WR)
            assert all_of(target) == b""


class _Shared:
    """One tap for all examples of a property: starting one for each would take most of the time."""

    def __init__(self) -> None:
        self._made: tuple[TapThread, socket.socket] | None = None
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> tuple[TapThread, socket.socket]:
        if self._made is None:
            listener = self.stack.enter_context(socket.create_server((LOCALHOST, 0)))
            listener.settimeout(WITHIN)
            self._made = self.stack.enter_context(TapThread(in_front_of(listener.getsockname()[1]))), listener
        return self._made

    def __exit__(self, *_: object) -> None:
        return None


SHARED = _Shared()


@pytest.fixture(scope="module", autouse=True)
def _shared() -> Iterator[None]:
    with SHARED.stack:
        yield


def test_both_directions_work_at_once(pair: Pair) -> None:
    data = os.urandom(20 * 2**20)
    senders = [threading.Thread(target=sock.sendall, args=(data,)) for sock in (pair.replica, pair.master)]
    got: dict[str, bytes] = {}
    readers = [
        threading.Thread(target=lambda name=name, sock=sock: got.update({name: receive(sock, len(data))}))
        for name, sock in (("replica", pair.replica), ("master", pair.master))
    ]
    for thread in senders + readers:
        thread.start()
    for thread in senders + readers:
        thread.join(WITHIN)
    assert got == {"replica": data, "master": data}


def test_a_half_closed_link_continues_in_the_other_direction(pair: Pair, tap: TapThread) -> None:
    pair.replica.sendall(b"GET / HTTP/1.0\r\n\r\n")
    pair.replica.shutdown(socket.SHUT_WR)
    assert all_of(pair.master) == b"GET / HTTP/1.0\r\n\r\n"
    pair.master.sendall(b"answer")
    assert receive(pair.replica, 6) == b"answer"
    pair.master.close()
    assert all_of(pair.replica) == b""
    closed = tap.wait_for(events.LinkClosed)
    assert (closed.by, closed.how, closed.bytes_from_master, closed.bytes_from_replica) == (Side.REPLICA, "fin", 6, 18)


@pytest.mark.parametrize("by", [Side.REPLICA, Side.MASTER])
def test_a_reset_is_passed_on_as_a_reset(pair: Pair, tap: TapThread, by: Side) -> None:
    pair.replica.sendall(b"PING\r\n")
    receive(pair.master, 6)
    source, target = (pair.replica, pair.master) if by is Side.REPLICA else (pair.master, pair.replica)
    source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    source.close()
    with pytest.raises(ConnectionResetError):
        all_of(target)
    closed = tap.wait_for(events.LinkClosed)
    assert (closed.by, closed.how, closed.phase) == (by, "reset", "handshake")


@pytest.mark.parametrize("by", [Side.REPLICA, Side.MASTER])
def test_a_close_is_passed_on_as_a_close(pair: Pair, tap: TapThread, by: Side) -> None:
    source, target = (pair.replica, pair.master) if by is Side.REPLICA else (pair.master, pair.replica)
    source.sendall(b"PING\r\n")
    source.close()
    assert all_of(target) == b"PING\r\n"
    target.close()
    closed = tap.wait_for(events.LinkClosed)
    assert (closed.by, closed.how) == (by, "fin")


def test_an_absent_master_resets_the_replica_and_is_reported(nobody: int) -> None:
    with TapThread(in_front_of(nobody)) as tap:
        for _ in range(2):
            expect_reset(tap.port)
        closed = tap.wait_for(events.LinkClosed, 2)
        assert (closed.by, closed.how, closed.text) == (Side.MASTER, "refused", "Connection refused")


def test_a_slow_master_delays_no_other_replica() -> None:
    """A listener with a full backlog does not answer; the tap gives up after its timeout, and others pass."""
    with socket.socket() as full, socket.create_server((LOCALHOST, 0)) as fine, contextlib.ExitStack() as fillers:
        full.bind((LOCALHOST, 0))
        full.listen(0)
        for _ in range(8):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        config = Config(
            links=(
                LinkConfig(name="full", master=Address(*full.getsockname())),
                LinkConfig(name="fine", master=Address(*fine.getsockname())),
            ),
            connect_timeout=1.5,
        )
        fine.settimeout(WITHIN)
        with TapThread(config) as tap:
            with socket.create_connection((LOCALHOST, tap.port), WITHIN) as stuck:
                wait_until(lambda: len(tap.tap.links) == 1)
                with socket.create_connection((LOCALHOST, tap.tap.listeners[1].address.port), WITHIN) as replica:
                    with fine.accept()[0] as master:
                        replica.sendall(b"PING\r\n")
                        assert receive(master, 6) == b"PING\r\n"
                assert not [
                    told for told in tap.told if told.link == "full" and isinstance(told.event, events.LinkClosed)
                ]
                with pytest.raises(ConnectionResetError):
                    stuck.recv(1)
            closed = next(
                told.event for told in tap.told if told.link == "full" and isinstance(told.event, events.LinkClosed)
            )
            assert (closed.by, closed.how) == (Side.MASTER, "timeout")


def test_a_slow_replica_slows_its_master_and_costs_no_memory(pair: Pair, tap: TapThread) -> None:
    """Law 5: what the replica does not read stays at the master, except for a buffer and the kernel's."""
    receive(pair.replica, fill(tap, pair.master))
    pair.master.sendall(b"more")
    assert receive(pair.replica, 4) == b"more"


def test_another_protocol_is_opaque_and_reported(pair: Pair, tap: TapThread) -> None:
    pair.master.sendall(b"220 mail.example ESMTP\r\n")
    assert receive(pair.replica, 24) == b"220 mail.example ESMTP\r\n"
    assert tap.wait_for(events.Opaque).side is Side.MASTER


def test_an_ordinary_client_is_reported_as_one(pair: Pair, tap: TapThread) -> None:
    pair.replica.sendall(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")
    assert tap.wait_for(events.Identified).role is Role.ORDINARY


def test_a_thousand_silent_connections_do_not_slow_one_that_talks(
    listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    with TapThread(in_front_of(listener.getsockname()[1])) as tap, contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(contextlib.closing(Pair(tap, listener)))
        assert len(tap.tap.links) == 1000
        pair = stack.enter_context(contextlib.closing(Pair(tap, listener)))
        pair.replica.sendall(b"PING\r\n")
        assert receive(pair.master, 6) == b"PING\r\n"
    assert len(tap.events(events.LinkClosed)) == 1001
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_master_may_listen_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "master.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(WITHIN)
        with TapThread(Config(links=(LinkConfig(master=Address(path=str(path))),))) as tap:
            with contextlib.closing(Pair(tap, listener)) as pair:
                pair.replica.sendall(b"PING\r\n")
                assert receive(pair.master, 6) == b"PING\r\n"


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_ipv6_and_names_work(host: str) -> None:
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    try:
        listener = socket.create_server(("::1" if host == "::1" else LOCALHOST, 0), family=family)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with listener:
        listener.settimeout(WITHIN)
        link = LinkConfig(listen=Address(host, 0), master=Address(host, listener.getsockname()[1]))
        with TapThread(Config(links=(link,))) as tap:
            with socket.create_connection((host, tap.port), WITHIN) as replica, listener.accept()[0] as master:
                replica.sendall(b"PING\r\n")
                assert receive(master, 6) == b"PING\r\n"
            assert tap.wait_for(events.LinkOpened).peer.startswith("[::1]:" if host == "::1" else "127.0.0.1:")


def test_every_address_of_the_machine_can_be_listened_on(listener: socket.socket) -> None:
    port = free_port()
    link = LinkConfig(listen=Address("*", port), master=Address(LOCALHOST, listener.getsockname()[1]))
    with TapThread(Config(links=(link,))) as tap:
        for host in (LOCALHOST, "127.0.0.2", *(["::1"] if socket.has_dualstack_ipv6() else [])):
            with socket.create_connection((host, tap.port), WITHIN):
                listener.accept()[0].close()


@pytest.mark.parametrize("steps", range(5))
def test_a_replica_that_arrives_while_the_tap_closes_is_dropped(listener: socket.socket, steps: int) -> None:
    """steps: of the event loop that its connection has done by then."""

    async def story() -> None:
        with socket.socket() as replica:
            replica.setblocking(False)
            async with Tap(in_front_of(listener.getsockname()[1])) as tap:
                with contextlib.suppress(BlockingIOError):
                    replica.connect((LOCALHOST, tap.port))
                for _ in range(steps):
                    await asyncio.sleep(0)
            with contextlib.suppress(ConnectionError):
                assert replica.recv(1) == b""

    asyncio.run(story())


def test_only_linux_can_be_transparent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap.relay.listener.sys.platform", "darwin")

    async def listen() -> None:
        async with Tap(Config(links=(LinkConfig(transparent=True),))):
            pass

    with pytest.raises(EnvironmentFailure, match="only Linux tells where a redirected connection was going"):
        asyncio.run(listen())


def test_the_end_of_the_tap_is_the_end_of_its_links(tap: TapThread, pair: Pair) -> None:
    tap.cut()
    assert all_of(pair.replica) == all_of(pair.master) == b""
    closed = tap.wait_for(events.LinkClosed)
    assert closed.by is Side.TAP


@pytest.mark.parametrize("host", ["foo..bar", "a" * 70 + ".x"])
def test_a_name_that_no_resolver_accepts_resets_the_replica_and_is_reported(host: str) -> None:
    with TapThread(Config(links=(LinkConfig(master=Address(host, 1)),))) as tap:
        expect_reset(tap.port)
        assert tap.wait_for(events.LinkClosed).by is Side.MASTER


def test_links_that_end_while_dialling_leave_nothing_behind(listener: socket.socket) -> None:
    for _ in range(50):
        with TapThread(in_front_of(listener.getsockname()[1])) as tap:
            replica = socket.create_connection((LOCALHOST, tap.port), WITHIN)
            wait_until(lambda: tap.events(events.LinkOpened))
        with replica:
            assert all_of(replica) == b""
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how) == (Side.TAP, "fin")
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            with listener.accept()[0] as master:
                master.settimeout(WITHIN)
                with contextlib.suppress(ConnectionResetError):
                    assert all_of(master) == b""


def test_a_bug_in_understanding_costs_only_the_understanding(
    tap: TapThread, pair: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Conversation, "receive_from_replica", broken)
    pair.replica.sendall(b"PING\r\n")
    assert receive(pair.master, 6) == b"PING\r\n"
    assert "bug" in tap.wait_for(events.Opaque).reason
    assert "a bug" in caplog.text


def test_an_observer_that_fails_is_dropped_alone(tap: TapThread, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    def failing(_: object) -> None:
        raise RuntimeError("no")

    tap.tap.bus.subscribe(failing)
    pair.replica.sendall(b"*1\r\n$4\r\nINFO\r\n")
    assert tap.wait_for(events.Identified)
    wait_until(lambda: "an observer failed" in caplog.text)


def test_a_silent_resolver_delays_neither_other_names_nor_the_end(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: object, **options: object) -> object:
        asked.append(host)
        if host == "stuck.example":
            answers.wait(WITHIN)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return resolve(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    links = (
        LinkConfig(name="stuck", master=Address("stuck.example", 1)),
        LinkConfig(name="fine", master=Address("localhost", listener.getsockname()[1])),
    )
    with contextlib.ExitStack() as stack:
        tap = stack.enter_context(TapThread(Config(links=links, connect_timeout=2 * WITHIN)))
        stack.callback(answers.set)
        for _ in range(64):
            stack.enter_context(socket.create_connection((LOCALHOST, tap.port), WITHIN))
        wait_until(lambda: len(tap.events(events.LinkOpened)) == 64)
        replica = socket.create_connection((LOCALHOST, tap.tap.listeners[1].address.port), WITHIN)
        with replica, listener.accept()[0] as master:
            replica.sendall(b"PING\r\n")
            assert receive(master, 6) == b"PING\r\n"
        assert tap.end()
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "resolve stuck.example"])


def test_buffers_that_a_crowd_of_slow_peers_needed_are_released() -> None:
    buffers = Buffers()
    lent = [buffers.lend() for _ in range(100)]
    alive = [weakref.ref(buffer) for buffer in lent]
    while lent:
        buffers.give_back(lent.pop())
    kept = sum(buffer() is not None for buffer in alive)
    assert 0 < kept <= 16


# ---- a link that serves any clients ----


def test_clients_of_a_proxy_see_an_ordinary_end_if_the_master_cannot_be_reached(nobody: int) -> None:
    with TapThread(Config(links=f"127.0.0.1:{nobody}")) as tap:
        tap.tap.listeners[0].is_proxy = True
        for early in (b"", b"request"):
            with socket.create_connection((LOCALHOST, tap.port), WITHIN) as client:
                client.sendall(early)
                assert client.recv(1) == b""
        assert tap.wait_for(events.LinkClosed, 2).how == "refused"


def test_the_master_of_a_proxy_is_not_asked_whether_it_speaks_tls() -> None:
    with (
        socket.create_server((LOCALHOST, 0)) as master,
        TapThread(Config(links=f"127.0.0.1:{master.getsockname()[1]}")) as tap,
    ):
        tap.tap.listeners[0].is_proxy = True
        master.settimeout(WITHIN)
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as client:
            one, _ = master.accept()
            client.sendall(b"hello")
            assert one.recv(5) == b"hello"
            one.close()
            assert client.recv(1) == b""
        tap.wait_for(events.LinkClosed)
        master.settimeout(0.5)
        with pytest.raises(TimeoutError):
            master.accept()
