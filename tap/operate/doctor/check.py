"""Findings, and the registry of the checks that make them.

A check is a pure function of the gathered facts. It yields a finding for each thing that is wrong, and nothing for what
it could not see: what could not be read is reported once, by reading_checks.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from tap.operate.doctor.pair_facts import PairFacts, ReplicaFacts, ServerFacts

Severity = Literal["broken", "warning", "note"]
WORST_FIRST: tuple[Severity, ...] = ("broken", "warning", "note")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A value, and where it is known from, as "INFO of 10.0.0.5:6379"."""

    what: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    code: its name, which does not change. severity: "broken": replication does not work, or the next full resync will
    not; "warning": it will break, or lose data, when something else happens; "note": worth knowing. server: the one to
    look at. text: a sentence. remedy: commands of a shell, and comments; empty if no command helps.
    """

    code: str
    severity: Severity
    server: str
    text: str
    evidence: tuple[Evidence, ...] = ()
    remedy: tuple[str, ...] = ()


Check = Callable[[PairFacts], Iterator[Finding]]
ReplicaCheck = Callable[[PairFacts, ReplicaFacts], Iterator[Finding]]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Decorator: a check of the master, or of the pair as a whole."""
    CHECKS.append(function)
    return function


def check_replica(function: ReplicaCheck) -> ReplicaCheck:
    """Decorator: a check of each replica that could be asked."""

    def each(facts: PairFacts) -> Iterator[Finding]:
        for replica in facts.replicas:
            if replica.server.is_up:
                yield from function(facts, replica)

    CHECKS.append(each)
    return function


def findings(facts: PairFacts) -> tuple[Finding, ...]:
    """What all checks find, the worst first."""
    found = [finding for one in CHECKS for finding in one(facts)]
    return tuple(sorted(found, key=lambda finding: WORST_FIRST.index(finding.severity)))


def from_info(server: ServerFacts, *names: str) -> tuple[Evidence, ...]:
    """Fields of its INFO; those that it lacks are left out."""
    fields = server.info.fields
    return tuple(Evidence(name, fields[name], f"INFO of {server.name}") for name in names if name in fields)


def from_config(server: ServerFacts, *options: str) -> tuple[Evidence, ...]:
    """Options of its configuration; those that could not be read are left out."""
    config = server.config
    return tuple(Evidence(name, config[name] or '""', f"CONFIG of {server.name}") for name in options if name in config)
