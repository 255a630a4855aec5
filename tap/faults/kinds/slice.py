"""`slice`: small segments, with an optional gap between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import Kind
from tap.faults.parameters import duration, param, some_bytes
from tap.faults.shaper import Cutter
from tap.faults.site import Site


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

    def prepare(self, site: Site) -> None:
        for side in site.sides:
            site.shape(side, Slicer(self.size, self.gap))


class Slicer(Cutter):
    def __init__(self, size: int, gap: float) -> None:
        super().__init__(size)
        self._gap = gap

    def _went(self, size: int, now: float) -> None:
        self._free = now + self._gap
