"""Does a master speak TLS? Asked when it has ended a plain connection without a word, as TLS servers do.

A ClientHello is sent on a connection of its own; the first byte of the answer tells a TLS record from anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from tap.relay.dial import dial
from tap.url import Address

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
