"""`cut`: the link is closed at a byte, with FIN or RST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import Kind
from tap.faults.parameters import one_of, param
from tap.faults.site import Site
from tap.replication.events import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(Kind):
    """Close the link, at any byte."""

    kind: ClassVar[str] = "cut"
    example: ClassVar[str] = "cut at=rdb:50% mode=reset"
    mode: str = param(
        one_of("fin", "reset"), "fin|reset", "close with FIN or RST; either way after the bytes before it", default="fin"
    )
    legs: str = param(
        one_of("both", "master", "replica"),
        "both|master|replica",
        "which connection to close; the other one stays open and receives nothing more",
        default="both",
    )

    def act(self, site: Site, side: Side, position: int, *, at_once: bool) -> None:
        site.close_link(side, position, reset=self.mode == "reset", legs=self.legs, at_once=at_once)
