"""What is told of a fault that fires on a connection: each time, or summed up where nobody could read that fast."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tap.faults.armed import Armed
from tap.replication.events import Event, FaultFired

TOLD_A_SECOND = 10  # firings of one fault on one connection; more are told summed up


class Telling:
    """The firings of one fault on one connection."""

    def __init__(self, armed: Armed, tell: Callable[[Event], None]) -> None:
        self._armed = armed
        self._tell = tell
        self._second = -1.0  # when the one began in which so many were told
        self._told = 0
        self._untold: FaultFired | None = None

    def fired(self, event: FaultFired, now: float) -> None:
        self._armed.bytes += event.bytes
        if now - self._second >= 1:
            self.rest()
            self._second, self._told = now, 0
        self._told += 1
        before = self._untold
        if self._told <= TOLD_A_SECOND or self._armed.is_over:
            self._tell(event)
        elif before is None:
            self._untold = event
        else:
            self._untold = dataclasses.replace(event, bytes=before.bytes + event.bytes, count=before.count + 1)

    def tick(self, now: float) -> None:
        if now - self._second >= 1:
            self.rest()

    def rest(self) -> None:
        """Tell what has not been told."""
        if self._untold is not None:
            untold, self._untold = self._untold, None
            self._tell(untold)
