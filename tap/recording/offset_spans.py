"""Which offsets of a history have been seen."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Spans:
    """Offsets begins[i] < offset <= ends[i]; both lists rise, and no two spans touch."""

    begins: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, begin: int, end: int) -> bool:
        """Add a span. Returns whether any of it is new."""
        if self.has(begin, end):
            return False
        at = bisect_right(self.begins, begin)  # index of the first span that begins later
        first = at - 1 if at and begin <= self.ends[at - 1] else at
        last = first
        while last < len(self.begins) and self.begins[last] <= end:
            begin, end = min(begin, self.begins[last]), max(end, self.ends[last])
            last += 1
        self.begins[first:last], self.ends[first:last] = [begin], [end]
        return True

    def has(self, begin: int, end: int) -> bool:
        """Whether all of these offsets have been seen."""
        at = bisect_right(self.begins, begin)
        return bool(at) and end <= self.ends[at - 1]

    def overlaps(self, begin: int, end: int) -> bool:
        """Whether any of these offsets has been seen."""
        at = bisect_right(self.begins, begin)
        if at and begin < self.ends[at - 1]:
            return True
        return at < len(self.begins) and self.begins[at] < end

    def between(self, begin: int, end: int) -> list[tuple[int, int]]:
        """The seen spans after one offset and up to another."""
        first, last = bisect_right(self.ends, begin), bisect_left(self.begins, end)
        pairs = zip(self.begins[first:last], self.ends[first:last], strict=True)
        return [(max(low, begin), min(high, end)) for low, high in pairs]

    def update(self, others: Iterable[Spans]) -> Spans:
        """Add all spans of *others*."""
        for other in others:
            for begin, end in zip(other.begins, other.ends, strict=True):
                self.add(begin, end)
        return self
