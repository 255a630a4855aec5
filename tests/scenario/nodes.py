"""A server of a pair, whose answers a test decides."""

from __future__ import annotations

from typing import Any

from redis.exceptions import ConnectionError as Unreachable

from tap.servers.info import Info, ReplicationSection
from tests.servers import infos


class Node:
    """infos: the fields of each answer to INFO, the last one repeats; without any, it cannot be reached."""

    def __init__(self, name: str, *infos: dict[str, Any]) -> None:
        self.name = name
        self.infos = list(infos)
        self.ports = {6380}

    @property
    def client(self) -> Node:
        return self

    async def info(self, section: str) -> Info:
        found = self.infos.pop(0) if len(self.infos) > 1 else self.infos[0]
        if not found:
            raise Unreachable("gone")
        return infos.info(found)

    async def replication(self) -> ReplicationSection:
        return (await self.info("replication")).replication

    async def maybe_replication(self) -> ReplicationSection | None:
        try:
            return await self.replication()
        except Unreachable:
            return None
