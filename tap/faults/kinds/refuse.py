"""`refuse`: replicas are kept out. The plan decides which, the relay's listener and connection carry it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import Kind
from tap.faults.parameters import one_of, param
from tap.faults.scope import Scope
from tap.faults.when import When


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Kind):
    """Keep replicas out."""

    kind: ClassVar[str] = "refuse"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset()
    lacks: ClassVar[frozenset[str]] = frozenset({"from", "channel"})
    example: ClassVar[str] = "refuse close for=5s"
    mode: str = param(
        one_of("refuse", "close", "blackhole"),
        "refuse|close|blackhole",
        "refuse connections; accept and close them; accept them and stay silent until the fault ends",
        default="refuse",
        positional=True,
    )

    def wrong(self, when: When, scope: Scope) -> str:
        if self.mode == "refuse" and (when.probability or scope.times):
            return (
                "refuse mode=refuse never sees a connection to count: probability and times need mode=close or blackhole"
            )
        return ""

    @property
    def keeps_out(self) -> str:
        return self.mode
