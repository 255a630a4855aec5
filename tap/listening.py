"""Listening sockets, for the replicas of a tap and of a replayed recording."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

from tap.errors import EnvironmentFailure, words
from tap.port_owner import port_owner
from tap.url import EVERY_HOST, Address

BACKLOG = 512


async def listening(address: Address) -> tuple[list[socket.socket], Address]:
    """Open non-blocking sockets on every address of the host.

    Returns them and the address, with the port that the system chose in place of 0. Raises EnvironmentFailure.
    """
    host = None if address.host == EVERY_HOST else address.host
    sockets: list[socket.socket] = []
    place: tuple[Any, ...] = ()
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        if host is None and not socket.has_dualstack_ipv6():
            found = [one for one in found if one[0] == socket.AF_INET]
        # With port 0 each address would get a different port, but a replica needs a single one.
        for family, _, _, _, place in dict.fromkeys(found[:1] if address.port == 0 else found):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(place)
            sock.listen(BACKLOG)
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be encoded
        for sock in sockets:
            sock.close()
        by = ""
        if place and isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            by = port_owner(str(place[0]), address.port)
        raise EnvironmentFailure(f"cannot listen on {address}: {words(error)}{by and f', by {by}'}") from None
    return sockets, Address(address.host, sockets[-1].getsockname()[1])
