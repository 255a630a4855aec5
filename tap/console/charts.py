"""Figures over time: samples that are kept, and their charts in braille (a character has two columns of four dots)."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import pairwise

# Bits of a braille character, from the bottom up: its left column, and its right one.
_DOTS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
_BRAILLE = 0x2800


class Course:
    """The last samples of a figure, taken at equal intervals. NaN: unknown then."""

    def __init__(self, most: int) -> None:
        self._values = array("d")
        self._most = most
        self._count = 0  # of all samples ever

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float) -> None:
        self._values.append(value)
        self._count += 1
        if len(self._values) > self._most:
            del self._values[0]

    def last(self, columns: int, *, peaks: bool = False) -> tuple[float, ...]:
        """All samples in at most *columns* values, see every()."""
        if len(self._values) <= columns:
            return tuple(self._values)
        # One less, because the oldest group and the newest may be incomplete.
        return self.every(math.ceil(len(self._values) / max(1, columns - 1)), peaks=peaks)

    def every(self, together: int, *, peaks: bool = False) -> tuple[float, ...]:
        """The averages, or the peaks, of groups of neighbours. together: the number of samples in a group.

        Groups begin at fixed samples, so that a chart moves to the left without changing its shape.
        """
        values = self._values
        first = -(self._count - len(values)) % together
        bounds = [*([0] if first else []), *range(first, len(values), together), len(values)]
        merge = _peak if peaks else _average
        return tuple(merge(values[start:end]) for start, end in pairwise(bounds) if end > start)


def _known(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _average(values: Sequence[float]) -> float:
    known = _known(values)
    return sum(known) / len(known) if known else math.nan


def _peak(values: Sequence[float]) -> float:
    return max(_known(values), default=math.nan)


def highest(values: Sequence[float]) -> float:
    """The highest known value; 0 if none is known."""
    return max(_known(values), default=0.0)


def chart(values: Sequence[float], width: int, height: int) -> list[str]:
    """The last 2 x *width* values as an area, the newest at the right: *height* lines of *width* characters.

    The highest value reaches the top. A value above zero never looks like zero, and zero never like an unknown value.
    """
    shown = list(values)[-2 * width :]
    shown = [math.nan] * (2 * width - len(shown)) + shown
    top, dots = highest(shown), 4 * height
    tall = [
        0 if math.isnan(value) else 1 if value <= 0 or top <= 0 else max(2, round(dots * value / top)) for value in shown
    ]
    lines = []
    for line in range(height):
        base = 4 * (height - 1 - line)  # dots below this line
        text = ""
        for column in range(width):
            bits = 0
            for side in (0, 1):
                for dot in range(min(4, max(0, tall[2 * column + side] - base))):
                    bits |= _DOTS[side][dot]
            text += chr(_BRAILLE + bits) if bits else " "
        lines.append(text)
    return lines
