"""`throttle`: a bandwidth that is exact on average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import Kind
from tap.faults.scope import Scope
from tap.faults.shaper import Cutter
from tap.faults.site import Site
from tap.faults.values import param, rate, size
from tap.faults.when import When

PIECES = 100  # a second: as smooth as a timer of a millisecond lets a rate be that is exact on average
LATE = 0.02  # seconds that a timer may be late without a byte lost to the rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(Kind):
    """Limit the bandwidth. Holds one read of up to 256 KB a direction, and pauses reading."""

    kind: ClassVar[str] = "throttle"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at", "during"})
    doing: ClassVar[str] = "throttling"
    example: ClassVar[str] = "throttle 1mb/s during=rdb"
    rate: int | None = param(rate, "SIZE/s", "bytes per second, each direction", positional=True)
    burst: int = param(size, "SIZE", "so much passes at once after a pause", default=0)

    def wrong(self, when: When, scope: Scope) -> str:
        return f"to how much? write for example {self.example!r}" if self.rate is None else ""

    def prepare(self, site: Site) -> None:
        assert self.rate is not None
        for side in site.sides:
            site.shape(side, TokenBucket(self.rate, self.burst))


class TokenBucket(Cutter):
    """*rate* tokens a second, at most *burst*; each byte takes one."""

    def __init__(self, rate: int, burst: int) -> None:
        super().__init__(rate // PIECES)
        self._rate = rate
        self._burst = burst

    def _went(self, size: int, now: float) -> None:
        # _free is when the tokens of all that went out had come in; so much before now is the bucket's size
        self._free = max(self._free, now - self._burst / self._rate - LATE) + size / self._rate
