"""Ask a master and its replicas everything that the checks look at. Nothing is changed, and no data is read.

A server that lacks a command, or a user that may not run it, is a fact like others: see ServerFacts.refused.

The login of the master's URL is sent to the master only. The addresses in its list of replicas come from the replicas
themselves, so they are asked without a login. A replica's own masteruser and masterauth go where the replica sends them,
to its master's address, and are not kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from tap.errors import ConfigError, EnvironmentFailure, words
from tap.operate.doctor.cluster_nodes import shard
from tap.operate.doctor.pair_facts import HIDDEN, Dial, InfoSample, PairFacts, ReplicaFacts, ServerFacts, tls_mismatch
from tap.operate.doctor.permissions import HANDSHAKE, allows
from tap.operate.doctor.sentinel_hello import CHANNEL, Hello, parse
from tap.operate.server_info import server_info
from tap.servers.answers import text
from tap.servers.client import Client
from tap.servers.failures import FAILURES, AuthenticationError, ErrorReply, said_by
from tap.servers.info import Info, ListedReplica
from tap.servers.server_settings import read_settings
from tap.url import Address, Url

OPTIONS = (
    "appendonly", "bind", "client-output-buffer-limit", "dual-channel-replication-enabled", "logfile", "masterauth",
    "masteruser", "maxmemory", "min-replicas-max-lag", "min-replicas-to-write", "port", "protected-mode",
    "repl-backlog-size", "repl-diskless-load", "repl-diskless-sync", "repl-diskless-sync-delay",
    "repl-ping-replica-period", "repl-rdb-channel", "repl-timeout", "replica-announce-ip", "replica-announce-port",
    "replica-ignore-maxmemory", "replica-priority", "replica-read-only", "replica-serve-stale-data", "requirepass",
    "save",
    "tls-auth-clients", "tls-ca-cert-dir", "tls-ca-cert-file", "tls-cert-file", "tls-port", "tls-replication",
)  # fmt: skip
SECRETS = frozenset({"masterauth", "requirepass"})
MAX_HELLOS = 10_000
MAX_REPLICAS = 64  # of the master's list that are asked
KNOCK_SECONDS = 3.0
EVERY = 1.0  # seconds between two samples


async def gather(
    master: Url, replicas: Sequence[Url], seconds: float, outage: float, advance: Callable[[float], None]
) -> PairFacts:
    """seconds: for how long the master is watched. outage: see PairFacts. advance: called with the seconds that passed.

    Raises EnvironmentFailure if the master cannot be asked, ConfigError for a URL that is not a server's.
    """
    hellos: list[Hello] = []
    replica_hellos: list[Hello] = []
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(master))
        heard = [(client, hellos)]
        for url in replicas:
            heard.append((await stack.enter_async_context(Client(url)), replica_hellos))
        listening = [asyncio.create_task(_listen(*one), name="Sentinels") for one in heard]
        try:
            samples = await _watch(client, seconds, advance)
        except FAILURES as error:
            raise EnvironmentFailure(f"{client.name}: {said_by(error)}") from None
        finally:
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
        facts = await _server(client)
        if not facts.is_up:
            raise EnvironmentFailure(f"{client.name}: {facts.failure}")
        given = [await _replica(url, client, facts, given=True) for url in replicas]
        listed = [one for one in facts.replication.replicas if 0 < (one.port or 0) < 65536][:MAX_REPLICAS]
        found = [await _with_line(one, listed) for one in given] or await asyncio.gather(
            *(_listed(one, client, facts) for one in listed)
        )
        announced = await asyncio.gather(*(_knock(Address(one.host, one.port or 0)) for one in listed))
        nodes = await _nodes(client, facts) if facts.cluster else []
        in_cluster = await asyncio.gather(*(_knock(one) for one in nodes))
        return PairFacts(
            facts,
            tuple(found),
            samples,
            tuple(announced),
            tuple(hellos),
            outage,
            tuple(in_cluster),
            tuple(replica_hellos),
        )


async def _watch(client: Client, seconds: float, advance: Callable[[float], None]) -> tuple[InfoSample, ...]:
    """INFO at the start, every second, and at the end."""
    begun = time.monotonic()
    samples = []
    while True:
        at = time.monotonic()
        info = await server_info(client)
        samples.append(InfoSample(at - begun, info))
        passed = time.monotonic() - begun
        advance(min(passed, seconds))
        if passed >= seconds:
            return tuple(samples)
        await asyncio.sleep(min(EVERY, seconds - passed))


async def _listen(client: Client, hellos: list[Hello]) -> None:
    """Collect what Sentinels publish until this is cancelled. A user that may not subscribe hears nothing."""
    with contextlib.suppress(*FAILURES, ValueError):  # ValueError: a line longer than the reader's limit
        async with client.streams() as (reader, writer):
            writer.write(f"SUBSCRIBE {CHANNEL}\r\n".encode())
            while line := await reader.readline():
                hello = parse(line.decode(errors="replace").strip())
                if hello is not None and len(hellos) < MAX_HELLOS:
                    hellos.append(hello)


async def _server(client: Client) -> ServerFacts:
    """What one server says of itself."""
    refused: dict[str, str] = {}
    try:
        info = await server_info(client)
        before = time.time()
        moment = await _one(client, "TIME")
        after = time.time()
        settings, unread = await read_settings(client, OPTIONS)
    except FAILURES as error:
        return ServerFacts(client.url, failure=said_by(error))
    clock = None
    if isinstance(moment, Exception):
        refused["TIME"] = said_by(moment)
    elif isinstance(moment, tuple | list) and len(moment) == 2:
        clock = float(moment[0]) + float(moment[1]) / 1e6 - (before + after) / 2
    config = {name: HIDDEN if name in SECRETS and value else value for name, value in settings.items()}
    if unread or not config:
        refused["CONFIG GET"] = [*unread.values(), "the answer is empty"][0]
    cluster = await _cluster(client) if info.fields.get("cluster_enabled") == "1" else {}
    return ServerFacts(client.url, None, info, config, refused, cluster, clock, (after - before) / 2)


async def _cluster(client: Client) -> dict[str, str]:
    said, myid = await _one(client, "CLUSTER", "INFO"), await _one(client, "CLUSTER", "MYID")
    if isinstance(said, Exception) or isinstance(myid, Exception):
        return {}
    return {**Info.parse(said).fields, "myid": text(myid)}


async def _nodes(client: Client, facts: ServerFacts) -> list[Address]:
    """Where CLUSTER NODES has this node and its replicas. Empty if the user may not ask."""
    said = await _one(client, "CLUSTER", "NODES")
    return [] if isinstance(said, Exception) else shard(text(said), facts.cluster.get("myid", ""))[:MAX_REPLICAS]


async def _replica(url: Url, master: Client, of_master: ServerFacts, *, given: bool) -> ReplicaFacts:
    """A replica, what it reaches at its master's address, and what the master lets it do."""
    async with Client(url) as client:
        facts = await _server(client)
        if not facts.is_up or facts.replication.master is None:
            return ReplicaFacts(facts, given)
        secret = ""
        with contextlib.suppress(*FAILURES):
            secret = (await read_settings(client, ("masterauth",)))[0].get("masterauth", "")
    user = facts.config.get("masteruser", "")
    dialling = _dial(facts.replication.master, user if secret else "", secret, facts, master.url)
    # A plain port waits for the rest of what TLS says first.
    dial = await _shortly(dialling, facts.replication.master) if tls_mismatch(of_master, facts) else await dialling
    return ReplicaFacts(facts, given, None, dial, await _allowed(master, user or "default"))


