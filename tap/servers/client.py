"""The one client for servers: commands, pipelines, INFO and raw streams, over TCP, TLS or a Unix socket.

Everything in redis-tap that asks a server something does it through Client. redis-py sends and reads inside; its
exceptions, under the names of failures.py, are all that comes out. A command is tried once: the caller reports a failure,
or has caused it on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any

from redis.asyncio import ConnectionPool, Redis

from tap.servers.cancellation import checkpoint
from tap.servers.failures import FAILURES, NO_REPLY, InvalidReply
from tap.servers.info import Info, ReplicationSection
from tap.servers.redis_connection import connection_to
from tap.url import Url

Word = str | bytes | int | float


class Client:
    """A client of one server. name: its address, for messages. db: the URL's, or 0.

    Connections open when they are first needed and stay open until close(). All methods raise FAILURES.
    """

    def __init__(self, url: Url) -> None:
        """Raises ConfigError for a URL with options that a client does not have."""
        self.url = url
        self.name = str(url.address)
        self.db = url.db or 0
        self._kind, self._options = connection_to(url)
        self._by_db: dict[int, Redis] = {}

    async def ask(self, *words: Word, db: int | None = None) -> Any:
        """Send one command; its reply as redis-py converts it: bytes, int, True for SET, (cursor, keys) for SCAN.

        Raises CancelledError when redis-py swallowed a cancellation meanwhile. A task that has been cancelled must
        therefore clean up through to_the_end(), which does its work in another task.
        """
        try:
            reply = await self._redis(db).execute_command(*words)
        except FAILURES:
            raise
        except Exception:  # redis-py converts a reply by its command, and fails on one of another shape
            raise InvalidReply(NO_REPLY) from None
        checkpoint()
        return reply

    async def ask_all(self, commands: Iterable[tuple[Word, ...]], *, db: int | None = None) -> list[Any]:
        """Send commands in one pipeline, MULTI and EXEC as they stand. The reply to a refused one is its ErrorReply."""
        try:
            async with self._redis(db).pipeline(transaction=False) as pipeline:
                for words in commands:
                    pipeline.execute_command(*words)
                replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except FAILURES:
            raise
        except Exception:
            raise InvalidReply(NO_REPLY) from None
        checkpoint()
        return replies

    async def info(self, section: str) -> Info:
        """INFO of one section, or of "all"."""
        return Info.parse(await self.ask("INFO", section))

    async def replication(self) -> ReplicationSection:
        """INFO replication."""
        return (await self.info("replication")).replication

    @contextlib.asynccontextmanager
    async def streams(self, db: int = 0) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection of its own, logged in and with that db selected, as plain streams.

        For a caller that writes and parses bytes itself: redis-py's own sending and parsing costs more for each command
        than the server does, and it cannot read a replication stream.
        """
        async with self._alone(db) as connection:
            yield connection._reader, connection._writer

    async def ask_alone(self, *words: Word, db: int = 0) -> Any:
        """Send one command on a connection of its own; its reply as it is, with bytes for text.

        For a server that may not be Redis at all: ask() silently reconnects to one that speaks before it is asked.
        """
        async with self._alone(db) as connection:
            await connection.send_command(*words)
            reply = await connection.read_response(disable_decoding=True)
            checkpoint()
            return reply

    @contextlib.asynccontextmanager
    async def _alone(self, db: int) -> AsyncIterator[Any]:
        connection = self._kind(**self._options, db=db)
        try:
            await connection.connect()
            checkpoint()
            yield connection
        finally:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close all connections. The next command opens a new one."""
        while self._by_db:
            _, one = self._by_db.popitem()
            with contextlib.suppress(*FAILURES):
                await one.aclose()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _redis(self, db: int | None) -> Redis:
        number = self.db if db is None else db
        if number not in self._by_db:
            redis = Redis.from_pool(ConnectionPool(connection_class=self._kind, db=number, **self._options))
            redis.response_callbacks.pop("INFO")  # info.py parses it
            self._by_db[number] = redis
        return self._by_db[number]
