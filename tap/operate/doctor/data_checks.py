"""What may be lost, refused or served stale: persistence, min-replicas, memory, clocks, settings of a replica's reads."""

from __future__ import annotations

from collections.abc import Iterator

from tap.operate.doctor.check import Evidence, Finding, check, check_replica, from_config, from_info
from tap.operate.doctor.pair_facts import PairFacts, ReplicaFacts, ServerFacts
from tap.servers import shell

CLOCK_SECONDS = 1.0  # by which two clocks may differ
SAVE = "3600 1 300 100 60 10000"  # the default of all versions


@check
def without_persistence(facts: PairFacts) -> Iterator[Finding]:
    master = facts.master
    if not _keeps_nothing(master):
        return
    yield Finding(
        "master_without_persistence",
        "warning",
        master.name,
        "the master keeps nothing on its disk: if it restarts, it comes back empty, and its replicas empty themselves to "
        "follow it. Enable persistence, or make sure that nothing restarts it by itself",
        from_config(master, "save", "appendonly"),
        (shell.config_set(master.url, "save", SAVE), f"# or: {shell.config_set(master.url, 'appendonly', 'yes')}"),
    )


@check
def failed_saves(facts: PairFacts) -> Iterator[Finding]:
    for server in (facts.master, *(one.server for one in facts.replicas)):
        if server.info.fields.get("rdb_last_bgsave_status") == "err":
            yield Finding(
                "rdb_save_failed",
                "broken",
                server.name,
                "its last RDB could not be written: disk full, no rights, or no memory for the fork; its log says which. "
                "Full resyncs that go over the disk fail, and with stop-writes-on-bgsave-error so do all writes",
                from_info(server, "rdb_last_bgsave_status", "rdb_last_save_time", "rdb_changes_since_last_save"),
                (
                    shell.redis_cli(server.url, "CONFIG", "GET", "dir"),
                    "# make room there, then:",
                    shell.redis_cli(server.url, "BGSAVE"),
                ),
            )
        if server.info.fields.get("aof_last_write_status") == "err":
            yield Finding(
                "aof_write_failed",
                "broken",
                server.name,
                "it cannot write its append-only file, and refuses writes until it can",
                from_info(server, "aof_enabled", "aof_last_write_status"),
                (shell.redis_cli(server.url, "CONFIG", "GET", "dir"), "# make room there: it tries again once a second"),
            )


@check
def too_few_replicas(facts: PairFacts) -> Iterator[Finding]:
    master = facts.master
    wanted, good = master.number("min-replicas-to-write"), master.field_number("min_slaves_good_slaves")
    if not wanted or good is None:
        return
    said = (
        *from_config(master, "min-replicas-to-write", "min-replicas-max-lag"),
        *from_info(master, "min_slaves_good_slaves", "connected_slaves"),
    )
    if good < wanted:
        yield Finding(
            "min_replicas_not_met",
            "broken",
            master.name,
            f"the master refuses writes (NOREPLICAS): it wants {wanted} replicas that acknowledge within "
            f"min-replicas-max-lag, and has {good}",
            said,
            (
                "# bring the replicas back, or do without that promise:",
                shell.config_set(master.url, "min-replicas-to-write", str(good)),
            ),
        )
    elif good == wanted:
        yield Finding(
            "min_replicas_exactly_met",
            "note",
            master.name,
            f"if one of its {good} replicas goes, the master refuses writes (min-replicas-to-write {wanted})",
            said,
        )
    lag = master.number("min-replicas-max-lag")
    if lag is not None and 0 < lag < 2:
        yield Finding(
            "min_replicas_lag_too_short",
            "warning",
            master.name,
            "replicas acknowledge once a second: with min-replicas-max-lag 1 a single late one stops writes",
            from_config(master, "min-replicas-max-lag"),
            (shell.config_set(master.url, "min-replicas-max-lag", "10"),),
        )


