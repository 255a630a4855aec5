"""`slice`: small segments, with an optional gap between them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from tap.faults.kind import Kind
from tap.faults.parameters import duration, param, some_bytes
from tap.faults.scope import Scope
from tap.faults.shaper import Cutter, Held
from tap.faults.site import Site
from tap.faults.when import When
from tap.units import parse_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Kind):
    """Pass bytes on in small segments."""

    kind: ClassVar[str] = "slice"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at", "during"})
    doing: ClassVar[str] = "slicing"
    example: ClassVar[str] = "slice 1b during=handshake"
    size: int = param(some_bytes, "SIZE", "the size of a segment", default=1, positional=True)
    gap: float = param(duration, "TIME", "the pause between two segments", default=0.0)
    variation: int = param(parse_size, "SIZE", "segments are that much larger or smaller, drawn from the seed", default=0)

    def wrong(self, when: When, scope: Scope) -> str:
        return "variation= has to be less than the size of a segment" if self.variation >= self.size else ""

    def prepare(self, site: Site) -> None:
        for side in site.sides:
            site.shape(side, Slicer(self.size, self.gap, self.variation, site.rng))


class Slicer(Cutter):
    """With a variation, a read that is longer than size + variation is cut near its middle, and so are its parts."""

    def __init__(self, size: int, gap: float, variation: int = 0, rng: Random | None = None) -> None:
        super().__init__(size)
        self._gap = gap
        self._variation = variation
        self._rng = rng
        self._parts: list[int] = []  # of the first item: sizes to be cut further, in reverse order

    def _next(self, left: int) -> int:
        if not self._variation or self._rng is None:
            return self._piece
        parts = self._parts or [left]
        while (size := parts.pop()) > self._piece + self._variation:
            middle = size // 2 + self._rng.randint(-self._variation, self._variation)
            middle = max(1, min(size - 1, middle))
            parts += [size - middle, middle]
        self._parts = parts
        return size

    def drain(self) -> list[Held]:
        self._parts = []
        return super().drain()

    def _went(self, size: int, now: float) -> None:
        self._free = now + self._gap
