"""`delay`: bytes go out later, in order, with optional jitter."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from tap.faults.flow_items import size_of
from tap.faults.kind import Kind
from tap.faults.parameters import duration, one_of, param
from tap.faults.scope import Scope
from tap.faults.shaper import NEVER, Held, Shaper, owned
from tap.faults.site import Site
from tap.faults.when import When

HELD_BY_DELAY = 16 * 2**20  # bytes; then reading pauses, as on a long line that is full


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Kind):
    """Pass every byte on later, in order. Holds up to 16 MB per direction, then reading pauses."""

    kind: ClassVar[str] = "delay"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at", "during"})
    doing: ClassVar[str] = "delaying"
    example: ClassVar[str] = "delay 200ms jitter=50ms from=master"
    latency: float | None = param(duration, "TIME", "the delay of every byte", positional=True)
    jitter: float = param(duration, "TIME", "variation, plus or minus; with normal, the standard deviation", default=0.0)
    distribution: str = param(one_of("uniform", "normal"), "uniform|normal", "how the jitter is drawn", default="uniform")
    fin: str = param(
        one_of("delayed", "prompt"),
        "delayed|prompt",
        "the end of a direction comes later by the latency, too, or right after the last byte",
        default="delayed",
    )

    def wrong(self, when: When, scope: Scope) -> str:
        return f"how long? write for example {self.example!r}" if self.latency is None else ""

    @property
    def least_delay(self) -> float:
        if self.latency is None or self.distribution == "normal":
            return 0.0
        return max(0.0, self.latency - self.jitter)

    def prepare(self, site: Site) -> None:
        assert self.latency is not None
        for side in site.sides:
            line = DelayLine(self.latency, self.jitter, self.distribution == "normal", site.rng)
            line.end_latency = None if self.fin == "delayed" else 0.0
            site.shape(side, line)


class DelayLine(Shaper):
    """Holds each item for the latency, and never lets one overtake another.

    end_latency: of the end of the direction; None for that of the bytes.
    """

    limit = HELD_BY_DELAY

    def __init__(self, latency: float, jitter: float, normal: bool, rng: Random) -> None:
        super().__init__()
        self._latency = latency
        self._jitter = jitter
        self._normal = normal
        self._rng = rng
        self.end_latency: float | None = None
        self._last = -NEVER

    def push(self, item: Held, now: float) -> None:
        latency = self._latency
        if self.end_latency is not None and not size_of(item):
            latency = self.end_latency
        elif self._jitter:
            varied = self._rng.gauss(0, self._jitter) if self._normal else self._rng.uniform(-self._jitter, self._jitter)
            latency = max(0.0, latency + varied)
        self._last = max(self._last, now + latency)
        self._items.append((self._last, owned(item), now))
        self.held += size_of(item)

    def pop(self, now: float) -> Held | None:
        if not self._items or self._items[0][0] > now:
            return None
        item: Held = self._items.popleft()[1]
        self.held -= size_of(item)
        return item

    @property
    def wakes(self) -> float:
        return self._items[0][0] if self._items else NEVER

    def drain(self) -> list[Held]:
        return [item for _, item in self.waiting(0.0)]

    def waiting(self, now: float) -> list[tuple[float, Held]]:
        items = [(came, item) for _, item, came in self._items]
        self._items.clear()
        self.held = 0
        return items
