"""A master and a replica to experiment on: servers of our own, or a pair that the user gave.

Servers of our own are started for one scenario and thrown away after it. A given pair gets back what it had: its options
and the master that its replica followed. It is never flushed and never receives DEBUG.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tap.errors import ConfigError, EnvironmentFailure
from tap.replication.passwords import is_secret_setting
from tap.scenario.load import Scenario
from tap.servers.cancellation import to_the_end
from tap.servers.client import Client
from tap.servers.embedded import Server, own_loopback
from tap.servers.failures import FAILURES, ErrorReply, InvalidReply, said_by
from tap.servers.following import Following, follow
from tap.servers.info import ReplicationSection
from tap.servers.server_settings import ServerSettings
from tap.url import Address, Url, is_loopback

LOG_LENGTH = 65536
FAREWELL_SECONDS = 0.3  # to restore one thing on a given pair; short, so that Ctrl-C ends within a second

OWN_OPTIONS = {"repl-ping-replica-period": "1"}  # a short wait for its heartbeat


class Node:
    """One of the two servers.

    name: its role at the start, "master" or "replica", which a promotion does not change. ports: those by which its
    master may list it. version: as "Redis 7.0.15". server: the process, if it is one of our own.
    """

    def __init__(self, name: str, url: Url) -> None:
        """Raises ConfigError for a URL with options that a client does not have."""
        self.name = name
        self.url = url
        self.address = url.address
        self.ports = {url.address.port}
        self.version = ""
        self.server: Server | None = None
        self.client = Client(url)
        self.options = ServerSettings(self.client, within=FAREWELL_SECONDS)

    @property
    def db(self) -> int:
        return self.client.db

    async def maybe_replication(self) -> ReplicationSection | None:
        """INFO replication; None while the server cannot be asked."""
        try:
            return await self.client.replication()
        except FAILURES:
            return None

    async def follow(self, address: Address | None) -> None:
        """REPLICAOF, or NO ONE. Raises FAILURES."""
        await follow(self.client, address)

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process of ours that ended by itself."""
        return None if self.server is None else self.server.exit_code

    async def restart(self) -> None:
        """Shut down with its data saved, and start again with the same master."""
        assert self.server is not None
        await self._remember_master()
        with contextlib.suppress(*FAILURES):
            await self.client.ask("SHUTDOWN", "SAVE")
        await asyncio.to_thread(self.server.stop)
        await self.start()

    async def _remember_master(self) -> None:
        """Pass the master on to the next process, as CONFIG REWRITE would.

        Only a process that starts as a replica resumes the history in its RDB.
        """
        assert self.server is not None
        master = (await self.client.replication()).master
        pairs = zip(self.server.options[::2], self.server.options[1::2], strict=True)
        options = {name: value for name, value in pairs if name != "replicaof"}
        if master is not None:
            options["replicaof"] = f"{master.host} {master.port}"
        self.server.options = tuple(word for option in options.items() for word in option)

    async def start(self) -> None:
        assert self.server is not None
        await self.client.close()
        await started(self.server)

    async def kill(self) -> None:
        assert self.server is not None
        await self._remember_master()
        self.server.kill()
        await self.client.close()


class Pair:
    """master and replica: by their roles now; swap() exchanges them when the master is demoted.

    damaged: the replica's data may differ from what its master sent, although their offsets agree.
    """

    def __init__(self, master: Node, replica: Node, *, given: bool = False) -> None:
        self.master = master
        self.replica = replica
        self.given = given
        self.damaged = False

    @property
    def nodes(self) -> tuple[Node, Node]:
        return self.master, self.replica

    @property
    def version(self) -> str:
        return self.master.version

    def swap(self) -> None:
        self.master, self.replica = self.replica, self.master

    def end(self) -> None:
        """Kill servers of our own."""
        for node in self.nodes:
            if node.server is not None:
                node.server.kill()

    def logs(self) -> dict[str, str]:
        """The end of the log of each server of our own, by its name."""
        return {node.name: node.server.log[-LOG_LENGTH:] for node in self.nodes if node.server is not None}

    def node(self, role: str) -> Node:
        """The node whose role is "master" or "replica" now."""
        return self.master if role == "master" else self.replica


# ---- servers of our own ----


