"""When each byte of a recorded stream is due."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

from tap.recording.copying import Marks


class Pace:
    """marks: when each byte arrived. zero: a time in nanoseconds. Bytes that arrived by then are due at once; each later
    byte is due after its distance from zero divided by *speed*, or at once if that is math.inf. end: no byte after this
    offset is ever due.
    """

    def __init__(self, marks: Marks, *, zero: int, begin: int, end: int, speed: float) -> None:
        """begin: the offset before the stream's first byte."""
        self._marks = marks
        self._zero = zero
        self._begin = begin
        self._end = end
        self._speed = speed

    def due(self, seconds: float) -> int:
        """The offset up to which the stream is due, that many seconds after the beginning."""
        if math.isinf(self._speed):
            return self._end
        count = bisect_right(self._marks.times, self._zero + round(seconds * self._speed * 1e9))
        return min(self._end, self._marks.offsets[count - 1]) if count else self._begin

    def when(self, offset: int) -> float:
        """Seconds after the beginning at which the stream is due up to this offset, at least 0."""
        number = bisect_left(self._marks.offsets, min(offset, self._end))
        if offset <= self._begin or number == len(self._marks.times) or math.isinf(self._speed):
            return 0.0
        return max(0.0, (self._marks.times[number] - self._zero) / 1e9 / self._speed)

    def wait(self, seconds: float) -> float | None:
        """Seconds to wait, from that many seconds after the beginning, until more is due; None when all is due."""
        offset = self.due(seconds)
        return None if offset >= self._end else max(0.0, self.when(offset + 1) - seconds)
