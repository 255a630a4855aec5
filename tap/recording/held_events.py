"""Withholds the events of a connection until it is known to replicate."""

from __future__ import annotations

from collections.abc import Callable

from tap.bus import Told
from tap.recording.missing import Missing
from tap.replication import events

MAX_HELD = 1000  # events, and as many missing stretches


class HeldEvents:
    """tell, lacks: called with every event and every missing stretch, once released."""

    def __init__(self, tell: Callable[[Told], None], lacks: Callable[[Missing], None], *, is_released: bool) -> None:
        self.is_released = is_released
        self._tell = tell
        self._lacks = lacks
        self._events: list[Told] = []
        self._missing: list[Missing] = []

    def tell(self, told: Told) -> None:
        if self.is_released:
            self._tell(told)
        elif len(self._events) < MAX_HELD:
            self._events.append(told)

    def lacks(self, missing: Missing) -> None:
        if self.is_released:
            self._lacks(missing)
        elif len(self._missing) < MAX_HELD:
            self._missing.append(missing)

    def release(self) -> None:
        """Report everything withheld: the connection replicates."""
        self.is_released = True
        told, self._events = self._events, []
        missing, self._missing = self._missing, []
        for event in told:
            self._tell(event)
        for stretch in missing:
            self._lacks(stretch)

    def forget(self) -> None:
        """Drop events that rest on a wrong reading of the bytes; gaps, and the connection's opening, remain."""
        self._events = [one for one in self._events if isinstance(one.event, events.LinkOpened | events.RecordingGap)]
        self._missing = [one for one in self._missing if one.cause == "gap"]
