"""The keys of most weight among any number of keys, in bounded memory.

Keys are counted exactly until there are too many to keep; then the rarest are dropped, many at a time. A key that comes
(back) later may have come up to as often as the dropped ones, so its count carries that error: Space-Saving (Metwally and
others, 2005), in batches.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

MAX_KEYS = 100_000  # counted at a time

DbKey = tuple[int | None, bytes]


class Frequent:
    """The keys of most weight. error: upper bound on the weight of any dropped key; 0 while all are kept."""

    def __init__(self, limit: int = MAX_KEYS) -> None:
        self._limit = limit
        self._counts: dict[DbKey, int] = {}  # weight since the key was (last) added
        self._missed: dict[DbKey, int] = {}  # upper bound on its weight before that, if not 0
        self.error = 0

    def add(self, weighed: Iterable[tuple[DbKey, int]]) -> None:
        counts = self._counts
        for key, weight in weighed:
            if key in counts:
                counts[key] += weight
                continue
            counts[key] = weight
            if self.error:
                self._missed[key] = self.error
            if len(counts) > 2 * self._limit:
                self._forget()

    def _forget(self) -> None:
        """Drop keys down to the limit. This is rare enough to cost next to nothing per key."""
        counts, missed = self._counts, self._missed
        most = {key: count + missed.get(key, 0) for key, count in counts.items()} if missed else dict(counts)
        self.error = sorted(most.values())[-self._limit - 1]
        for key, weight in most.items():
            if weight <= self.error:
                del counts[key]
                missed.pop(key, None)

    def top(self, number: int) -> list[tuple[DbKey, int, int]]:
        """The heaviest keys, as (key, weight, upper bound on what the weight lacks)."""
        top = heapq.nlargest(number, self._counts.items(), key=lambda item: item[1])
        return [(key, weight, self._missed.get(key, 0)) for key, weight in top]

    def __len__(self) -> int:
        return len(self._counts)
