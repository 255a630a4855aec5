"""`slow-close`: bytes pass at once, but the end of a direction is passed on later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import Kind
from tap.faults.kinds.delay import DelayLine
from tap.faults.parameters import duration, param
from tap.faults.scope import Scope
from tap.faults.site import Site
from tap.faults.when import When


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClose(Kind):
    """Let the other peer learn later that a peer has closed its connection. Bytes pass at once."""

    kind: ClassVar[str] = "slow-close"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at"})
    doing: ClassVar[str] = "closing slowly"
    example: ClassVar[str] = "slow-close 2s from=replica"
    delay: float | None = param(duration, "TIME", "how much later", positional=True)

    def wrong(self, when: When, scope: Scope) -> str:
        return f"how much later? write for example {self.example!r}" if self.delay is None else ""

    def prepare(self, site: Site) -> None:
        assert self.delay is not None
        for side in site.sides:
            line = DelayLine(0.0, 0.0, False, site.rng)
            line.end_latency = self.delay
            site.shape(side, line)
