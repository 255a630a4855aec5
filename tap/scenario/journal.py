"""The events of one run, each with its time, and waiting for further ones."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from tap.bus import Told
from tap.conditions import Conditions, matches
from tap.replication.events import Event
from tap.scenario.patience import limit


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """at: seconds since the journal began."""

    at: float
    told: Told

    @property
    def event(self) -> Event:
        return self.told.event


class Journal:
    """An observer of the bus. No event is missed between two calls of wait_for(): each continues after the last match."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self._began = time.monotonic()
        self._read = 0  # entries that wait_for has passed
        self._news = asyncio.Event()

    def __call__(self, told: Told) -> None:
        self.entries.append(JournalEntry(self.now, told))
        self._news.set()

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    async def wait_for(self, kind: str, *, where: Conditions, times: int, within: float) -> JournalEntry:
        """Wait for the *times*-th matching event of that kind. Raises TimeoutError."""
        async with limit(within):
            while True:
                while self._read < len(self.entries):
                    entry = self.entries[self._read]
                    self._read += 1
                    if entry.event.kind == kind and matches(entry.told, where):
                        times -= 1
                        if not times:
                            return entry
                self._news.clear()
                await self._news.wait()

    def skip(self) -> None:
        """Let later waits ignore all events up to now."""
        self._read = len(self.entries)

    def of(self, *kinds: str, since: float = 0.0) -> list[JournalEntry]:
        """All entries of these kinds from *since* on."""
        return [entry for entry in self.entries if entry.event.kind in kinds and entry.at >= since]
