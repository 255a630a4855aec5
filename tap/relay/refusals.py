"""Connections that were not admitted, as events: the first one is reported at once, later ones as a number now and then.

A crowd that is refused must not become a crowd of events.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tap.relay.admission import Refused
from tap.replication import events
from tap.replication.events import Event

SUMMED_SECONDS = 10.0  # between two events


class Refusals:
    """Those of one link."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._counts: dict[Refused, tuple[int, str]] = {}  # since the last event, and the last peer
        self._at = -math.inf

    def add(self, refused: Refused, peer: str, now: float) -> None:
        count, _ = self._counts.get(refused, (0, ""))
        self._counts[refused] = count + 1, peer
        self.settle(now)

    def settle(self, now: float) -> None:
        if self._counts and now - self._at >= SUMMED_SECONDS:
            self._at = now
            counts, self._counts = self._counts, {}
            for refused, (count, peer) in counts.items():
                self._tell(events.ConnectionsRefused(count=count, peer=peer, limit=refused.limit, most=refused.most))
