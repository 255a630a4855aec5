"""A master and a replica to experiment on: servers of our own, or a pair that somebody gave us.

Servers of our own are started for one scenario and thrown away behind it. A given pair gets back what it had: its
options, the master its replica followed; it is never flushed, and its DEBUG is never asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from tap.errors import ConfigError, EnvironmentFailure
from tap.replication.passwords import is_secret_setting
from tap.scenario.farewell import to_the_end
from tap.scenario.load import Scenario
from tap.servers.embedded import Server, own_loopback
from tap.servers.target import NO_REPLY, connection_to, said_by
from tap.url import Address, Url

LOG_LENGTH = 65536
FAREWELL_SECONDS = 0.3  # for each thing that a given pair gets back, so that Ctrl-C ends within a second

OWN_OPTIONS = {"repl-ping-replica-period": "1"}  # little to wait for

# Of INFO, the fields that are counted with.
_NUMBERS = {
    "tcp_port",
    "master_port",
    "master_repl_offset",
    "second_repl_offset",
    "slave_repl_offset",
    "slave_read_repl_offset",
    "repl_backlog_first_byte_offset",
    "sync_full",
    "sync_partial_ok",
}


class Info(dict[str, Any]):
    """What INFO says. A server that says it otherwise is answered with redis-py's InvalidResponse."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        super().__init__(said)
        numbers = {key: self[key] for key in _NUMBERS & self.keys()}
        for key, value in self.items():
            if isinstance(value, dict) and re.fullmatch(r"slave\d+", key):
                numbers[key] = value.get("offset")
            if isinstance(value, dict) and key.startswith("cmdstat_"):
                numbers[key] = value.get("calls")
        for key, value in numbers.items():
            if not isinstance(value, int):
                raise InvalidResponse(f"in its INFO {key} lacks its number")

    def __missing__(self, key: str) -> Any:
        raise InvalidResponse(f"its INFO lacks {key}")


class _Client(Redis):
    """One whose errors are RedisError or OSError, whatever the server says."""

    async def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        try:
            return await super().parse_response(connection, command_name, **options)
        except (RedisError, OSError, TimeoutError):
            raise
        except Exception:  # of redis-py, which takes the reply for what the command promises
            raise InvalidResponse(NO_REPLY) from None


class Node:
    """One of the two servers.

    name: what it was at the start, "master" or "replica"; a promotion does not change it. version: as "Redis 7.0.15".
    """

    def __init__(self, name: str, url: Url) -> None:
        """Raises ConfigError for a URL with options that a client does not have."""
        self.name = name
        self.url = url
        self.address = url.address
        self.db = url.db or 0
        self.ports = {url.address.port}  # at which a master may know it
        self.version = ""
        self.server: Server | None = None
        self._kind, self._options = connection_to(url)
        self._clients: dict[int, Redis] = {}
        self._before: dict[str, str] = {}  # options that were changed, as they were

    def client(self, db: int | None = None) -> Redis:
        """Raises redis-py's errors at once, without another try: what fails is often the experiment."""
        number = self.db if db is None else db
        if number not in self._clients:
            pool = ConnectionPool(connection_class=self._kind, db=number, **self._options)
            self._clients[number] = _Client.from_pool(pool)
        return self._clients[number]

    async def info(self, section: str) -> Info:
        """Raises redis-py's errors and OSError."""
        return Info(await self.client().info(section))

    async def maybe_info(self, section: str) -> Info:
        """Nothing while the server cannot be asked."""
        try:
            return await self.info(section)
        except (RedisError, OSError):
            return Info({})

    async def follow(self, address: Address | None) -> None:
        """REPLICAOF, or NO ONE."""
        host, port = (address.host, str(address.port)) if address else ("NO", "ONE")
        await self.client().execute_command("REPLICAOF", host, port)

    async def options(self, option: str) -> dict[str, str]:
        """CONFIG GET. Raises redis-py's errors and OSError."""
        found = await self.client().config_get(option)
        return {_text(name): _text(value) for name, value in found.items()}

    async def set_option(self, option: str, value: str) -> None:
        """CONFIG SET. Raises redis-py's errors and OSError."""
        found = await self.options(option)
        await self.client().config_set(option, value)
        for name, before in found.items():
            self._before.setdefault(name, before)

    async def restore_options(self) -> None:
        """What set_option() changed is as it was."""
        before, self._before = self._before, {}
        for option, value in before.items():
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self.client().config_set(option, value)

    @property
    def exit_code(self) -> int | None:
        """Of a process of ours that ended by itself."""
        return None if self.server is None else self.server.exit_code

    async def restart(self) -> None:
        """Shut down with its data saved, and start again, following whom it followed."""
        assert self.server is not None
        await self._remember_master()
        with contextlib.suppress(RedisError, OSError):
            await self.client().execute_command("SHUTDOWN", "SAVE")
        await asyncio.to_thread(self.server.stop)
        await self.start()

    async def _remember_master(self) -> None:
        """As CONFIG REWRITE would, for the next process: only one that starts as a replica takes its history up."""
        assert self.server is not None
        info = await self.info("replication")
        pairs = zip(self.server.options[::2], self.server.options[1::2], strict=True)
        options = {name: value for name, value in pairs if name != "replicaof"}
        if info["role"] == "slave":
            options["replicaof"] = f"{info['master_host']} {info['master_port']}"
        self.server.options = tuple(word for option in options.items() for word in option)

    async def start(self) -> None:
        assert self.server is not None
        await self.disconnect()
        await started(self.server)

    async def kill(self) -> None:
        assert self.server is not None
        await self._remember_master()
        self.server.kill()
        await self.disconnect()

    async def disconnect(self) -> None:
        for client in self._clients.values():
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()
        self._clients.clear()


