"""Does a master speak TLS? Asked when it has ended a plain connection without a word, as TLS servers do.

A ClientHello is sent on a connection of its own; the first byte of the answer tells a TLS record from anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import Callable

from tap.relay.dial import dial
from tap.relay.route import Route
from tap.replication.conversation import Conversation
from tap.replication.events import Event, LinkClosed
from tap.url import Address

SILENT = "it ended the connection without a word"
TLS_SECONDS = 0.3  # for a master to answer whether it speaks TLS
FIRST_BYTES = (0x15, 0x16)  # of a TLS record that opens a connection: an alert, a handshake


class _Asks(asyncio.Protocol):
    """Starts a TLS handshake; the first byte of the answer decides."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        out = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
        transport.write(out.read())

    def data_received(self, data: bytes) -> None:
        self._answered(data[0] in FIRST_BYTES)

    def connection_lost(self, error: Exception | None) -> None:
        self._answered(False)

    def _answered(self, speaks: bool) -> None:
        if not self.answer.done():
            self.answer.set_result(speaks)


async def speaks_tls(master: Address, within: float) -> bool:
    """Whether the master answers a TLS handshake within that many seconds."""
    asks = _Asks()
    try:
        async with asyncio.timeout(within):
            await dial(master, asks, within, lambda sock: None)
            return await asks.answer
    except (OSError, ValueError):
        return False
    finally:
        if asks.transport is not None:
            asks.transport.abort()


def why_silent(route: Route, conversation: Conversation) -> str:
    """What to say of a master that ends before its first word and without a reason; "" for any other end."""
    if conversation.from_master or not conversation.from_replica:
        return ""
    if not route.tls:
        return SILENT
    return "" if route.has_cert else f"{SILENT}; it may require a client certificate: --cert and --key"


def is_in_question(closed: LinkClosed, route: Route, now: float) -> bool:
    """Whether to find out first if the master was silent because it expects TLS. If so, this counts as asked."""
    if closed.bytes_from_master:
        route.facts.speaks_tls = False
    return closed.text == SILENT and route.facts.is_worth_asking(now)


async def tell_after_question(closed: LinkClosed, route: Route, tell: Callable[[Event], None]) -> None:
    """Ask the master whether it speaks TLS, then publish the end. Servers reset a connection that does not."""
    assert route.master is not None
    try:
        route.facts.speaks_tls = await speaks_tls(route.master, TLS_SECONDS) or None
    finally:
        tell(explained(closed, route))


def explained(closed: LinkClosed, route: Route) -> LinkClosed:
    """The event, with the remedy if the master is known to expect TLS."""
    if closed.text == SILENT and route.facts.speaks_tls:
        return dataclasses.replace(closed, text=f"{SILENT}, because it speaks TLS: --tls")
    return closed
