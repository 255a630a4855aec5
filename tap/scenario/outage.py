"""Measures how long there was no stream. It polls, because the event of a partial resync comes a little late."""

from __future__ import annotations

import asyncio

from tap.bus import Told
from tap.replication.events import Ack, LinkClosed
from tap.replication.phase import Phase
from tap.status import ConnectionStatus
from tap.tap import Tap

PERIOD = 0.01  # seconds; how precisely the end of an outage is measured


class Outages:
    """Watches the tap's connections from the first stream on.

    An outage lasts while no connection has both of its ends and a stream that no fault stalls.
    """

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._loop = asyncio.get_running_loop()
        self._found: list[float] = []
        self._since: float | None = None
        self._began = False
        self._unsubscribe = tap.bus.subscribe(self._hear)
        self._task = asyncio.create_task(self._watch(), name="outages")

    @property
    def found(self) -> list[float]:
        """Seconds of each outage, including one that still lasts."""
        now = self._loop.time()
        return [*self._found, *([now - self._since] if self._since is not None else [])]

    async def close(self) -> None:
        self._unsubscribe()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _hear(self, told: Told) -> None:
        """Look now: a connection may be lost and replaced, or gain and lose its stream, between two polls."""
        if isinstance(told.event, Ack | LinkClosed):
            self._look()

    async def _watch(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(PERIOD)

    def _look(self) -> None:
        now = self._loop.time()
        if self.has_stream:
            self._began = True
            if self._since is not None:
                self._found.append(now - self._since)
                self._since = None
        elif self._began and self._since is None:
            self._since = now

    @property
    def has_stream(self) -> bool:
        """Whether a connection of the tap has both of its ends and, as far as the tap can tell, a stream."""
        return any(_streams(one) and not (one.has_ended or one.is_stalled) for one in self._tap.status().connections)


def _streams(connection: ConnectionStatus) -> bool:
    if connection.phase in (Phase.LOADING, Phase.STREAM, Phase.OPAQUE):
        return True
    # After SYNC there is neither an offset nor an ACK that says that the replica has loaded the RDB: the phase stays
    # WAITING, although the stream follows the RDB on this connection.
    return connection.stream_bytes is not None and connection.rdb is not None and connection.rdb_channel_bytes is None
