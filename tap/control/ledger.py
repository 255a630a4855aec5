"""What has happened on each link since the API opened: resyncs, commands by name, rates, outages. In bounded memory.

An observer of the bus. It hears no event of a COUNTLESS kind: commands are counted from the batches (`commands`).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from tap.bus import Told
from tap.replication import events
from tap.replication.heads import OTHER

MAX_RESYNCS = 1000  # of all links together
MAX_LINKS = 1000  # a transparent tap has one for each master
MAX_NAMES = 1000  # of commands, for each link
MAX_REPLICAS = 1000  # whose outages are timed, for each link
WINDOW = 10.0  # seconds over which a rate is taken: batches come about once a second

RESYNCS = (events.FullResync, events.PartialResync, events.ResyncRefused)


@dataclass(slots=True)
class _Window:
    """The stream of one connection: its bytes since *began*, and in all since *first*."""

    first: float
    began: float
    bytes: int = 0
    total: int = 0


@dataclass(slots=True)
class LinkLedger:
    """One link. counts, sizes: commands and their bytes by name, of all connections, so that two replicas count twice.

    peak_rate: bytes per second of the busiest WINDOW of one connection; None before one has passed. mean_rate: of the
    connection with the most bytes. longest_outage: seconds from the end of a replica's connection to its next resync.
    """

    resyncs: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    peak_rate: float | None = None
    longest_outage: float | None = None
    _windows: dict[int, _Window] = field(default_factory=dict)
    _busiest: tuple[int, float] = (0, 0.0)  # bytes and seconds
    _gone: dict[str, float] = field(default_factory=dict)

    @property
    def mean_rate(self) -> float | None:
        size, seconds = self._busiest
        return size / seconds if seconds > 0 else None

    def commands(self, told: Told, batch: events.Commands) -> None:
        for name, share in batch.by_name.items():
            if name not in self.counts and len(self.counts) >= MAX_NAMES:
                name = OTHER
            self.counts[name] += share.count
            self.sizes[name] += share.bytes
        window = self._windows.get(told.connection)
        if window is None:  # the batch says not how long it took: the first one only starts the clock
            self._windows[told.connection] = _Window(told.time, told.time)
            return
        window.bytes += batch.bytes
        window.total += batch.bytes
        if window.total > self._busiest[0]:
            self._busiest = window.total, told.time - window.first
        elapsed = told.time - window.began
        if elapsed >= WINDOW:
            self.peak_rate = max(self.peak_rate or 0.0, window.bytes / elapsed)
            window.began, window.bytes = told.time, 0

    def resync(self, told: Told) -> None:
        self.resyncs[told.event.kind] += 1
        gone = None if isinstance(told.event, events.ResyncRefused) else self._gone.pop(told.replica, None)
        if gone is not None:
            self.longest_outage = max(self.longest_outage or 0.0, told.time - gone)

    def closed(self, told: Told, event: events.LinkClosed) -> None:
        self._windows.pop(told.connection, None)
        if event.role is not events.Role.REPLICA or event.offset is None:
            return
        self._gone[told.replica] = told.time
        if len(self._gone) > MAX_REPLICAS:
            del self._gone[next(iter(self._gone))]


class Ledger:
    """All links. resyncs: the last ones, oldest first, as JSON with caught_up, which is None until that is reported."""

    def __init__(self) -> None:
        self.links: dict[str, LinkLedger] = {}
        self.resyncs: deque[dict[str, Any]] = deque(maxlen=MAX_RESYNCS)

    def __call__(self, told: Told) -> None:
        event = told.event
        if isinstance(event, events.Commands):
            self._link(told.link).commands(told, event)
        elif isinstance(event, RESYNCS):
            self._link(told.link).resync(told)
            self.resyncs.append({**told.as_dict(), "caught_up": None})
        elif isinstance(event, events.CaughtUp):
            self._caught_up(told)
        elif isinstance(event, events.LinkClosed):
            self._link(told.link).closed(told, event)

    def _caught_up(self, told: Told) -> None:
        for resync in reversed(self.resyncs):
            if resync["connection"] == told.connection:
                resync["caught_up"] = told.as_dict()
                return

    def _link(self, name: str) -> LinkLedger:
        if name not in self.links:
            if len(self.links) >= MAX_LINKS:
                name = OTHER
            self.links.setdefault(name, LinkLedger())
        return self.links[name]
