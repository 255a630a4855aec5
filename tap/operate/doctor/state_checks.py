"""How replication stands: roles, chains, histories, resyncs, lag."""

from __future__ import annotations

from collections.abc import Iterator

from tap.operate.doctor.check import Evidence, Finding, check, check_replica, from_info
from tap.operate.doctor.link_checks import follow_remedy
from tap.operate.doctor.pair_facts import PairFacts, ReplicaFacts
from tap.servers import shell
from tap.url import Address, Url

SILENT_SECONDS = 10  # since the last ACK; replicas send one a second
MUCH = 2**20  # bytes of lag that are no accident of the moment


@check
def master_is_replica(facts: PairFacts) -> Iterator[Finding]:
    master = facts.master
    above = master.replication.master
    if above is None:
        return
    is_up = master.replication.master_link_status == "up"
    yield Finding(
        "master_is_replica",
        "note" if is_up else "broken",
        master.name,
        f"this server is itself a replica, of {above}: "
        + ("a chain" if is_up else "its own link is down, so its replicas get nothing new"),
        from_info(master, "role", "master_host", "master_port", "master_link_status", "master_link_down_since_seconds"),
    )


@check
def no_replica(facts: PairFacts) -> Iterator[Finding]:
    if not facts.replicas and facts.master.replication.connected_slaves == 0:
        yield Finding(
            "no_replicas",
            "note",
            facts.master.name,
            "no replica is connected, and none was given: name the one that should be, as a second argument",
            from_info(facts.master, "connected_slaves"),
        )


@check
def loading(facts: PairFacts) -> Iterator[Finding]:
    for server in (facts.master, *(one.server for one in facts.replicas)):
        if server.field_number("loading") == 1:
            yield Finding(
                "loading",
                "warning",
                server.name,
                "it is loading a data set, and refuses most commands until that is done",
                from_info(server, "loading", "loading_loaded_perc", "loading_eta_seconds"),
            )


@check
def full_resyncs(facts: PairFacts) -> Iterator[Finding]:
    """Full resyncs while the master was watched."""
    if len(facts.samples) < 2:
        return
    first, last = facts.samples[0].resyncs, facts.samples[-1].resyncs
    count = last.sync_full - first.sync_full if first and last else 0
    if first is None or last is None or count <= 0:
        return
    source = f"INFO of {facts.master.name}, at the start and the end of {facts.watched:.0f} s"
    yield Finding(
        "full_resync_loop" if count > 1 else "full_resync_seen",
        "broken" if count > 1 else "warning",
        facts.master.name,
        f"{count} full resyncs began within {facts.watched:.0f} s: a loop{_unless(facts, count)}"
        if count > 1
        else f"a full resync began within the {facts.watched:.0f} s that the master was watched",
        (
            Evidence("sync_full", f"{first.sync_full} -> {last.sync_full}", source),
            Evidence("sync_partial_err", f"{first.sync_partial_err} -> {last.sync_partial_err}", source),
        ),
        ("# put redis-tap between them, it names the reason of each one: redis-tap run --help",) if count > 1 else (),
    )


def _unless(facts: PairFacts, count: int) -> str:
    """INFO counts the full resyncs of all replicas together."""
    most = max(one.info.replication.connected_slaves for one in facts.samples)
    return f", unless each of the master's {most} replicas needed one at most" if count <= most else ""


@check_replica
def other_history(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """Up and level means one replication ID, in a chain of any length."""
    ours, theirs = facts.master.replication, replica.server.replication
    if theirs.master is None or not replica.link_is_up or ours.master_replid == theirs.master_replid:
        return
    if replica.dial is not None and replica.dial.run_id not in (None, facts.master.info.server.run_id):
        return  # see follows_another() in link_checks.py
    yield Finding(
        "other_history",
        "broken",
        replica.name,
        "this replica follows another history than the master's: its data are not the master's",
        (
            *from_info(facts.master, "master_replid", "master_repl_offset"),
            *from_info(replica.server, "master_replid", "slave_repl_offset", "master_host", "master_port"),
        ),
        (
            "# a full resync:",
            follow_remedy(facts, replica),
        ),
    )


@check_replica
def sub_replicas(_: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """Replicas of a replica, which resync in full whenever it does."""
    state = replica.server.replication
    if state.master is None or not state.replicas:
        return
    at = state.slave_repl_offset or state.master_repl_offset
    distant = [one for one in state.replicas if at - one.offset > MUCH or one.state != "online"]
    listed = tuple(
        Evidence(
            f"replica {one.host}:{one.port}",
            f"{one.state}, offset {one.offset} ({at - one.offset} bytes to go)",
            f"INFO of {replica.name}",
        )
        for one in state.replicas
    )
    yield Finding(
        "sub_replica_distant" if distant else "sub_replicas",
        "warning" if distant else "note",
        replica.name,
        f"of its own {_replicas(len(state.replicas))}, {len(distant)} {_are(len(distant))} far behind it, or not online"
        if distant
        else f"it has {_replicas(len(state.replicas))} of its own: a full resync of this one is one for each of them",
        listed,
    )


@check
def distant_replicas(facts: PairFacts) -> Iterator[Finding]:
    """By the last sample of the watch: offsets and ACKs of one moment."""
    if not facts.samples:
        return
    first, last = facts.samples[0].info.replication, facts.samples[-1].info.replication
    before = {(one.host, one.port): first.master_repl_offset - one.offset for one in first.replicas}
    for one in last.replicas:
        if one.state != "online":
            continue
        lag = last.master_repl_offset - one.offset
        name = f"{one.host}:{one.port}"
        said = (
            Evidence("master_repl_offset", str(last.master_repl_offset), f"INFO of {facts.master.name}"),
            Evidence("offset acknowledged", f"{one.offset} ({lag} bytes to go)", f"INFO of {facts.master.name}"),
            Evidence("seconds since its last ACK", str(one.lag), f"INFO of {facts.master.name}"),
        )
        if one.lag is not None and one.lag > SILENT_SECONDS:
            yield Finding(
                "replica_silent",
                "broken",
                name,
                f"the replica has acknowledged nothing for {one.lag} s: it hangs, runs one long command, or the network "
                "lost it. The master disconnects it after repl-timeout",
                said,
                (f"# look there: {shell.redis_cli(Url(Address(one.host, one.port or 0)), 'SLOWLOG', 'GET', '10')}",),
            )
        elif lag > MUCH and lag > before.get((one.host, one.port), lag):
            yield Finding(
                "lag_grows",
                "warning",
                name,
                f"the replica is {lag} bytes behind the master, and the distance grew while it was watched: it applies "
                "more slowly than the master writes",
                said,
                (f"# look there: {shell.redis_cli(Url(Address(one.host, one.port or 0)), 'SLOWLOG', 'GET', '10')}",),
            )


def _replicas(count: int) -> str:
    return f"{count} replica{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
