"""The last events of a tap, numbered, for readers that come later: Tap.wait_for(), and the event streams of the API.

A reader remembers the number of the next event that it wants, and nothing is kept for it: however slow it is, it costs no
memory. What it missed shows in the numbers.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from tap.bus import EVENT_BYTES, Told, memory_of

MOST = 10_000
MOST_BYTES = 16 * 2**20  # a limit of its own, because a peer can make an event as long as a protocol line


class KeptEvents:
    """Events of all kinds but COUNTLESS, oldest first. end: the number that the next event will have, counted from 0."""

    def __init__(self) -> None:
        self.end = 0
        self._events: deque[tuple[Told, int]] = deque()  # each with its memory in bytes
        self._bytes = 0

    @property
    def first(self) -> int:
        """The number of the oldest event that is still kept; *end* if none is."""
        return self.end - len(self._events)

    def add(self, told: Told) -> None:
        size = EVENT_BYTES + memory_of(told.event)
        self._events.append((told, size))
        self._bytes += size
        self.end += 1
        while len(self._events) > MOST or self._bytes > MOST_BYTES:
            self._bytes -= self._events.popleft()[1]

    def since(self, number: int, most: int = MOST) -> list[tuple[int, Told]]:
        """The events from this number on with their numbers, oldest first; those that are no longer kept are missing.

        most: of them, so that a reader that lags takes a bounded time.
        """
        first = max(number, self.first)
        count = self.end - first
        if count <= 0:
            return []
        # Readers usually want the newest few: a deque is quick at its ends.
        found = [told for told, _ in islice(reversed(self._events), max(0, count - most), count)]
        found.reverse()
        return list(enumerate(found, first))
