"""What could not be seen, so that nothing can be said about it."""

from __future__ import annotations

from collections.abc import Iterator

from tap.operate.doctor.check import Evidence, Finding, check, check_replica
from tap.operate.doctor.pair_facts import PairFacts, ReplicaFacts, ServerFacts

# Findings that make an answer incomplete.
LACKING = frozenset({"options_unread", "replica_not_examined", "versions_unknown"})


@check
def master_unread(facts: PairFacts) -> Iterator[Finding]:
    yield from _unread(facts.master)


@check_replica
def replica_unread(_: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    yield from _unread(replica.server)
    unknown = [command for command, allowed in replica.allowed.items() if allowed is None]
    if unknown:
        yield Finding(
            "rights_unread",
            "note",
            replica.name,
            f"whether the master lets the user {replica.user} of this replica run {', '.join(unknown).upper()} could not "
            "be read: ACL DRYRUN and ACL GETUSER are refused there, or the user does not exist",
        )


@check
def not_watched(facts: PairFacts) -> Iterator[Finding]:
    if facts.peak_rate == 0:
        yield Finding(
            "no_writes",
            "note",
            facts.master.name,
            f"the master wrote nothing in the {facts.watched:.0f} s that it was watched, so backlog and output buffer "
            "could not be compared with its load: look again at a busy time, or longer (--for)",
        )


def _unread(server: ServerFacts) -> Iterator[Finding]:
    for what, said in server.refused.items():
        is_config = what == "CONFIG GET"
        yield Finding(
            "options_unread" if is_config else "clock_unread",
            "note",
            server.name,
            "its options could not be read, so checks that need them were skipped"
            if is_config
            else "its clock could not be read",
            (Evidence(what, said, server.name),),
        )
