"""`mute`: what a side sends is swallowed, and the connection is closed after a time.

Bytes that were swallowed cannot be given back, so a connection never goes on without them: it is closed when the fault
ends, too, and when the side that is muted ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from tap.faults.flow_items import CloseLink, size_of
from tap.faults.kind import Kind
from tap.faults.parameters import duration, param
from tap.faults.shaper import Held, Off, PassingShaper
from tap.faults.site import Site
from tap.replication.events import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(Kind):
    """Swallow what a side sends, and close the connection: after a time, or when the fault ends."""

    kind: ClassVar[str] = "mute"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at"})
    doing: ClassVar[str] = "muted"
    example: ClassVar[str] = "mute 5s from=master"
    timeout: float | None = param(duration, "TIME", "when to close; if not given, when the fault ends", positional=True)

    def prepare(self, site: Site) -> None:
        for side in site.sides:
            site.shape(side, Hole(partial(self._swallowed, site, side), partial(close, site)))

    def start(self, site: Site) -> None:
        if self.timeout is not None:
            site.call_later(self.timeout, partial(close, site))

    def over(self, site: Site) -> None:
        close(site)

    def _swallowed(self, site: Site, side: Side, size: int) -> None:
        site.fired(side, site.lane(side).out - size, size, f"swallowed {size} bytes")


def close(site: Site, *, reset: bool = False) -> None:
    side = site.sides[0]
    site.close_link(side, site.lane(side).out, reset=reset, at_once=True)


class Hole(PassingShaper):
    """Swallows bytes. An order to close the link passes; when the sender's side ends, *ended* is called instead."""

    def __init__(self, swallowed: Callable[[int], None], ended: Callable[[], None]) -> None:
        super().__init__()
        self._swallowed = swallowed
        self._ended = ended

    def push(self, item: Held, now: float) -> None:
        if isinstance(item, CloseLink | Off):
            self._let(item)
        elif size := size_of(item):
            self._swallowed(size)
        else:
            self._ended()
