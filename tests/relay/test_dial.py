"""Connecting to a master: the addresses of a name in turn, within one limit, without leaking a socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tap.relay import dial as module
from tap.relay.dial import dial, trouble_reaching
from tap.url import Address

HERE = "127.0.0.1"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HERE, 0)) as one:
        yield one


class Connected(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


def resolving(monkeypatch: pytest.MonkeyPatch, *places: tuple[str, int]) -> None:
    async def resolved(_: Address) -> list[Any]:
        return [(socket.AF_INET, place) for place in places]

    monkeypatch.setattr(module, "resolved", resolved)


async def dialled(address: Address, within: float = 5.0) -> tuple[Connected, list[socket.socket]]:
    """The protocol, and each socket as it was before it connected."""
    protocol = Connected()
    opened: list[socket.socket] = []
    try:
        await dial(address, protocol, within, opened.append)
    finally:
        if protocol.transport is not None:
            protocol.transport.close()
            await asyncio.sleep(0)
    return protocol, opened


def test_each_address_of_a_name_is_tried_until_one_answers(
    listener: socket.socket, nobody: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, (HERE, nobody), listener.getsockname(), ("192.0.2.1", 1))
    protocol, opened = asyncio.run(dialled(Address("master.example", 1)))
    assert protocol.transport is not None
    assert len(opened) == 2
    assert [sock.fileno() for sock in opened[:1]] == [-1], "the one that was refused is closed"


def test_if_none_answers_the_last_error_is_reported(nobody: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, (HERE, nobody))
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(dialled(Address("master.example", 1)))
    resolving(monkeypatch)
    with pytest.raises(OSError, match=r"master\.example has no address"):
        asyncio.run(dialled(Address("master.example", 1)))


@contextlib.contextmanager
def full() -> Iterator[tuple[str, int]]:
    """A port whose queue is full, so that the next connection hangs."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind((HERE, 0))
        listening.listen(0)
        for _ in range(3):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield listening.getsockname()


def test_an_address_that_hangs_takes_only_its_share_of_the_time(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        _, opened = await dialled(Address("master.example", 1), within=0.6)
        assert len(opened) == 2
        assert opened[0].fileno() == -1
        return loop.time() - began

    with full() as place:
        resolving(monkeypatch, place, listener.getsockname())
        assert 0.3 <= asyncio.run(story()) < 5


def test_a_dial_that_is_given_up_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        opened: list[socket.socket] = []
        task = asyncio.create_task(dial(Address("master.example", 1), Connected(), 60, opened.append))
        while not opened:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert opened[0].fileno() == -1

    with full() as place:
        resolving(monkeypatch, place)
        asyncio.run(story())


def test_a_unix_socket_is_a_path(tmp_path: Path) -> None:
    path = str(tmp_path / "master")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        protocol, opened = asyncio.run(dialled(Address(path=path)))
        assert protocol.transport is not None
        assert opened == [], "only sockets of TCP are shown"


def test_a_reachable_master_gives_no_trouble_and_is_hung_up_on(listener: socket.socket) -> None:
    assert asyncio.run(trouble_reaching(Address(HERE, listener.getsockname()[1]), 5)) == ""
    listener.settimeout(5)
    with listener.accept()[0] as connection:
        assert connection.recv(1) == b""


def test_trouble_is_described_in_words(nobody: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trouble(address: Address, within: float = 5.0) -> str:
        return asyncio.run(trouble_reaching(address, within))

    assert trouble(Address(HERE, nobody)) == "Connection refused"
    assert trouble(Address(path=str(tmp_path / "no"))) == "No such file or directory"
    assert "cannot be resolved" in trouble(Address("no.such.host.invalid", 1))
    with full() as place:
        assert trouble(Address(*place), 0.1) == "no connection within 0.1 s"

    async def out_of_files(*_: object) -> None:
        raise OSError(errno.EMFILE, "")

    monkeypatch.setattr(module, "dial", out_of_files)
    assert trouble(Address(HERE, 1)) == "", "that says nothing about the master"
