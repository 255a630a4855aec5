"""Options of a running server: read by CONFIG GET, changed by CONFIG SET with undo."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tap.replication.passwords import is_secret_setting
from tap.servers.answers import settings
from tap.servers.client import Client
from tap.servers.failures import ANSWER_SECONDS, FAILURES, ErrorReply, said_by
from tap.servers.undo import Undo


class ServerSettings(Undo):
    """Change options of a running server and give each its first value back.

        async with ServerSettings(client) as options:
            await options.set("repl-timeout", "5")

    The end of the context restores them.
    """

    def __init__(self, client: Client, *, within: float = ANSWER_SECONDS) -> None:
        """within: seconds that restoring one option may take."""
        self._client = client
        self._within = within
        self._before: dict[str, str] = {}

    async def get(self, pattern: str) -> dict[str, str]:
        """CONFIG GET: values by name. Raises FAILURES."""
        return settings(await self._client.ask("CONFIG", "GET", pattern))

    async def set(self, option: str, value: str) -> None:
        """CONFIG SET. Raises FAILURES, ErrorReply when the server refuses."""
        found = await self.get(option)
        # Noted first: the server may execute a command whose reply never comes, because we were cancelled or cut off.
        noted = [name for name in found if name not in self._before]
        self._before |= {name: found[name] for name in noted}
        try:
            await self._client.ask("CONFIG", "SET", option, value)
        except ErrorReply:
            for name in noted:
                del self._before[name]
            raise

    async def restore(self) -> tuple[str, ...]:
        """Give every option its first value back. Returns a sentence for each that failed; calling again tries those."""
        failed = []
        for option, value in list(self._before.items()):
            try:
                async with asyncio.timeout(self._within):
                    await self._client.ask("CONFIG", "SET", option, value)
            except FAILURES as error:
                shown = "***" if is_secret_setting(option.encode()) else value
                failed.append(f"{self._client.name}: {option} could not be set back to {shown!r}: {said_by(error)}")
            else:
                del self._before[option]
        return tuple(failed)

    async def __aenter__(self) -> ServerSettings:
        return self


async def read_settings(client: Client, names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """CONFIG GET of each name. Returns the values of those that the server has, and its words for those it refuses.

    Raises FAILURES.
    """
    found: dict[str, str] = {}
    refused: dict[str, str] = {}
    replies = await client.ask_all([("CONFIG", "GET", name) for name in names])
    for name, reply in zip(names, replies, strict=True):
        if isinstance(reply, Exception):
            refused[name] = said_by(reply)
        else:
            found |= settings(reply)
    return found, refused
