"""Connecting to a master: by address, by name, or by the path of a Unix socket."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from tap.errors import words
from tap.relay.name_lookup import UNRESOLVABLE, resolved
from tap.url import Address

OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)  # of this process or system: the master was not contacted


async def dial(
    address: Address, protocol: asyncio.BaseProtocol, within: float, opened: Callable[[socket.socket], None]
) -> None:
    """Connect. The addresses of a name are tried in turn, each for its share of *within* seconds.

    opened: called with each TCP socket before it connects.
    Raises OSError, TimeoutError included. Leaves no socket behind, even when cancelled; create_connection() with a list
    of addresses may (seen on CPython 3.13).
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
    """Connect and hang up at once. Returns why that failed, or "". Lack of files here is not the master's fault."""
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
