"""Connecting to a master: by address, by name, or by the path of a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import Callable

from tap.errors import words
from tap.url import Address

OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)  # not a word was said to the master
UNRESOLVABLE = "the name cannot be resolved (no resolver takes it)"

Place = tuple[int, tuple[str, int]]  # the address family, and where in it


async def dial(
    address: Address, protocol: asyncio.BaseProtocol, within: float, opened: Callable[[socket.socket], None]
) -> None:
    """Connect. A name's addresses are tried in turn, each for its share of *within* seconds.

    opened: is given each TCP socket before it connects.
    Raises OSError, TimeoutError among them. Leaves no socket behind, also when it is cancelled: create_connection()
    with its own list of addresses may (seen on CPython 3.13).
    """
    loop = asyncio.get_running_loop()
    if address.path:
        async with asyncio.timeout(within):
            await loop.create_unix_connection(lambda: protocol, address.path)
        return
    async with asyncio.timeout(within):
        places = await resolved(address)
    failure: OSError = OSError(f"{address.host} has no address")
    for family, place in places:
        try:
            async with asyncio.timeout(within / len(places)):
                await _connect(protocol, family, place, opened)
            return
        except OSError as error:
            failure = error
    raise failure


async def trouble_reaching(address: Address, within: float) -> str:
    """Connect and hang up at once. Why that cannot be done, in words; "" if it can, or if we have no file left for it."""
    hangs_up = _HangsUp()
    try:
        await dial(address, hangs_up, within, lambda sock: None)
    except TimeoutError:
        return f"no connection within {within:g} s"
    except OSError as error:
        return "" if error.errno in OUT_OF_FILES else words(error)
    except ValueError:
        return UNRESOLVABLE
    hangs_up.transport.close()
    return ""


class _HangsUp(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport


async def resolved(address: Address) -> list[Place]:
    """Its places, one at least. One that is written in digits needs no resolver, and no thread.

    Raises OSError, and ValueError for a name that no resolver takes.
    """
    try:
        version = ipaddress.ip_address(address.host).version
    except ValueError:
        return await _looked_up(address)
    return [(socket.AF_INET6 if version == 6 else socket.AF_INET, (address.host, address.port))]


async def _looked_up(address: Address) -> list[Place]:
    """Ask the resolver, in a thread that nobody waits for.

    The loop's own threads would not do: they are few, so that a resolver which does not answer keeps the names of
    other links waiting, and asyncio.run() joins them before it ends.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Place]] = loop.create_future()

    def hand_over(places: list[Place], failure: Exception | None) -> None:
        if answer.done():  # given up
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(places)

    def look_up() -> None:
        places: list[Place] = []
        failure = None
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            places = list(dict.fromkeys((family, place) for family, _, _, _, place in found))  # type: ignore[misc]
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(hand_over, places, failure)

    threading.Thread(target=look_up, name=f"resolve {address.host}", daemon=True).start()
    return await answer


async def _connect(
    protocol: asyncio.BaseProtocol, family: int, place: tuple[str, int], opened: Callable[[socket.socket], None]
) -> None:
    loop = asyncio.get_running_loop()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        opened(sock)
        await loop.sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    await loop.create_connection(lambda: protocol, sock=sock)
