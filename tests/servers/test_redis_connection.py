"""redis-py's connections by the URL of a server: their arguments, and what they do not show."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import ConnectionPool, Redis

from tap.servers.client import Client
from tap.servers.failures import InvalidReply
from tap.servers.redis_connection import connection_to
from tap.url import Address, Url


def test_a_client_shows_its_login_nowhere() -> None:
    kind, options = connection_to(Url.parse("redis://ann:sesame@h:1"))
    client = Redis.from_pool(ConnectionPool(connection_class=kind, **options))
    assert "sesame" not in repr(client) + repr(kind(**options)) + repr(options)


@pytest.mark.parametrize("cut", [1, 5, 100])
def test_what_a_reply_announces_is_not_believed(cut: int) -> None:
    said = b"*2147483647\r\n:1\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"INFO\r\n")
        for at in range(0, len(said), cut):
            writer.write(said[at : at + cut])
            await writer.drain()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    async def story() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, Client(Url(Address("127.0.0.1", server.sockets[0].getsockname()[1]))) as client:
            with pytest.raises(InvalidReply, match="it announces a reply of 2147483647 items"):
                await client.ask_alone("INFO")
            await ended.wait()

    ended = asyncio.Event()
    asyncio.run(story())
