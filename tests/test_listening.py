"""Listening sockets: on which addresses, and the errors if there can be none."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from tap.errors import EnvironmentFailure
from tap.listening import listening
from tap.url import EVERY_HOST, Address


@contextlib.contextmanager
def sockets_on(address: Address) -> Iterator[tuple[list[socket.socket], Address]]:
    sockets, place = asyncio.run(listening(address))
    with contextlib.ExitStack() as stack:
        for one in sockets:
            stack.enter_context(one)
        yield sockets, place


def test_the_port_chosen_by_the_system_is_returned_and_accepts_connections() -> None:
    with sockets_on(Address("127.0.0.1", 0)) as (sockets, place):
        [one] = sockets
        assert place == Address("127.0.0.1", one.getsockname()[1])
        assert not one.getblocking()
        with socket.create_connection(("127.0.0.1", place.port)):
            pass


def test_all_addresses_have_one_port(nobody: int) -> None:
    with sockets_on(Address(EVERY_HOST, 0)) as (sockets, place):
        assert {one.getsockname()[1] for one in sockets} == {place.port}
        with socket.create_connection(("127.0.0.1", place.port)):
            pass


def test_a_host_name_is_listened_on_at_each_of_its_addresses() -> None:
    with sockets_on(Address("localhost", 0)) as (_, first):
        port = first.port
    with sockets_on(Address("localhost", port)) as (sockets, place):
        assert place == Address("localhost", port)
        hosts = {one[4][0] for one in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
        assert {one.getsockname()[0] for one in sockets} == hosts


def test_a_port_can_be_listened_on_again_at_once() -> None:
    with sockets_on(Address("127.0.0.1", 0)) as (sockets, place):
        there = socket.create_connection(("127.0.0.1", place.port))
        sockets[0].setblocking(True)
        here, _ = sockets[0].accept()
    here.close()  # first, so that it waits
    there.close()
    with sockets_on(place):
        pass


def test_a_port_in_use_is_reported_with_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFailure, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            asyncio.run(listening(Address("127.0.0.1", port)))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 300, "192.0.2.1"])
def test_a_foreign_host_is_reported(host: str) -> None:
    with pytest.raises(EnvironmentFailure, match=f"cannot listen on {host}:0: "):
        asyncio.run(listening(Address(host, 0)))