@check_replica
def replica_persistence(_: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    if replica.server.replication.master is not None and _keeps_nothing(replica.server):
        yield Finding(
            "replica_without_persistence",
            "note",
            replica.name,
            "the replica keeps nothing on its disk: after a restart it needs a full resync",
            from_config(replica.server, "save", "appendonly"),
            (shell.config_set(replica.server.url, "save", SAVE),),
        )


@check_replica
def small_memory(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """A replica ignores its maxmemory while it follows (replica-ignore-maxmemory), and evicts once it is promoted."""
    limit, used = replica.server.number("maxmemory"), facts.master.field_number("used_memory")
    if not limit or used is None or replica.server.replication.master is None:
        return
    of_master = facts.master.number("maxmemory") or 0
    if limit >= max(used, of_master):
        return
    evicts = replica.server.config.get("replica-ignore-maxmemory") == "no"
    yield Finding(
        "replica_memory_smaller",
        "warning",
        replica.name,
        "the replica's maxmemory is below what the master "
        + ("uses: " if limit < used else "may use: ")
        + ("it evicts keys that the master has" if evicts else "once promoted, it evicts keys or refuses writes"),
        (
            *from_config(replica.server, "maxmemory", "replica-ignore-maxmemory"),
            *from_info(facts.master, "used_memory"),
            *from_config(facts.master, "maxmemory"),
        ),
        (shell.config_set(replica.server.url, "maxmemory", str(of_master)),),
    )


@check_replica
def clocks_apart(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    ours, theirs = facts.master.clock, replica.server.clock
    if ours is None or theirs is None:
        return
    apart, within = theirs - ours, facts.master.clock_within + replica.server.clock_within
    if abs(apart) - within <= CLOCK_SECONDS:
        return
    yield Finding(
        "clocks_differ",
        "warning",
        replica.name,
        f"its clock is {abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'} the master's: the replica hides keys "
        f"as expired {'earlier' if apart > 0 else 'later'} than the master by that much, and so does a failover",
        (Evidence("TIME", f"{apart:+.3f} s from the master's, within {within:.3f} s", f"TIME of {replica.name}"),),
        ("# on that machine: chronyc tracking; timedatectl",),
    )


@check_replica
def reads(_: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    server = replica.server
    if server.replication.master is None:
        return
    if server.config.get("replica-read-only") == "no":
        yield Finding(
            "replica_writable",
            "warning",
            replica.name,
            "clients can write to this replica: the master never learns of that, and a full resync removes it",
            from_config(server, "replica-read-only"),
            (shell.config_set(server.url, "replica-read-only", "yes"),),
        )
    if not replica.link_is_up:
        stale = server.config.get("replica-serve-stale-data")
        if stale == "yes":
            yield Finding(
                "stale_reads",
                "warning",
                replica.name,
                "while its link is down, this replica answers reads from old data",
                from_config(server, "replica-serve-stale-data"),
                (
                    "# to have it refuse them instead (MASTERDOWN):",
                    f"# {shell.config_set(server.url, 'replica-serve-stale-data', 'no')}",
                ),
            )
        elif stale == "no":
            yield Finding(
                "reads_refused",
                "warning",
                replica.name,
                "while its link is down, this replica refuses reads (MASTERDOWN)",
                from_config(server, "replica-serve-stale-data"),
                (
                    "# to have it answer from old data instead:",
                    f"# {shell.config_set(server.url, 'replica-serve-stale-data', 'yes')}",
                ),
            )


@check_replica
def never_promoted(_: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    if replica.server.config.get("replica-priority") == "0":
        yield Finding(
            "never_promoted",
            "note",
            replica.name,
            "Sentinel never promotes this replica (replica-priority 0)",
            from_config(replica.server, "replica-priority"),
        )


@check_replica
def two_data_sets(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """repl-diskless-load swapdb keeps the old data until the new data is there."""
    server = replica.server
    total, used = server.field_number("total_system_memory"), facts.master.field_number("used_memory")
    if server.config.get("repl-diskless-load") == "swapdb" and total and used and 2 * used > total:
        yield Finding(
            "swapdb_needs_memory",
            "warning",
            replica.name,
            "during a full resync this replica keeps both the old and the new data (repl-diskless-load swapdb), for "
            "which its machine has too little memory",
            (
                *from_config(server, "repl-diskless-load"),
                *from_info(server, "total_system_memory"),
                *from_info(facts.master, "used_memory"),
            ),
            (shell.config_set(server.url, "repl-diskless-load", "disabled"),),
        )


def _keeps_nothing(server: ServerFacts) -> bool:
    return server.config.get("save") == "" and server.config.get("appendonly") == "no"
