"""Verdicts: compares expectations with evidence. Nothing here asks a server; evidence.py collects the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tap.scenario.accounts import Checked
from tap.scenario.load import Expect
from tap.scenario.pair_difference import PairDifference
from tap.scenario.result import FaultSeen, Outcome, ResyncSeen, StepTaken


@dataclass(slots=True)
class Counters:
    """Resyncs since the steps began: by the masters' INFO stats, and as seen by the tap.

    unanswered: requests for a resync whose answer the tap never saw; the master may have counted them. two_connections:
    full resyncs of Valkey's dual channel, each of which the master also counts as a partial one.
    """

    sync_full: int
    sync_partial_ok: int
    full_seen: int
    partial_seen: int
    unanswered: int = 0
    two_connections: int = 0

    @property
    def agree(self) -> bool:
        return (
            0 <= self.sync_full - self.full_seen <= self.unanswered
            and 0 <= self.sync_partial_ok - self.partial_seen <= self.unanswered + self.two_connections
        )

    def __str__(self) -> str:
        return (
            f"the master counts sync_full +{self.sync_full}, sync_partial_ok +{self.sync_partial_ok}; the tap saw "
            f"{self.full_seen} full, {self.partial_seen} partial"
            + (f", {self.unanswered} not answered" if self.unanswered else "")
        )


@dataclass(slots=True, kw_only=True)
class RunEvidence:
    """What was found at the end of a run.

    difference: None if the data sets could not be compared; why: the reason. standing: "level", "behind", "ahead" or
    "unknown"; standing_text: the same with numbers. exited: exit codes of servers whose process ended by itself, by name.
    missing: keys of writes that should be on both servers and are not; looked_for: how many were looked for. checked:
    the result of checking the tap itself.
    """

    steps: list[StepTaken] = field(default_factory=list)
    faults: list[FaultSeen] = field(default_factory=list)
    resyncs: list[ResyncSeen] = field(default_factory=list)
    counters: Counters | None = None
    outages: list[float] = field(default_factory=list)
    difference: PairDifference | None = None
    why: str = ""
    standing: str = "unknown"
    standing_text: str = ""
    link: str = "unknown"
    exited: dict[str, int] = field(default_factory=dict)
    zombie: bool = False
    zombie_text: str = ""
    missing: list[str] = field(default_factory=list)
    looked_for: int = 0
    refused: int = 0
    checked: Checked = field(default_factory=Checked)


def verdicts(expect: Expect, found: RunEvidence) -> Iterator[Outcome]:
    """A verdict on each expectation of the scenario, and on those that every run must meet."""
    yield from _steps(found)
    yield from _faults(found)
    yield from _resyncs(expect, found)
    yield from _processes(expect, found)
    if expect.within is not None:
        longest = max(found.outages, default=0.0)
        yield Outcome("within", f"{expect.within:g} s", f"{longest:.2f} s without a stream", longest <= expect.within)
    if not expect.replica_exits:
        yield from _pair(expect, found)
    if expect.no_data_loss_before_offset is not None:
        lost = f"missing: {', '.join(found.missing[:5])}" if found.missing else f"{found.looked_for} writes checked"
        met = not found.missing and found.looked_for > 0
        yield Outcome("no_data_loss_before_offset", str(expect.no_data_loss_before_offset), lost, met)
    if expect.refused_writes is not None:
        wanted = "some refused" if expect.refused_writes else "none refused"
        yield Outcome("refused_writes", wanted, f"{found.refused} refused", bool(found.refused) == expect.refused_writes)
    if found.checked.problems:
        yield from found.checked.problems
    else:
        yield Outcome("tap", "it reports what happened", str(found.checked), True)


def _steps(found: RunEvidence) -> Iterator[Outcome]:
    for number, step in enumerate(found.steps, 1):
        if step.problem:
            yield Outcome(f"step {number}", step.text, step.problem, False)


def _faults(found: RunEvidence) -> Iterator[Outcome]:
    for fault in found.faults:
        if not fault.fired:
            yield Outcome("fault", f"{fault.spec} fires", "it never fired", False)


def _resyncs(expect: Expect, found: RunEvidence) -> Iterator[Outcome]:
    kinds = [resync.kind for resync in found.resyncs]
    said = ", then ".join(kinds) or "none"
    counters = found.counters
    if counters is not None and not counters.agree:
        yield Outcome("counters", "the tap and the master's INFO agree", str(counters), False)
    if expect.resync is not None:
        met = {
            "none": not kinds,
            "partial": bool(kinds) and "full" not in kinds,
            "full": bool(kinds) and kinds[-1] == "full",
        }[expect.resync]
        if counters is None:
            said, met = f"{said}; the master's INFO could not be read", False
        else:
            confirmed = {
                "none": counters.sync_full == 0 and counters.sync_partial_ok == 0,
                "partial": counters.sync_full == 0 and counters.sync_partial_ok > 0,
                "full": counters.sync_full > 0,
            }[expect.resync]
            said += f" (sync_full +{counters.sync_full}, sync_partial_ok +{counters.sync_partial_ok})"
            met = met and confirmed
        yield Outcome("resync", expect.resync, said, met)
    full = [resync for resync in found.resyncs if resync.kind == "full"]
    if expect.reason:
        reason = f"{full[-1].reason}: {full[-1].text}" if full else "no full resync"
        yield Outcome("reason", " or ".join(expect.reason), reason, bool(full) and full[-1].reason in expect.reason)
    if expect.max_full is not None:
        most = max(len(full), counters.sync_full if counters else 0)
        yield Outcome("max_full", f"at most {expect.max_full}", f"{most} full", most <= expect.max_full)


def _processes(expect: Expect, found: RunEvidence) -> Iterator[Outcome]:
    ended = ", ".join(f"the {name} exited with {code}" for name, code in found.exited.items()) or "both servers run"
    if expect.replica_exits:
        yield Outcome("replica_exits", "the replica's process ends", ended, "replica" in found.exited)
    elif found.exited:
        yield Outcome("processes", "both servers run", ended, False)


def _pair(expect: Expect, found: RunEvidence) -> Iterator[Outcome]:
    if expect.zombie:
        yield Outcome("zombie", "the link takes bytes, nothing is applied", found.zombie_text, found.zombie)
    wanted = "up" if expect.link_up else "down"
    yield Outcome("link_up", wanted, found.link, found.link == wanted)
    if found.difference is None:
        yield Outcome("converged", "equal" if expect.converged else "different", f"not compared: {found.why}", False)
    else:
        met = found.difference.equal == expect.converged
        said = str(found.difference)
        if not met and not found.difference.equal and found.checked.executed_all:
            said += "; the replica executed each command once: some came changed, or in another order"
        yield Outcome("converged", "equal" if expect.converged else "different", said, met)
    if expect.acked_offset is not None:
        met = found.standing == expect.acked_offset
        yield Outcome("acked_offset", expect.acked_offset, found.standing_text or found.standing, met)
