"""A server that a verb cannot do without: when it fails, so does the verb."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from tap.errors import EnvironmentFailure
from tap.servers.client import Client
from tap.servers.failures import FAILURES, AuthenticationError, ErrorReply, said_by
from tap.servers.info import Info
from tap.url import Url


class Target:
    """A server that gets commands. name: its address. db: of its URL, None where that has none.

    All methods raise EnvironmentFailure with the server's name.
    """

    def __init__(self, url: str | Url) -> None:
        """Raises ConfigError for a URL that is not a server's."""
        url = Url.parse(url) if isinstance(url, str) else url
        self.db = url.db
        self._client = Client(url)
        self.name = self._client.name

    async def keys(self) -> dict[int, int]:
        """Number of keys by db, empty ones left out."""
        with self._needed():
            return Info.parse(await self._client.ask_alone("INFO", "keyspace")).keyspace

    async def check_db(self, db: int) -> None:
        """Check that this db can be selected."""
        with self._needed(db):
            async with self._client.streams(db):
                pass

    @contextlib.asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """See Client.streams(). What happens inside the context is the caller's."""
        async with contextlib.AsyncExitStack() as until_end:
            with self._needed():
                streams = await until_end.enter_async_context(self._client.streams())
            yield streams

    @contextlib.contextmanager
    def _needed(self, db: int | None = None) -> Iterator[None]:
        try:
            yield
        except FAILURES as error:
            if db is not None and isinstance(error, ErrorReply) and not isinstance(error, AuthenticationError):
                raise EnvironmentFailure(f"{self.name}: db {db} cannot be selected: {said_by(error)}") from None
            raise EnvironmentFailure(f"{self.name}: {said_by(error)}") from None