async def _listed(line: ListedReplica, master: Client, of_master: ServerFacts) -> ReplicaFacts:
    """A replica that the master lists, asked without a login."""
    url = Url(Address(line.host, line.port or 0), tls=master.url.tls, tls_options=master.url.tls_options)
    return replace(await _replica(url, master, of_master, given=False), listed=line)


async def _with_line(replica: ReplicaFacts, listed: Sequence[ListedReplica]) -> ReplicaFacts:
    """With the line that has its port, and its host if several have that port; without one if that is ambiguous."""
    server = replica.server
    ports = {server.url.address.port, server.number("replica-announce-port"), server.field_number("tcp_port")}
    found = [one for one in listed if one.port in ports]
    if len({(one.host, one.port) for one in found}) > 1:
        hosts = await _hosts(server)
        found = [one for one in found if one.host in hosts]
    is_clear = len({(one.host, one.port) for one in found}) == 1
    return replace(replica, listed=found[0] if is_clear else None)


async def _hosts(server: ServerFacts) -> set[str]:
    """The names and addresses under which a master may list this server."""
    host = server.url.address.host
    found = {host, server.config.get("replica-announce-ip", "")}
    with contextlib.suppress(OSError, ValueError):  # ValueError: not a name that can be looked up
        found |= {str(one[4][0]) for one in await asyncio.get_running_loop().getaddrinfo(host, None)}
    return found


