"""`reset`: what a side sends is swallowed, and its first byte starts the time until both peers see a reset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from tap.faults.flow_items import CloseLink, size_of
from tap.faults.kind import Kind
from tap.faults.kinds.mute import close
from tap.faults.parameters import duration, param
from tap.faults.shaper import Held, Off, PassingShaper, Shaper
from tap.faults.site import Site
from tap.replication.events import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Kind):
    """Reset the connection with RST once a side has sent something, or ended, and pass none of that on."""

    kind: ClassVar[str] = "reset"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at"})
    doing: ClassVar[str] = "resetting"
    example: ClassVar[str] = "reset 200ms from=replica"
    timeout: float = param(duration, "TIME", "how long after the first byte", default=0.0, positional=True)

    def prepare(self, site: Site) -> None:
        for side in site.sides:
            site.shape(side, Trap(self, site, side))

    def over(self, site: Site) -> None:
        if "sprung" in site.notes:  # the connection cannot go on without the bytes that were swallowed
            close(site, reset=True)

    def spring(self, site: Site) -> None:
        """Start the clock."""
        if "sprung" in site.notes:
            return
        site.notes["sprung"] = True
        if self.timeout > 0:
            site.call_later(self.timeout, partial(close, site, reset=True))
        else:
            close(site, reset=True)


class Trap(PassingShaper):
    """Swallows bytes and the sender's end; the first of them springs it. An order to close the link passes."""

    def __init__(self, kind: Reset, site: Site, side: Side) -> None:
        super().__init__()
        self._kind = kind
        self._site = site
        self._side = side
        self._is_sprung = False

    def push(self, item: Held, now: float) -> None:
        if isinstance(item, CloseLink | Off):
            self._let(item)
            return
        if size := size_of(item):
            self._site.fired(self._side, self._site.lane(self._side).out - size, size, f"swallowed {size} bytes")
        self._is_sprung = True
        self._kind.spring(self._site)

    def follow(self, before: Shaper) -> None:
        if self.active and isinstance(before, Trap) and before._is_sprung:
            self._is_sprung = True
            self._kind.spring(self._site)