class Pair:
    """master and replica: as they stand now; they change places when the master is demoted.

    damaged: what the replica has may not be what its master sent, whatever its offset says.
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
        """Servers of our own end at once."""
        for node in self.nodes:
            if node.server is not None:
                node.server.kill()

    def logs(self) -> dict[str, str]:
        """The last of what servers of our own logged, by their names at the start."""
        return {node.name: node.server.log[-LOG_LENGTH:] for node in self.nodes if node.server is not None}

    def node(self, role: str) -> Node:
        """The one that is "master" or "replica" now."""
        return self.master if role == "master" else self.replica


# ---- servers of our own ----


@contextlib.asynccontextmanager
async def own_pair(program: Path, scenario: Scenario) -> AsyncIterator[Pair]:
    """Two servers of that program with the scenario's options; gone, with all they had, behind it.

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
    """Start it in a thread. Cancelled, it is let come up first, so that it is there to be stopped."""
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
    """That pair; in the end the replica follows whom it followed before.

    Raises EnvironmentFailure if one cannot be reached, ConfigError if the replica would lose data of its own.
    """
    try:
        of_master = await introduced(master)
        of_replica = await introduced(replica)
        if of_master["role"] != "master":
            raise ConfigError("--master: this server is a replica; give the URL of its master")
        followed = None
        if of_replica["role"] == "slave":
            followed = Address(str(of_replica["master_host"]), int(of_replica["master_port"]))
        same = of_replica.get("master_replid") == of_master.get("master_replid")
        if not (followed and same) and (await replica.info("keyspace")):
            raise ConfigError(
                "--replica: this server does not follow that master and holds data, which a full resync would replace; "
                "empty it, or let it follow the master first"
            )
    except BaseException:
        await _disconnected(master, replica)
        raise
    pair = Pair(master, replica, given=True)
    try:
        yield pair
    finally:
        await to_the_end(_restored(pair, followed))


async def _restored(pair: Pair, followed: Address | None) -> None:
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            if pair.damaged:
                await pair.replica.follow(None)  # forgets the history, so that the way back is a full resync
    await asyncio.gather(*(node.restore_options() for node in pair.nodes))  # with tls-replication, for the way back
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await pair.replica.follow(followed)
    await _disconnected(*pair.nodes)


async def set_options(node: Node, options: dict[str, str]) -> None:
    """Of a given server. Raises ConfigError for what cannot be set while it runs."""
    for option, value in options.items():
        try:
            await node.set_option(option, value)
        except ResponseError as error:
            shown = "***" if is_secret_setting(option.encode()) else value
            raise ConfigError(
                f"{option} {shown} cannot be set on the running {node.name}: {error}; leave --master and --replica "
                "out to run it on servers of our own"
            ) from None


async def agree_on_tls(replica: Node, listen: Url) -> None:
    """See that a given replica speaks to the tap as the tap listens. It may have to do without TLS for the time.

    Raises ConfigError where that would leave the machine.
    """
    speaks_tls = "yes" in (await replica.options("tls-replication")).values()
    if listen.tls and not speaks_tls:
        raise ConfigError(
            "--listen rediss://: the replica does not speak TLS to its master (tls-replication no); write HOST:PORT"
        )
    if speaks_tls and not listen.tls:
        if not _is_loopback(listen.address.host):
            raise ConfigError(
                "the replica speaks TLS to its master (tls-replication yes), and so must the tap: "
                "--listen 'rediss://HOST:PORT?cert=FILE.pem', with a certificate of a CA that the replica trusts"
            )
        await replica.set_option("tls-replication", "no")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def introduced(node: Node) -> Info:
    """Learn its version and port. Returns INFO replication. Raises EnvironmentFailure where it does not answer."""
    try:
        server = await node.info("server")
        node.version = version_of(server)
        node.ports.add(int(server.get("tcp_port", 0)))
        info = await node.info("replication")
        needed = {"role", "master_host", "master_port"} if info.get("role") == "slave" else {"role"}
        if lacking := needed - info.keys():
            raise InvalidResponse(f"its INFO lacks {', '.join(lacking)}")
        return info
    except InvalidResponse:
        raise EnvironmentFailure(f"the {node.name} at {node.address} is no Redis or Valkey, by its INFO") from None
    except (RedisError, OSError) as error:
        raise EnvironmentFailure(f"the {node.name} at {node.address} does not answer: {said_by(error)}") from None


def version_of(server: Mapping[str, Any]) -> str:
    """From INFO server, as a program says it: "Valkey 8.1.1"."""
    if "valkey_version" in server:
        return f"Valkey {server['valkey_version']}"
    return f"Redis {server['redis_version']}"


async def _disconnected(*nodes: Node) -> None:
    for node in nodes:
        await node.disconnect()


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def replica_offset(info: Mapping[str, Any], ports: Collection[int]) -> int | None:
    """From the master's INFO: what the replica that listens on one of these ports has acknowledged.

    Behind a stalled link the master may still keep its last connection besides the one that counts.
    """
    replicas = [value for key, value in info.items() if re.fullmatch(r"slave\d+", key) and isinstance(value, dict)]
    mine: Iterable[Mapping[str, Any]] = (
        replicas if len(replicas) == 1 else (one for one in replicas if one.get("port") in ports)
    )
    return max((int(one["offset"]) for one in mine), default=None)