async def _dial(address: Address, user: str, password: str, replica: ServerFacts, master: Url) -> Dial:
    """Try the master's address as the replica has it, with the replica's login and its choice of TLS."""
    tls = replica.config.get("tls-replication") == "yes"
    options = master.tls_options if tls else {}
    login = bool(password)
    try:
        async with Client(Url(address, tls, user, password, tls_options=options)) as client:
            info = (await client.info("default")).fields
            is_cut_off = info.get("role") == "slave" and info.get("master_link_status") == "down"
            return Dial(address, run_id=info.get("run_id"), with_login=login, is_cut_off=is_cut_off)
    except FAILURES as error:
        said = _without(str(error), password)
        if isinstance(error, AuthenticationError) or (isinstance(error, ErrorReply) and "no permissions" in said):
            return Dial(address, refused=said, with_login=login)
        # Protected mode and a full table of clients are refusals of another kind.
        return Dial(address, failure=_without(said_by(error), password), with_login=login)
    except ConfigError as error:
        return Dial(address, failure=str(error), with_login=login)


async def _shortly(dialling: Coroutine[Any, Any, Dial], address: Address) -> Dial:
    try:
        async with asyncio.timeout(KNOCK_SECONDS):
            return await dialling
    except TimeoutError:
        return Dial(address, failure=f"no answer within {KNOCK_SECONDS:g} s")


async def _knock(address: Address) -> Dial:
    """Connect, and say nothing."""
    try:
        async with asyncio.timeout(KNOCK_SECONDS):
            _, writer = await asyncio.open_connection(address.host, address.port)
        writer.close()
    except TimeoutError:
        return Dial(address, failure=f"no answer within {KNOCK_SECONDS:g} s")
    except (OSError, ValueError, OverflowError) as error:  # the last two: no such host or port
        return Dial(address, failure=words(error))
    return Dial(address)


async def _allowed(master: Client, user: str) -> dict[str, bool | None]:
    """Whether the master lets this user run each command of the handshake."""
    found: dict[str, bool | None] = {}
    rules: Any = None
    for command, request in HANDSHAKE.items():
        reply = await _one(master, "ACL", "DRYRUN", user, *request)
        if isinstance(reply, Exception):
            if rules is None:
                rules = await _one(master, "ACL", "GETUSER", user)
            found[command] = allows(rules, command) if isinstance(rules, list) else None
        else:
            found[command] = reply in (b"OK", "OK", True)
    return found


async def _one(client: Client, *command: str) -> Any:
    """A reply, or the error in its place."""
    try:
        return await client.ask(*command)
    except FAILURES as error:
        return error


def _without(text: str, password: str) -> str:
    return text.replace(password, "***") if password else text
