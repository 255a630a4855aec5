"""`throttle`: a bandwidth that is exact on average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import Kind
from tap.faults.parameters import param, rate, size
from tap.faults.scope import Scope
from tap.faults.shaper import Cutter
from tap.faults.site import Site
from tap.faults.when import When

PIECES = 100  # per second: about as smooth as a rate can be that is exact on average, with timers of 1 ms
LATE = 0.02  # seconds a timer may be late without lowering the average rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(Kind):
    """Limit the bandwidth. Holds one read of up to 256 KB per direction, then reading pauses."""

    kind: ClassVar[str] = "throttle"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at", "during"})
    doing: ClassVar[str] = "throttling"
    example: ClassVar[str] = "throttle 1mb/s during=rdb"
    rate: int | None = param(rate, "SIZE/s", "bytes per second, in each direction", positional=True)
    burst: int = param(size, "SIZE", "how much passes at once after a pause", default=0)

    def wrong(self, when: When, scope: Scope) -> str:
        return f"to how much? write for example {self.example!r}" if self.rate is None else ""

    def prepare(self, site: Site) -> None:
        assert self.rate is not None
        for side in site.sides:
            site.shape(side, TokenBucket(self.rate, self.burst))


class TokenBucket(Cutter):
    """A bucket of at most *burst* tokens that gains *rate* tokens per second; each byte takes one."""

    def __init__(self, rate: int, burst: int) -> None:
        super().__init__(rate // PIECES)
        self._rate = rate
        self._burst = burst

    def _went(self, size: int, now: float) -> None:
        # _free is the time at which the tokens of all bytes sent have come in. How far it lags behind now is the bucket's
        # content, so its size, burst plus LATE, limits the lag.
        self._free = max(self._free, now - self._burst / self._rate - LATE) + size / self._rate
