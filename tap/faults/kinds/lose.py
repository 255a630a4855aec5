"""`lose`: reads are lost by chance, one by one or in bursts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import ClassVar

from tap.faults.kind import DAMAGED_RDB, Kind
from tap.faults.parameters import param, probability
from tap.faults.scope import Scope
from tap.faults.shaper import Held, PassingShaper
from tap.faults.site import Site
from tap.faults.when import When
from tap.replication.events import Side

CHUNK = 32 * 1024  # bytes: a longer read is lost or passed on in parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose(Kind):
    """Swallow some of the reads, of at most 32 KB each. What follows is passed on: the peer never learns of the gap."""

    kind: ClassVar[str] = "lose"
    damages: ClassVar[bool] = True
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at", "during"})
    ends_servers: ClassVar[str] = "lose 1%"
    doing: ClassVar[str] = "losing"
    example: ClassVar[str] = "lose 1% burst=50% during=stream from=master"
    rate: float | None = param(probability, "0..1", "the chance that a read is lost", positional=True)
    burst: float = param(probability, "0..1", "what is added to the chance after a read that was lost", default=0.0)

    def wrong(self, when: When, scope: Scope) -> str:
        return f"how many? write for example {self.example!r}" if self.rate is None else ""

    def danger(self, when: When) -> str:
        is_in_stream = when.during == "stream" or (when.at is not None and when.at.place in ("stream", "offset"))
        return "" if is_in_stream else DAMAGED_RDB

    def prepare(self, site: Site) -> None:
        assert self.rate is not None
        for side in site.sides:
            site.shape(side, Sieve(self.rate, self.burst, site.rng, partial(self._lost, site, side)))

    def _lost(self, site: Site, side: Side, size: int, beyond: int) -> None:
        site.fired(side, site.lane(side).out - beyond - size, size, f"lost {size} bytes")


class Sieve(PassingShaper):
    """lost: called with the size of what is lost, and the number of bytes that came after it."""

    def __init__(self, rate: float, burst: float, rng: Random, lost: Callable[[int, int], None]) -> None:
        super().__init__()
        self._rate = rate
        self._burst = burst
        self._rng = rng
        self._lost = lost
        self._has_lost = False

    def push(self, item: Held, now: float) -> None:
        if not isinstance(item, bytes | memoryview):
            self._let(item)
            return
        for at in range(0, len(item), CHUNK):
            piece = item[at : at + CHUNK]
            self._has_lost = self._rng.random() < self._rate + (self._burst if self._has_lost else 0.0)
            if self._has_lost:
                self._lost(len(piece), len(item) - at - len(piece))
            else:
                self._let(piece)
