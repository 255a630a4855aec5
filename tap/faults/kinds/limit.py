"""`limit`: each connection is closed after a number of bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from tap.faults.flow_items import CloseLink, size_of
from tap.faults.kind import Kind
from tap.faults.parameters import param
from tap.faults.scope import Scope
from tap.faults.shaper import Held, PassingShaper, Shaper
from tap.faults.site import Site
from tap.faults.when import When
from tap.replication.events import Side
from tap.units import parse_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Kind):
    """Close every connection as soon as that many bytes of a direction have passed since the fault came to it."""

    kind: ClassVar[str] = "limit"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at"})
    doing: ClassVar[str] = "limited"
    example: ClassVar[str] = "limit 1mb from=master"
    size: int | None = param(parse_size, "SIZE", "how much passes; 0b closes at the first byte", positional=True)

    def wrong(self, when: When, scope: Scope) -> str:
        return f"how much? write for example {self.example!r}" if self.size is None else ""

    def prepare(self, site: Site) -> None:
        assert self.size is not None
        for side in site.sides:
            limiter = Limiter(self.size)
            limiter.close = partial(self._close, site, side, limiter)
            site.shape(side, limiter)

    def _close(self, site: Site, side: Side, limiter: Limiter, beyond: int) -> CloseLink:
        lane = site.lane(side)
        return site.order_to_close(side, lane.out - lane.flow.held_before(limiter) - beyond)


class Limiter(PassingShaper):
    """Lets *limit* bytes through, then the order to close the link, then nothing.

    close: makes that order, given how many bytes of the item at hand are beyond the limit.
    """

    close: Callable[[int], CloseLink]

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self.passed = 0
        self._is_shut = False

    def push(self, item: Held, now: float) -> None:
        if self._is_shut:
            return
        if not isinstance(item, bytes | memoryview):
            self._let(item)
            return
        left = max(0, self._limit - self.passed)
        piece = item[:left]
        self.passed += len(piece)
        if len(piece):
            self._let(piece)
        if self.passed >= self._limit:
            self._is_shut = True
            self._let(self.close(size_of(item) - len(piece)))

    def follow(self, before: Shaper) -> None:
        if isinstance(before, Limiter):
            self.passed = before.passed
