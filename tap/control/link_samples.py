"""Lag and throughput of every link over the last half hour, taken every INTERVAL seconds while the API is open.

They are taken from the status of the first CONNECTIONS of each link: a chart needs no more, and whatever the number of
replicas, that costs the other links less than a millisecond.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from tap.status import LinkStatus, Status

INTERVAL = 2.0  # seconds
KEPT = 900  # half an hour
CONNECTIONS = 20
LINKS = 100  # as many have samples: 3 MB


class LinkSample(NamedTuple):
    """time: seconds since the epoch. lag: bytes of the replica that lags most; None if none is known. rate: bytes per
    second from the master; None at first.
    """

    time: float
    lag: int | None
    rate: float | None


class LinkSamples:
    """links: the samples of each link, oldest first."""

    def __init__(self, status: Callable[[int], Status]) -> None:
        self.links: dict[str, deque[LinkSample]] = {}
        self._status = status
        self._bytes: dict[str, dict[int, int]] = {}  # by link and connection, at the last sample
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.take(self._status(CONNECTIONS))
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self.start)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def take(self, status: Status) -> None:
        """Add a sample of each link. Links that are gone are forgotten."""
        there = {one.name for one in status.links[:LINKS]}
        for name in self.links.keys() - there:
            del self.links[name]
            self._bytes.pop(name, None)
        for link in status.links[:LINKS]:
            self._take(link, status.time, status.time - self._last)
        self._last = status.time

    def _take(self, link: LinkStatus, now: float, elapsed: float) -> None:
        lags = [one.lag_bytes for one in link.connections if one.lag_bytes is not None]
        counts = {one.number: one.bytes_from_master for one in link.connections}
        before = self._bytes.get(link.name)
        rate = None
        if before is not None and elapsed > 0:
            rate = sum(count - before.get(number, 0) for number, count in counts.items()) / elapsed
        self._bytes[link.name] = counts
        self.links.setdefault(link.name, deque(maxlen=KEPT)).append(LinkSample(now, max(lags, default=None), rate))
