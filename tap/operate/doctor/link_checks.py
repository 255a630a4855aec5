"""Whether each replica follows the master, and if not, what keeps it from that: network, login, rights, versions."""

from __future__ import annotations

from collections.abc import Iterator

from tap.operate.doctor.check import Evidence, Finding, check, check_replica, from_config, from_info
from tap.operate.doctor.pair_facts import PairFacts, ReplicaFacts, tls_mismatch
from tap.operate.doctor.sent_rdb import sent
from tap.servers import shell
from tap.url import Address, Url, is_ip, is_loopback
from tap.verdict.loadable import can_load, loaders

UNTRUSTED = "TLS: "  # of Dial.failure: TLS answered, and did not agree with what is known here
_TLS_FILES = (("tls-ca-cert-file", "CA"), ("tls-cert-file", "CERT"), ("tls-key-file", "KEY"))


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
                "argument (the login of the master's URL is not sent to addresses that come from a list)"
                if replica.server.wants_login
                else "the master lists this replica, and its port accepts connections, but it cannot be asked from here. "
                "If it takes another URL (TLS, another port), give that as one more argument",
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
                _announce_remedy(facts, dial.address),
            )
    listed = {dial.address for dial in facts.announced}
    for dial in facts.announced_in_cluster:
        if dial.failure is not None and dial.address not in listed:
            yield Finding(
                "announced_address_unreachable",
                "warning",
                str(dial.address),
                f"the Cluster lists a node of this shard at {dial.address}, where nothing answers from here: clients are "
                "sent there, and other nodes connect there. Behind NAT or in a container, the node has to announce an "
                "outer address",
                (Evidence("connection", dial.failure, f"tried from here: {dial.address}"),),
                (
                    "# on that node, with the address that others reach it at:",
                    "# redis-cli CONFIG SET cluster-announce-ip ADDRESS",
                    "# redis-cli CONFIG SET cluster-announce-port PORT",
                ),
            )


