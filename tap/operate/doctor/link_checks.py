"""Whether each replica follows the master, and if not, what keeps it from that: network, login, rights, versions."""

from __future__ import annotations

from collections.abc import Iterator

from tap.operate.doctor.check import Evidence, Finding, check, check_replica, from_config, from_info
from tap.operate.doctor.pair_facts import PairFacts, ReplicaFacts
from tap.operate.doctor.sent_rdb import sent
from tap.servers import shell
from tap.url import is_loopback
from tap.verdict.loadable import can_load, loaders


@check
def unreachable_replicas(facts: PairFacts) -> Iterator[Finding]:
    for replica in facts.replicas:
        if replica.server.failure is None:
            continue
        said = (Evidence("connection", replica.server.failure, f"tried from here: {replica.name}"),)
        if replica.given:
            yield Finding("replica_unreachable", "broken", replica.name, "the replica cannot be asked from here", said)
        elif not any(one.failure and str(one.address) == replica.name for one in facts.announced):
            yield Finding(
                "replica_not_examined",
                "note",
                replica.name,
                "the master lists this replica, but it cannot be asked without a login: give its URL as one more "
                "argument (the login of the master's URL is not sent to addresses that come from a list)",
                said,
            )


@check
def unreachable_addresses(facts: PairFacts) -> Iterator[Finding]:
    for dial in facts.announced:
        if dial.failure is not None:
            yield Finding(
                "announced_address_unreachable",
                "warning",
                str(dial.address),
                f"the master lists a replica at {dial.address}, where nothing answers from here: Sentinel, clients and a "
                "FAILOVER use that address. Behind NAT or in a container, the replica has to announce an outer one",
                (Evidence("connection", dial.failure, f"tried from here: {dial.address}"),),
                (
                    "# on that replica, with the address that others reach it at:",
                    "# redis-cli CONFIG SET replica-announce-ip ADDRESS",
                    "# redis-cli CONFIG SET replica-announce-port PORT",
                ),
            )


