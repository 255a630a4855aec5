"""REPLICAOF, with restore."""

from __future__ import annotations

import asyncio

from tap.servers.client import Client
from tap.servers.failures import ANSWER_SECONDS, FAILURES, said_by
from tap.servers.undo import Undo
from tap.url import Address


async def follow(client: Client, master: Address | None) -> None:
    """REPLICAOF, or with None REPLICAOF NO ONE. Raises FAILURES."""
    await client.ask("REPLICAOF", *_words(master))


class Following(Undo):
    """Point a server at other masters and, in the end, back at the one it followed before.

        async with Following(client) as following:
            await follow(client, tap)

    The beginning of the context asks the server which master it follows; its end restores that. before: that master, None
    for a server that is a master itself.
    """

    def __init__(self, client: Client, before: Address | None = None, *, within: float = ANSWER_SECONDS) -> None:
        """before: for a caller that knows it and calls restore() itself. within: seconds that restoring may take."""
        self.before = before
        self._client = client
        self._within = within

    async def forget(self) -> tuple[str, ...]:
        """Drop the history (REPLICAOF NO ONE), so that the next REPLICAOF makes a full resync.

        For a replica whose data set may differ from its master's. Returns a sentence when it failed.
        """
        return await self._point(None)

    async def restore(self) -> tuple[str, ...]:
        """Follow the master of before. Returns a sentence when it failed."""
        return await self._point(self.before)

    async def _point(self, master: Address | None) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(self._within):
                await follow(self._client, master)
        except FAILURES as error:
            return (f"{self._client.name}: REPLICAOF {' '.join(_words(master))} failed: {said_by(error)}",)
        return ()

    async def __aenter__(self) -> Following:
        """Raises FAILURES."""
        self.before = (await self._client.replication()).master
        return self


def _words(master: Address | None) -> tuple[str, str]:
    return (master.host, str(master.port)) if master else ("NO", "ONE")
