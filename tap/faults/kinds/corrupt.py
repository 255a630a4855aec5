"""`corrupt`: bits of some bytes are flipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import DAMAGED_RDB, Kind
from tap.faults.parameters import mask, param, positive
from tap.faults.scope import Scope
from tap.faults.site import HandshakeFrame, Site
from tap.faults.taken_command import TakenCommand
from tap.faults.when import When
from tap.replication.events import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrupt(Kind):
    """Flip bits."""

    kind: ClassVar[str] = "corrupt"
    damages: ClassVar[bool] = True
    ends_servers: ClassVar[str] = "corrupt at=rdb:50%"
    needs_argument: ClassVar[bool] = True
    example: ClassVar[str] = "corrupt command=SET edge=start mask=0xff"
    mask: int | None = param(mask, "0x01..0xff", "the bits to flip; drawn from the seed if not given")
    bytes: int = param(positive, "N", "the number of consecutive bytes to change", default=1)

    def wrong(self, when: When, scope: Scope) -> str:
        if not when.matches and when.at is None and when.every is None and not when.after:
            return f"where? give at=, command=, request=, reply=, after= or every=, as {self.example!r}"
        return ""

    def danger(self, when: When) -> str:
        is_in_stream = when.at is not None and when.at.place in ("stream", "offset")
        return "" if when.matches or is_in_stream else DAMAGED_RDB

    def act(self, site: Site, side: Side, position: int, *, at_once: bool) -> None:
        mask = self.mask or site.rng.randint(1, 255)
        lane = site.lane(side)
        lane.flip(mask, on=True)
        site.until(side, position + self.bytes, lambda: lane.flip(mask, on=False))
        site.fired(side, position, self.bytes, f"flipped bits 0x{mask:02x} of {self.bytes} bytes")

    # A flip changes the byte at its position, so edge=end is the last byte of a frame, not the byte after it. The default
    # is inside.

    def take_command(self, site: Site, taken: TakenCommand) -> None:
        edge = site.when.edge or "inside"
        if edge == "end":
            taken.on_end = lambda end: taken.act_at(end - 1)
        else:
            taken.act_at(taken.begin if edge == "start" else taken.first)

    def take_frame(self, site: Site, frame: HandshakeFrame) -> None:
        edge, middle = site.when.edge or "inside", (frame.start + frame.end) // 2
        site.act_in(frame.side, {"start": frame.start, "inside": middle, "end": frame.end - 1}[edge])
