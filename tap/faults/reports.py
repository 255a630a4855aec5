"""Reports of a fault's firings on one connection: one by one, or combined when they come too fast to read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from tap.faults.armed import Armed
from tap.replication.events import Event, FaultFired

REPORTS_A_SECOND = 10  # of one fault on one connection; further firings are combined into one report


class Reports:
    """The firings of one fault on one connection."""

    def __init__(self, armed: Armed, tell: Callable[[Event], None]) -> None:
        self._armed = armed
        self._tell = tell
        self._second = -math.inf  # when the current second began
        self._count = 0  # firings in the current second
        self._summed: FaultFired | None = None  # the firings not reported yet, combined

    def fired(self, event: FaultFired, now: float) -> None:
        self._armed.bytes += event.bytes
        if now - self._second >= 1:
            self.flush()
            self._second, self._count = now, 0
        self._count += 1
        before = self._summed
        if self._count <= REPORTS_A_SECOND or self._armed.is_over:
            self._tell(event)
        elif before is None:
            self._summed = event
        else:
            self._summed = dataclasses.replace(event, bytes=before.bytes + event.bytes, count=before.count + 1)

    def tick(self, now: float) -> None:
        if now - self._second >= 1:
            self.flush()

    def flush(self) -> None:
        """Report the combined firings, if there are any."""
        if self._summed is not None:
            summed, self._summed = self._summed, None
            self._tell(summed)
