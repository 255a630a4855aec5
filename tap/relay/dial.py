"""Connecting to a master: by address, by name, or by the path of a Unix socket."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from tap.config import Address
from tap.relay.leg import Leg


async def dial(address: Address, leg: Leg, within: float) -> None:
    """Connect the leg. A name's addresses are tried in turn, each for its share of *within* seconds.

    Raises OSError, TimeoutError among them. Leaves no socket behind, also when it is cancelled: create_connection()
    with its own list of addresses may (seen on CPython 3.13).
    """
    loop = asyncio.get_running_loop()
    if address.path:
        async with asyncio.timeout(within):
            await loop.create_unix_connection(lambda: leg, address.path)
        return
    async with asyncio.timeout(within):
        places = await _resolved(address)
    failure: OSError = OSError(f"{address.host} has no address")
    for family, place in places:
        try:
            async with asyncio.timeout(within / len(places)):
                await _connect(leg, family, place)
            return
        except OSError as error:
            failure = error
    raise failure


async def _resolved(address: Address) -> list[tuple[int, tuple[str, int]]]:
    """(family, place) for each address of the host. One that is written in digits needs no resolver, and no thread."""
    try:
        version = ipaddress.ip_address(address.host).version
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys((family, place) for family, _, _, _, place in found))  # type: ignore[misc]
    return [(socket.AF_INET6 if version == 6 else socket.AF_INET, (address.host, address.port))]


async def _connect(leg: Leg, family: int, place: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    await loop.create_connection(lambda: leg, sock=sock)