@check_replica
def not_a_replica(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    if replica.server.replication.master is not None:
        return
    promoted = any(one.master.port in replica.server.ports for one in facts.hellos_elsewhere)
    yield Finding(
        "not_a_replica",
        "broken",
        replica.name,
        "this server follows no master"
        + (": Sentinel has made it the master, see sentinel_has_another_master" if promoted else ""),
        from_info(replica.server, "role", "connected_slaves", "master_repl_offset"),
        ()
        if promoted
        else (
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
    is_same = replica.server.replication.master_replid == facts.master.replication.master_replid
    if is_same and (replica.link_is_up or replica.dial.is_cut_off):
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
def link_down_above(_: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """The replica of a replica: its own link may well be up, but nothing new comes through it."""
    if replica.dial is None or not replica.dial.is_cut_off:
        return
    yield Finding(
        "link_down_above",
        "broken",
        replica.name,
        f"this replica follows {replica.dial.address}, a replica whose own link is down: nothing new arrives here",
        (
            *from_info(replica.server, "master_host", "master_port", "master_link_status"),
            Evidence("master_link_status", "down", f"INFO of {replica.dial.address}"),
        ),
        ("# examine the link above:", shell.redis_cli(Url(replica.dial.address), "INFO", "replication")),
    )


@check_replica
def unreachable_master(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """Tried from here, which is not where the replica is: so nothing is said of a link that is up."""
    dial = replica.dial
    if dial is None or dial.failure is None or replica.link_is_up or dial.failure.startswith(UNTRUSTED):
        return
    yield Finding(
        "master_address_unreachable",
        "broken",
        replica.name,
        f"at the master's address as this replica has it, {dial.address}, no server can be asked from here either",
        (
            *from_info(replica.server, "master_host", "master_port"),
            Evidence("connection", dial.failure, f"tried from here: {dial.address}"),
        ),
        (
            f"# if it should follow {facts.master.name}: a full resync, unless both have the same history:",
            follow_remedy(facts, replica),
        )
        if _is_elsewhere(facts, replica, dial.address)
        else (),
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
    wanted = tls_mismatch(master, server)
    if address is None or wanted is None or replica.link_is_up or (replica.dial and replica.dial.run_id):
        return
    switch = shell.config_set(server.url, "tls-replication", wanted)
    if wanted == "yes":
        text = f"the master's port {address.port} speaks TLS, and this replica does not"
        lacks = server.config.get("tls-ca-cert-file") == "" == server.config.get("tls-ca-cert-dir", "")
        remedy: tuple[str, ...] = (switch,)
        if lacks:
            set_file = shell.redis_cli(server.url, "CONFIG", "SET")
            remedy = (
                "# it has no CA. With the files of CA, certificate and key on its machine in these variables:",
                f'{set_file} tls-ca-cert-file "$CA" tls-cert-file "$CERT" tls-key-file "$KEY" tls-replication yes',
            )
            if server.version.startswith("Redis 6"):  # whose CONFIG SET takes one option
                remedy = (remedy[0], *(f'{set_file} {name} "${value}"' for name, value in _TLS_FILES), switch)
    else:
        text = f"this replica speaks TLS, and the master's port {address.port} does not"
        other = Address(address.host, master.number("tls-port") or 0)
        remedy = (
            (shell.replicaof(server.url, other), "# or without TLS, readable on the network:", f"# {switch}")
            if other.port
            else (switch,)
        )
    yield Finding(
        "tls_mismatch",
        "broken",
        replica.name,
        text,
        (*from_config(server, "tls-replication", "tls-ca-cert-file"), *from_config(master, "port", "tls-port")),
        remedy,
    )


@check_replica
def distrust(facts: PairFacts, replica: ReplicaFacts) -> Iterator[Finding]:
    """Each side verifies the other's certificate, and only its log says that it did not like it: so this is inferred."""
    server, master, dial = replica.server, facts.master, replica.dial
    if server.config.get("tls-replication") != "yes" or replica.link_is_up or dial is None or replica.listed is not None:
        return
    untrusted = dial.failure is not None and dial.failure.startswith(UNTRUSTED)
    answers = dial.run_id is not None and dial.run_id == master.info.server.run_id
    if (not answers and not untrusted) or False in replica.allowed.values() or tls_mismatch(master, server):
        return
    options = ("tls-ca-cert-file", "tls-ca-cert-dir", "tls-cert-file", "tls-auth-clients")
    yield Finding(
        "tls_distrust",
        "warning",
        replica.name,
        f"{dial.address} answers over TLS"
        + (" from here, and admits the replica's login" if answers else "")
        + ", yet the link is down: one side probably refuses the other's certificate (the logs decide). The replica's CA "
        "has to have issued the master's certificate and, with tls-auth-clients yes, the master's CA that of the replica",
        (
            *from_config(server, "tls-replication", *options[:3]),
            *from_config(master, *options),
            Evidence("connection", dial.failure or "answers", f"tried from here: {dial.address}"),
        ),
        (
            "# with the CA that issued the master's certificate, as a file on the replica's machine, in the variable CA:",
            f'{shell.redis_cli(server.url, "CONFIG", "SET", "tls-ca-cert-file")} "$CA"',
        ),
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
            (shell.redis_cli(master.url, "CONFIG", "SET", "bind", f"{' '.join(bind)} {address.host}"),)
            if is_ip(address.host)
            else (
                "# with an address of the master's machine that the replica reaches:",
                f"# {shell.redis_cli(master.url, 'CONFIG', 'SET', 'bind', ' '.join([*bind, 'ADDRESS']))}",
            ),
        )
    elif (
        master.config.get("protected-mode") == "yes"
        and master.config.get("requirepass") == ""
        # Until Redis 6.2 any bind switches it off.
        and not (bind and master.version.startswith(("Redis 6", "Redis 5")))
    ):
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
    url = replica.server.url
    if replica.server.cluster and myid:
        return shell.redis_cli(url, "CLUSTER", "REPLICATE", myid)
    address = master_address(facts, replica)
    is_far = bool(url.address.host) and not is_loopback(url.address.host)
    if not address.host or (is_loopback(address.host) and is_far):
        said = shell.replicaof(url, Address("ADDRESS", address.port or facts.master.info.server.tcp_port or 0))
        return f"# with the address at which that machine reaches the master: {said}"
    return shell.replicaof(url, address)


def master_address(facts: PairFacts, replica: ReplicaFacts) -> Address:
    """The master's address, with the port that the replica has to dial: TLS and plain connections have one each."""
    address, tls = facts.master.url.address, replica.server.config.get("tls-replication")
    if tls is None or (tls == "yes") == facts.master.url.tls:
        return address
    return Address(address.host, facts.master.number("tls-port" if tls == "yes" else "port") or address.port)


def _is_elsewhere(facts: PairFacts, replica: ReplicaFacts, dialled: Address) -> bool:
    """Whether the replica dials another address than the master's, with no other finding that says why it fails."""
    address = master_address(facts, replica)
    is_inside = is_loopback(address.host) and not is_loopback(dialled.host)  # see closed_to_others()
    return bool(address.host) and address != dialled and not is_inside and not tls_mismatch(facts.master, replica.server)


def _announce_remedy(facts: PairFacts, address: Address) -> tuple[str, ...]:
    """Of a replica that was given, its URL is known. It announces itself when it connects, so its link is ended."""
    known = next(
        (
            one.server.url
            for one in facts.replicas
            if one.given and one.listed and address == Address(one.listed.host, one.listed.port or 0)
        ),
        None,
    )
    if known is None or not known.address.host:
        return (
            "# on that replica, with the address that others reach it at, and then to have it announced:",
            "# redis-cli CONFIG SET replica-announce-ip ADDRESS",
            "# redis-cli CONFIG SET replica-announce-port PORT",
            "# redis-cli CLIENT KILL TYPE master",
        )
    return (
        "# the address at which it answers from here, if others reach it there, too:",
        shell.config_set(known, "replica-announce-ip", known.address.host),
        shell.config_set(known, "replica-announce-port", str(known.address.port)),
        "# it announces that when it connects again, with a partial resync:",
        shell.redis_cli(known, "CLIENT", "KILL", "TYPE", "master"),
    )


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