@check_replica
def not_a_replica(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    if replica.server.replication.master is None:
        yield Finding(
            "not_a_replica",
            "broken",
            replica.name,
            "this server follows no master",
            from_info(replica.server, "role", "connected_slaves", "master_repl_offset"),
            (
                "# this replaces all data of that server by the master's:",
                follow_remedy(facts, replica),
            ),
        )


@check_replica
def follows_another(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """The process at the address that the replica uses is not the master that was given."""
    run_id = facts.master.info.server.run_id
    if replica.dial is None or None in (replica.dial.run_id, run_id) or replica.dial.run_id == run_id:
        return
    if replica.link_is_up and replica.server.replication.master_replid == facts.master.replication.master_replid:
        return  # in a chain
    yield Finding(
        "follows_another_master",
        "broken",
        replica.name,
        f"this replica follows {replica.dial.address}, which is another server than {facts.master.name}",
        (
            *from_info(replica.server, "master_host", "master_port", "master_replid"),
            Evidence("run_id", str(run_id), f"INFO of {facts.master.name}"),
            Evidence("run_id", str(replica.dial.run_id), f"INFO of {replica.dial.address}"),
        ),
        (
            "# a full resync, unless both have the same history:",
            follow_remedy(facts, replica),
        ),
    )


@check_replica
def link_down(_: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    if replica.server.replication.master is None or replica.link_is_up:
        return
    since = replica.server.field_number("master_link_down_since_seconds")
    # master_sync_in_progress of Redis 6.2 is 1 also while its master refuses the login.
    syncing = replica.listed is not None and replica.listed.state != "online"
    for_long = "" if since is None or since < 0 else f" for {since} s"
    text = "a full resync is under way" if syncing else f"its link to the master has been down{for_long}"
    yield Finding(
        "resync_in_progress" if syncing else "link_down",
        "warning" if syncing else "broken",
        replica.name,
        f"{text}; the replica's log says what it waits for",
        from_info(
            replica.server,
            *("master_host", "master_port", "master_link_status", "master_link_down_since_seconds"),
            *("master_sync_in_progress", "master_sync_left_bytes", "master_sync_last_io_seconds_ago"),
        ),
        (shell.redis_cli(replica.server.url, "CONFIG", "GET", "logfile"),),
    )


@check_replica
def unreachable_master(_: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """Tried from here, which is not where the replica is: so nothing is said of a link that is up."""
    dial = replica.dial
    if dial is None or dial.failure is None or replica.link_is_up:
        return
    yield Finding(
        "master_address_unreachable",
        "broken",
        replica.name,
        f"the master's address as this replica has it, {dial.address}, does not answer from here either",
        (
            *from_info(replica.server, "master_host", "master_port"),
            Evidence("connection", dial.failure, f"tried from here: {dial.address}"),
        ),
    )


@check_replica
def login_refused(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    dial, server = replica.dial, replica.server
    if dial is None or dial.refused is None or replica.link_is_up or "masterauth" not in server.config:
        return
    said = (
        *from_config(server, "masteruser", "masterauth"),
        *from_config(facts.master, "requirepass"),
        Evidence("login", dial.refused, f"tried from here with the replica's own login: {dial.address}"),
    )
    if "NOPERM" in dial.refused or "no permissions" in dial.refused:
        return  # it may replicate without being allowed to run INFO: see missing_rights()
    if "without any password" in dial.refused or "no password is set" in dial.refused:
        yield Finding(
            "masterauth_not_wanted",
            "broken",
            replica.name,
            "the replica logs in, but its master has no password, and refuses that",
            said,
            (shell.redis_cli(server.url, "CONFIG", "SET", "masterauth", ""),),
        )
        return
    missing = not dial.with_login
    yield Finding(
        "masterauth_missing" if missing else "masterauth_wrong",
        "broken",
        replica.name,
        "the master wants a login, and the replica has none (masterauth)"
        if missing
        else f"the master refuses the replica's login as {replica.user} (masteruser, masterauth)",
        said,
        (
            "# with the password of that user of the master in the variable MASTERAUTH:",
            f'{shell.redis_cli(server.url, "CONFIG", "SET", "masterauth")} "$MASTERAUTH"',
        ),
    )


@check_replica
def missing_rights(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    missing = [command.upper() for command, allowed in replica.allowed.items() if allowed is False]
    if not missing:
        return
    yield Finding(
        "acl_missing",
        "broken",
        replica.name,
        f"the master's ACL keeps the user {replica.user}, as which this replica logs in, from {_and(missing)}"
        + ("; the link that is up was allowed before, the next one will be refused" if replica.link_is_up else ""),
        tuple(Evidence(command, "refused", f"ACL of {facts.master.name}, user {replica.user}") for command in missing),
        (
            shell.redis_cli(
                facts.master.url,
                "ACL",
                "SETUSER",
                replica.user,
                "+psync",
                "+replconf",
                "+ping",
            ),
        ),
    )


@check_replica
def wrong_tls(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    server, master = replica.server, facts.master
    address = server.replication.master
    tls = server.config.get("tls-replication")
    if address is None or replica.link_is_up or tls is None:
        return
    plain_port, tls_port = master.number("port"), master.number("tls-port")
    if tls == "no" and tls_port and address.port == tls_port:
        text, wanted = f"the master's port {address.port} speaks TLS, and this replica does not", "yes"
    elif tls == "yes" and plain_port and address.port == plain_port:
        text, wanted = f"this replica speaks TLS, and the master's port {address.port} does not", "no"
    else:
        return
    yield Finding(
        "tls_mismatch",
        "broken",
        replica.name,
        text,
        (*from_config(server, "tls-replication"), *from_config(master, "port", "tls-port")),
        (shell.config_set(server.url, "tls-replication", wanted),),
    )


@check_replica
def closed_to_others(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """Whether the master listens where the replica comes from."""
    master, address = facts.master, replica.server.replication.master
    if address is None or replica.link_is_up or is_loopback(address.host):
        return
    bind = master.config.get("bind", "").split()
    if bind and all(is_loopback(one.lstrip("-")) for one in bind):
        yield Finding(
            "bound_to_loopback",
            "broken",
            master.name,
            f"the master listens only on its own machine's loopback, and the replica {replica.name} dials {address.host}",
            (*from_config(master, "bind"), *from_info(replica.server, "master_host", "master_port")),
            (shell.redis_cli(master.url, "CONFIG", "SET", "bind", f"{' '.join(bind)} {address.host}"),),
        )
    elif master.config.get("protected-mode") == "yes" and master.config.get("requirepass") == "":
        yield Finding(
            "protected_mode",
            "broken",
            master.name,
            "the master refuses every connection from another machine: protected-mode is on, and the default user has no "
            "password",
            from_config(master, "protected-mode", "requirepass", "bind"),
            (
                "# with a new password in the variable PASSWORD, which clients and masterauth of replicas need, too:",
                f'{shell.redis_cli(master.url, "CONFIG", "SET", "requirepass")} "$PASSWORD"',
                "# or, in a network that is closed to others:",
                f"# {shell.config_set(master.url, 'protected-mode', 'no')}",
            ),
        )


@check_replica
def unloadable_rdb(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    if replica.server.replication.master is None:
        return
    master, server = facts.master.version, replica.server.version
    version = sent(master, server)
    loads = None if version is None else can_load(server, version)
    said = (
        Evidence("version", master, f"INFO of {facts.master.name}"),
        Evidence("version", server, f"INFO of {replica.name}"),
    )
    if loads is False:
        yield Finding(
            "rdb_not_loadable",
            "broken",
            replica.name,
            f"{server} cannot load the RDB of {master} (version {version}): a full resync starts over for ever"
            + ("; until the next one the link works" if replica.link_is_up else ""),
            said,
            (f"# it takes {loaders(version or 0)}: upgrade replicas before their master",),
        )
    elif loads is None and master != server:
        yield Finding(
            "versions_unknown",
            "note",
            replica.name,
            f"whether {server} loads the RDB of {master} is not known to this redis-tap",
            said,
        )


def follow_remedy(facts: PairFacts, replica: ReplicaFacts) -> str:
    """The command that makes it follow the master: a node of a Cluster refuses REPLICAOF."""
    myid = facts.master.cluster.get("myid")
    if replica.server.cluster and myid:
        return shell.redis_cli(replica.server.url, "CLUSTER", "REPLICATE", myid)
    return shell.replicaof(replica.server.url, facts.master.url.address)


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
