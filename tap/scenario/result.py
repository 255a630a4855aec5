"""The result of one run: what was done, what happened, and a verdict on each expectation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tap.scenario.journal import JournalEntry


@dataclass(frozen=True, slots=True)
class StepTaken:
    """at: seconds since the run began. problem: why the run ended here, "" if it did not."""

    text: str
    at: float
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FaultSeen:
    """An armed fault, how often it fired, and where each time. bytes: total number affected."""

    name: str
    spec: str
    fired: int
    places: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class ResyncSeen:
    """kind: "full" or "partial". at: seconds since the run began. bytes: of the RDB; or those that the replica
    lacked, at most.
    """

    kind: str
    at: float
    reason: str
    text: str
    offset: int | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one expectation: what was expected and what was found, in words."""

    name: str
    expected: str
    found: str
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One scenario on one pair with one seed.

    skipped: why it was not run at all. failure: how the environment failed, so that nothing could be judged. outage:
    total seconds without a stream, since the first stream. resent: bytes of RDBs and of missed stream that were sent
    again. refused: writes that the master refused. command: repeats exactly this run. story: the tap's events, except
    frequent ones. logs: of a run that did not meet its expectations, the end of the logs of servers of our own, by
    "master" and "replica".
    """

    scenario: str
    title: str
    server: str
    seed: int
    command: str = ""
    skipped: str = ""
    failure: str = ""
    seconds: float = 0.0
    steps: tuple[StepTaken, ...] = ()
    faults: tuple[FaultSeen, ...] = ()
    resyncs: tuple[ResyncSeen, ...] = ()
    outage: float = 0.0
    resent: int = 0
    written: int = 0
    refused: int = 0
    verdicts: tuple[Outcome, ...] = ()
    story: tuple[JournalEntry, ...] = dataclasses.field(default=(), repr=False)
    logs: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def met(self) -> bool:
        """Whether all expectations were met; also true for a run that was skipped."""
        return not self.failure and all(verdict.met for verdict in self.verdicts)

    @property
    def troubles(self) -> list[str]:
        """Why the expectations were not met, a line for each reason."""
        said = [f"{one.name}: expected {one.expected}, found {one.found}" for one in self.verdicts if not one.met]
        return [self.failure] if self.failure else said

    def as_dict(self) -> dict[str, Any]:
        """For JSON; without the story and the logs."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in ("story", "logs")]
        said = {name: getattr(self, name) for name in names}
        for name in ("steps", "faults", "resyncs", "verdicts"):
            said[name] = [dataclasses.asdict(one) for one in said[name]]
        return {**said, "met": self.met}
