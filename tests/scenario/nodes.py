"""A server of a pair, which says what a test has it say."""

from __future__ import annotations

from typing import Any

from redis.exceptions import ConnectionError as Unreachable


class Node:
    def __init__(self, name: str, *infos: dict[str, Any]) -> None:
        self.name = name
        self.infos = list(infos)
        self.ports = {6380}

    async def info(self, section: str) -> dict[str, Any]:
        found = self.infos.pop(0) if len(self.infos) > 1 else self.infos[0]
        if not found:
            raise Unreachable("gone")
        return found

    async def maybe_info(self, section: str) -> dict[str, Any]:
        try:
            return await self.info(section)
        except Unreachable:
            return {}
