"""A tap that parses nothing: bytes, ends and backpressure pass unchanged, also where the kernel moves them."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tap import Config, recording
from tap.relay.buffers import PIPE_SIZE
from tap.relay.leg import SPLICE_FROM
from tap.replication import events
from tap.replication.events import Role, Side
from tests.relay.wire import (
    BLOCK,
    LOCALHOST,
    RESET,
    add,
    all_of,
    block_up_to,
    command,
    fill,
    flooded,
    in_front_of,
    only_link,
    receive,
    remove,
)
from tests.support import WITHIN, Servers, TapThread, client, digest, follow, is_up, level, wait_until

KERNEL = pytest.mark.skipif(not hasattr(os, "splice"), reason="only on Linux the kernel passes bytes on")


class Splices:
    """The calls to splice(), counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        splice = os.splice

        def counted(*arguments: int) -> int:
            self.count += 1
            return splice(*arguments)

        monkeypatch.setattr(os, "splice", counted)


def opaque(port: int) -> Config:
    return in_front_of(port, opaque=True)


@pytest.fixture
def tap(listener: socket.socket) -> Iterator[TapThread]:
    with TapThread(opaque(listener.getsockname()[1])) as one:
        yield one


@pytest.fixture
def pair(tap: TapThread, listener: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The replica's end and the master's."""
    with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, listener.accept()[0] as master:
        master.settimeout(WITHIN)
        yield replica, master


def everything(source: socket.socket, pieces: list[bytes]) -> threading.Thread:
    """Send them, and FIN."""

    def send() -> None:
        for piece in pieces:
            source.sendall(piece)
        source.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("by_kernel", [pytest.param(True, marks=KERNEL), False])
def test_bytes_out_are_bytes_in_both_directions_at_once(
    tap: TapThread, pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, by_kernel: bool
) -> None:
    """Law 2, for pieces below and above the size that is spliced, and ends in either order."""
    replica, master = pair
    splices = Splices(monkeypatch) if by_kernel else None
    tap.tap.listeners[0].splices = by_kernel
    random = Random(7)
    sizes = [1, 100, SPLICE_FROM - 1, SPLICE_FROM, PIPE_SIZE, 5 * PIPE_SIZE + 1]
    sent = [[random.randbytes(random.choice(sizes)) for _ in range(12)] for _ in pair]
    got: dict[int, bytes] = {}
    threads = [everything(sock, pieces) for sock, pieces in zip(pair, sent, strict=True)]
    reader = threading.Thread(target=lambda: got.update({1: all_of(replica)}))
    reader.start()
    got[0] = all_of(master)
    for thread in (reader, *threads):
        thread.join(WITHIN)
    assert [got[0], got[1]] == [b"".join(pieces) for pieces in sent]
    closed = tap.wait_for(events.LinkClosed)
    assert (closed.bytes_from_replica, closed.bytes_from_master) == (len(got[0]), len(got[1]))
    if splices is not None:
        assert splices.count > 2


def test_only_the_opening_and_closing_of_links_is_reported(
    tap: TapThread, pair: tuple[socket.socket, socket.socket]
) -> None:
    replica, master = pair
    with replica, master:
        replica.sendall(b"PING\r\nPSYNC ? -1\r\nnonsense")
        assert master.recv(26, socket.MSG_WAITALL) == b"PING\r\nPSYNC ? -1\r\nnonsense"
        master.sendall(b"+FULLRESYNC what")
        assert replica.recv(16, socket.MSG_WAITALL) == b"+FULLRESYNC what"
    closed = tap.wait_for(events.LinkClosed)
    assert (closed.phase, closed.role, closed.offset) == ("opaque", None, None)
    assert (closed.bytes_from_master, closed.bytes_from_replica) == (16, 26)
    assert {type(told.event) for told in tap.told} == {events.LinkOpened, events.LinkClosed}


@KERNEL
def test_a_reset_in_the_middle_passes_as_a_reset(tap: TapThread, pair: tuple[socket.socket, socket.socket]) -> None:
    replica, master = pair
    sender = threading.Thread(target=lambda: _flood(master))
    sender.start()
    for _ in range(50):
        assert replica.recv(2**20)
    replica.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    replica.close()
    sender.join(WITHIN)
    assert not sender.is_alive()
    closed = tap.wait_for(events.LinkClosed)
    assert (closed.by, closed.how) == (Side.REPLICA, "reset")


def _flood(sock: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while True:
            sock.sendall(BLOCK)


@KERNEL
def test_a_peer_that_does_not_read_holds_up_the_other_one(
    tap: TapThread, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Law 5: the tap holds at most one pipeful and one read, and keeps no pipe for them."""
    replica, master = pair
    sent = fill(tap, master)
    leg = only_link(tap).replica
    assert leg.blocked
    assert leg.transport is not None
    assert leg.transport.get_write_buffer_size() <= PIPE_SIZE + 256 * 1024
    master.shutdown(socket.SHUT_WR)
    assert len(all_of(replica)) == sent


@KERNEL
def test_faults_take_the_bytes_from_the_kernel_and_give_them_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splices = Splices(monkeypatch)
    with flooded(opaque) as (tap, counter, _):
        for spec in ("delay 1ms", "slice 100kb", "throttle 500mb/s"):
            before = splices.count
            wait_until(lambda before=before: splices.count > before)  # type: ignore[misc]
            armed = add(tap, spec)
            before, count = splices.count, counter.count
            wait_until(lambda count=count: counter.count > count + 2**20)  # type: ignore[misc]
            assert splices.count == before, spec
            remove(tap, armed)
        armed = add(tap, "stall")
        link = only_link(tap)
        wait_until(lambda: link.faults is not None and link.faults.is_stalled)
        remove(tap, armed)
        add(tap, "cut mode=fin")
        counter.finish()
        assert counter.how == "fin"
        assert bytes(counter.data) == block_up_to(counter.count)


@pytest.mark.parametrize(
    ("first", "later", "how"), [(["truncate 3mb"], "", "fin"), ([], "cut after=50ms mode=reset", "reset")]
)
def test_faults_by_time_or_bytes_work(first: list[str], later: str, how: str) -> None:
    with flooded(lambda port: in_front_of(port, *first, opaque=True)) as (tap, counter, _):
        if later:  # once bytes flow: on a busy machine the time would be over before the master is dialled
            wait_until(lambda: counter.count)
            add(tap, later)
        counter.finish()
        assert counter.how == how
        assert bytes(counter.data) == block_up_to(counter.count)


@KERNEL
def test_an_ordinary_connection_is_spliced_too(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a tap that parses links: of such a connection it only counts bytes."""
    splices = Splices(monkeypatch)
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, listener.accept()[0] as master:
            replica.sendall(b"GET x\r\n")
            assert master.recv(100)
            sender = everything(master, [BLOCK] * 20)
            assert all_of(replica) == BLOCK * 20
            sender.join(WITHIN)
        assert tap.wait_for(events.LinkClosed).bytes_from_master == len(BLOCK) * 20
    assert splices.count


@KERNEL
@pytest.mark.parametrize("replies", [False, True], ids=["request", "reply"])
def test_splicing_an_ordinary_client_hides_no_psync(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, *, replies: bool
) -> None:
    """A value of many megabytes, with PSYNC at its very end, and then a client that asks to replicate."""
    splices = Splices(monkeypatch)
    replid = "a" * 40
    value = Random(7).randbytes(20 * PIPE_SIZE) + command("PSYNC", "?", "-1")
    with TapThread(in_front_of(listener.getsockname()[1])) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, listener.accept()[0] as master:
            master.settimeout(WITHIN)
            if replies:
                turns = [
                    (replica, master, command("GET", "k")),
                    (master, replica, b"$%d\r\n%b\r\n" % (len(value), value)),
                ]
            else:
                turns = [(replica, master, command("SET", "k", value)), (master, replica, b"+OK\r\n")]
            turns += [
                (replica, master, command("PSYNC", replid, "101")),
                (master, replica, f"+CONTINUE {replid}\r\n".encode() + BLOCK),
            ]
            for source, target, data in turns:
                sender = threading.Thread(target=source.sendall, args=(data,))
                sender.start()
                assert receive(target, len(data)) == data
                sender.join()
            assert [event.role for event in tap.events(events.Identified)] == [Role.ORDINARY, Role.REPLICA]
        assert tap.wait_for(events.LinkClosed).offset == 100 + len(BLOCK)
    assert splices.count


@KERNEL
def test_bytes_that_an_error_leaves_in_the_pipe_reach_no_other_link(
    tap: TapThread, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    splice, calls = os.splice, itertools.count(1)

    def fails_once(*arguments: int) -> int:
        if next(calls) == 2:  # out of the pipe
            raise MemoryError
        return splice(*arguments)

    monkeypatch.setattr(os, "splice", fails_once)
    for data in (b"first " * 2**20, b"second" * 2**20):
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, listener.accept()[0] as master:
            sender = threading.Thread(target=_all_or_nothing, args=(master, data))
            sender.start()
            got = bytearray()
            with contextlib.suppress(ConnectionResetError):
                while piece := replica.recv(2**20):
                    got += piece
            sender.join(WITHIN)
        assert data.startswith(got)
    assert got == data


def _all_or_nothing(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


@KERNEL
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EINVAL])
def test_a_system_without_splice_costs_no_link(
    tap: TapThread, pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuses(*_: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "splice", refuses)
    replica, master = pair
    sender = everything(master, [BLOCK] * 20)
    assert all_of(replica) == BLOCK * 20
    sender.join(WITHIN)
    assert not tap.tap.listeners[0].splices


def test_real_servers_replicate_and_the_recording_reports_what_was_not_parsed(
    servers: Servers, any_server: str, tmp_path: Path
) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    file = tmp_path / "opaque.pcapng"
    with client(master) as to_master:
        to_master.execute_command("DEBUG", "POPULATE", "2000", "key", "500")
        with TapThread(in_front_of(master.port, opaque=True, record_to=file)) as tap:
            follow(replica, tap.port)
            wait_until(lambda: is_up(replica))
            to_master.set("through", "it")
            level(master, replica)
            assert digest(master) == digest(replica)
            assert {type(told.event) for told in tap.told} <= {events.LinkOpened, events.LinkClosed}
    with recording.open(file) as held:
        assert any(isinstance(told.event, events.FullResync) for told in held.events())


def test_a_partial_resync_is_read_from_the_recording_at_its_time(
    servers: Servers, any_server: str, tmp_path: Path
) -> None:
    master, replica = servers.start(any_server), servers.start(any_server)
    file = tmp_path / "opaque.pcapng"
    follow(replica, master.port)
    level(master, replica)
    with TapThread(in_front_of(master.port, opaque=True, record_to=file)) as tap, client(master) as to_master:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        known = only_link(tap).conversation.from_replica
        wait_until(lambda: only_link(tap).conversation.from_replica > known + 50)  # acknowledged twice, a second apart
        to_master.set("written", "later" * 100)
        level(master, replica)
    with recording.open(file) as held:
        caught_up = next(told.event for told in held.events() if isinstance(told.event, events.CaughtUp))
    assert caught_up.at_most < 100  # a PING, but not what was written later
