"""`stall`: no byte moves for a while, and TCP flow control makes both ends wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import Kind
from tap.faults.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Kind):
    """Keep the connection open but pass nothing on, until `for` has elapsed or the fault is removed."""

    kind: ClassVar[str] = "stall"
    doing: ClassVar[str] = "stalled"
    example: ClassVar[str] = "stall at=waiting for=5s"

    def start(self, site: Site) -> None:
        for side in site.sides:
            site.lane(side).flow.stall(on=True)

    def stop(self, site: Site) -> None:
        for side in site.sides:
            site.lane(side).flow.stall(on=False)