@contextlib.asynccontextmanager
async def own_pair(program: Path, scenario: Scenario) -> AsyncIterator[Pair]:
    """Two servers of that program with the scenario's options. They end, and their directories go, with the context.

    Raises EnvironmentFailure when they do not start.
    """
    host = own_loopback()
    nodes: list[Node] = []
    servers: list[Server] = []
    try:
        for name, options in (("master", scenario.master), ("replica", scenario.replica)):
            chosen = {**OWN_OPTIONS, **scenario.both, **options}
            server = Server(program, *(word for option in chosen.items() for word in option), name=name, host=host)
            servers.append(server)
            await started(server)
            node = Node(name, Url(Address(host, server.port), password=chosen.get("requirepass", "")))
            node.server = server
            node.version = server.version
            nodes.append(node)
        yield Pair(*nodes)
    finally:
        for server in servers:
            server.kill()
            server.close()
        await to_the_end(_disconnected(*nodes))


async def started(server: Server) -> None:
    """Start the server in a thread. When cancelled, wait until it is up: only then can the caller stop it."""
    starting = asyncio.ensure_future(asyncio.to_thread(server.start))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(EnvironmentFailure):
            await starting
        raise


# ---- a pair that was given ----


@contextlib.asynccontextmanager
async def given_pair(master: Node, replica: Node) -> AsyncIterator[Pair]:
    """That pair. At the end of the context both get their options back, and the replica its master.

    Raises EnvironmentFailure if a server cannot be reached, ConfigError if the replica would lose data of its own.
    """
    try:
        of_master = await introduced(master)
        of_replica = await introduced(replica)
        if of_master.role != "master":
            raise ConfigError("--master: this server is a replica; give the URL of its master")
        follows = of_replica.master is not None and of_replica.master_replid == of_master.master_replid
        if not follows and (await replica.client.info("keyspace")).keyspace:
            raise ConfigError(
                "--replica: this server does not follow that master and holds data, which a full resync would replace; "
                "empty it, or let it follow the master first"
            )
    except BaseException:
        await _disconnected(master, replica)
        raise
    pair = Pair(master, replica, given=True)
    following = Following(replica.client, of_replica.master, within=FAREWELL_SECONDS)
    try:
        yield pair
    finally:
        await to_the_end(_restored(pair, following))


async def _restored(pair: Pair, following: Following) -> None:
    if pair.damaged:
        await following.forget()
    await asyncio.gather(*(node.options.restore() for node in pair.nodes))  # tls-replication before the way back
    await following.restore()
    await _disconnected(*pair.nodes)


async def set_options(node: Node, options: dict[str, str]) -> None:
    """Set options of a given server. Raises ConfigError for one that cannot be set while it runs."""
    for option, value in options.items():
        try:
            await node.options.set(option, value)
        except ErrorReply as error:
            shown = "***" if is_secret_setting(option.encode()) else value
            raise ConfigError(
                f"{option} {shown} cannot be set on the running {node.name}: {error}; leave --master and --replica "
                "out to run it on servers of our own"
            ) from None


async def agree_on_tls(replica: Node, listen: Url) -> None:
    """Make a given replica connect to the tap as the tap listens: with TLS or, on this machine only, without.

    Raises ConfigError where its stream would leave the machine in plain text.
    """
    speaks_tls = "yes" in (await replica.options.get("tls-replication")).values()
    if listen.tls and not speaks_tls:
        raise ConfigError(
            "--listen rediss://: the replica does not speak TLS to its master (tls-replication no); write HOST:PORT"
        )
    if speaks_tls and not listen.tls:
        if not is_loopback(listen.address.host):
            raise ConfigError(
                "the replica speaks TLS to its master (tls-replication yes), and so must the tap: "
                "--listen 'rediss://HOST:PORT?cert=FILE.pem', with a certificate of a CA that the replica trusts"
            )
        await replica.options.set("tls-replication", "no")


async def introduced(node: Node) -> ReplicationSection:
    """Learn the node's version and port, and return its INFO replication.

    Raises EnvironmentFailure when it does not answer, or not as Redis or Valkey.
    """
    try:
        server = (await node.client.info("server")).server
        node.version = server.version
        node.ports.add(server.tcp_port or 0)
        return await node.client.replication()
    except InvalidReply:
        raise EnvironmentFailure(f"the {node.name} at {node.address} is not Redis or Valkey, by its INFO") from None
    except FAILURES as error:
        raise EnvironmentFailure(f"the {node.name} at {node.address} does not answer: {said_by(error)}") from None


async def _disconnected(*nodes: Node) -> None:
    for node in nodes:
        await node.client.close()
