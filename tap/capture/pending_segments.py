"""Segments of one direction that wait for the bytes before them, the nearest first.

Segments are keyed by their position in the direction's bytes, which keeps rising when sequence numbers wrap. A heap
finds the nearest one: a capture may have ten thousand segments after one hole, and each new segment asks for it.
"""

from __future__ import annotations

import heapq
from collections import Counter

MAX_BYTES = 2**24  # of data: more than a receive window holds
MAX_COUNT = 2**16


class PendingSegments:
    """The waiting segments. bytes: the size of their data."""

    def __init__(self) -> None:
        self.bytes = 0
        self._segments: dict[int, tuple[bytes, int]] = {}
        self._order: list[int] = []  # a heap of the positions above, and of some that have been removed
        self._ends: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def is_too_much(self) -> bool:
        return self.bytes > MAX_BYTES or len(self._segments) > MAX_COUNT

    def add(self, position: int, data: bytes, missing: int) -> None:
        """Add a segment; of two at one position the one with more data is kept. missing: bytes lacking after the data."""
        known = self._segments.get(position)
        if known is None:
            heapq.heappush(self._order, position)
        elif len(known[0]) >= len(data):
            return
        else:
            self.pop(position)
        self._segments[position] = data, missing
        self._ends[position + len(data) + missing] += 1
        self.bytes += len(data)

    def first(self) -> int:
        """The lowest position."""
        while self._order[0] not in self._segments:
            heapq.heappop(self._order)
        return self._order[0]

    def __contains__(self, position: int) -> bool:
        return position in self._segments

    def has_end(self, position: int) -> bool:
        """Whether one of the segments ends at this position."""
        return position in self._ends

    def pop(self, position: int) -> tuple[bytes, int]:
        """Remove the segment at this position. Returns its data and missing."""
        data, missing = self._segments.pop(position)
        end = position + len(data) + missing
        self._ends[end] -= 1
        if not self._ends[end]:
            del self._ends[end]
        self.bytes -= len(data)
        return data, missing
