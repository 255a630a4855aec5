"""Resyncs as the servers count them in INFO stats, since the steps began, summed over successive processes."""

from __future__ import annotations

from collections.abc import Iterable

from tap.scenario.pair import Node


class Tally:
    """Counts sync_full and sync_partial_ok by node. All methods raise FAILURES."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[int, int]] = {}
        self._ended: dict[str, tuple[int, int]] = {}  # counts of processes that have ended

    async def begin(self, nodes: Iterable[Node]) -> None:
        """Count from here."""
        for node in nodes:
            self._began[node.name] = await _counted(node)
            self._ended[node.name] = (0, 0)

    async def remember(self, node: Node) -> None:
        """Keep the node's counts: its process is about to end, and the next one starts counting at zero."""
        self._ended[node.name] = await self.grown(node)
        self._began[node.name] = (0, 0)

    async def grown(self, node: Node) -> tuple[int, int]:
        now = await _counted(node)
        then, ended = self._began[node.name], self._ended[node.name]
        return now[0] - then[0] + ended[0], now[1] - then[1] + ended[1]


async def _counted(node: Node) -> tuple[int, int]:
    stats = (await node.client.info("stats")).stats
    return stats.sync_full, stats.sync_partial_ok
