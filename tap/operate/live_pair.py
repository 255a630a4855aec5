"""A replica and its master as they run: who follows whom, over which addresses, and whether a tap may step in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tap.errors import ConfigError, EnvironmentFailure, TapError
from tap.operate.resync_forecast import Forecast, forecast
from tap.operate.server_info import server_info
from tap.servers.answers import client_lines, number
from tap.servers.client import Client
from tap.servers.failures import ANSWER_SECONDS, FAILURES, AuthenticationError, ErrorReply, said_by
from tap.servers.info import Info
from tap.servers.server_settings import read_settings
from tap.url import Address, Url, is_loopback

WATCHED_SECONDS = 1.0  # over which the master's write rate is measured
GUIDE = 'see "In a chain, with Sentinel, in a Cluster" in docs/network.md'


@dataclass(frozen=True, slots=True)
class LivePair:
    """What was found, true at the moment when each server was asked.

    replica: its URL. followed: the master as the replica names it. master: the same one, as this machine dials it.
    here: this machine's address towards the replica. seen_as: that address as the replica sees it, None if unknown.
    tls_replication: whether the replica speaks TLS to its master; None if it does not say. forecast: of the resync.
    config_file: the replica's, "" without one. sub_replicas: their number. is_syncing: a full resync is in progress.
    needs_replicas: the master refuses writes while it has too few replicas (min-replicas-to-write). unseen: what could
    not be looked at, a sentence each.
    """

    replica: Url
    followed: Address
    master: Url
    here: str
    seen_as: str | None
    tls_replication: bool | None
    forecast: Forecast
    config_file: str
    sub_replicas: int
    is_syncing: bool
    needs_replicas: bool = False
    unseen: tuple[str, ...] = ()


async def examine(replica: Url, ask_master: Url | None, tls_options: Mapping[str, Any], *, tls: bool = False) -> LivePair:
    """Ask both servers; nothing is changed.

    ask_master: how this machine reaches the master, and with which login; if None, where the replica says, with
    masteruser and masterauth or the login of the replica's URL. tls: use TLS towards the master, with tls_options.

    Raises ConfigError if *replica* is a master, EnvironmentFailure if one of the two cannot be reached, and TapError for
    a pair in which a tap cannot step.
    """
    unseen: list[str] = []
    async with Client(replica) as client:
        here, seen_as = await _here(client)
        info = await _needed(client, "the replica")
        if info.fields.get("cluster_enabled") == "1":
            raise TapError(
                f"{client.name} is a node of a Cluster, which decides itself who follows whom: it refuses REPLICAOF. "
                f"Put a tap in front of a node with cluster-announce-port instead ({GUIDE})"
            )
        followed = info.replication.master
        if followed is None:
            raise ConfigError(f"{client.name} is a master: give the URL of a replica")
        await _refuse_sentinel(client, "the replica", unseen)
        settings = await _settings(client, unseen)
    is_tls = settings.get("tls-replication")
    secured = tls or is_tls == "yes"
    if ask_master is None:
        where = _dialled(followed, replica.address)
        logins = [(settings.get("masteruser", ""), settings.get("masterauth", "")), (replica.username, replica.password)]
    else:
        where, secured = ask_master.address, secured or ask_master.tls
        tls_options = {**tls_options, **ask_master.tls_options}
        logins = [(ask_master.username, ask_master.password)]
    master = Url(where, secured, tls_options=tls_options if secured else {})
    expected, of_master = await _forecast(
        info, master, [*dict.fromkeys(logins), ("", "")] if ask_master is None else logins, unseen
    )
    return LivePair(
        replica=replica,
        followed=followed,
        master=master,
        here=here,
        seen_as=seen_as,
        tls_replication={"yes": True, "no": False}.get(is_tls or ""),
        forecast=expected,
        config_file=info.fields.get("config_file", ""),
        sub_replicas=info.replication.connected_slaves,
        needs_replicas="min_slaves_good_slaves" in of_master,
        is_syncing=info.fields.get("master_sync_in_progress") == "1",
        unseen=tuple(unseen),
    )


async def _here(client: Client) -> tuple[str, str | None]:
    """This machine's address towards the server, and as the server sees it. Raises EnvironmentFailure."""
    if client.url.address.path:
        return "127.0.0.1", None
    try:
        async with asyncio.timeout(ANSWER_SECONDS), client.streams() as (_, writer):
            here = str(writer.get_extra_info("sockname")[0]).removeprefix("::ffff:")
        said = await client.ask("CLIENT", "INFO")
    except ErrorReply:
        return here, None
    except FAILURES as error:
        raise EnvironmentFailure(f"{client.name}, the replica: {said_by(error)}") from None
    seen = next((one.get("addr", "") for one in client_lines(said)), "")
    return here, seen.rpartition(":")[0].strip("[]").removeprefix("::ffff:") or None


async def _needed(client: Client, what: str) -> Info:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await server_info(client)
    except FAILURES as error:
        raise EnvironmentFailure(f"{client.name}, {what}: {said_by(error)}") from None


async def _refuse_sentinel(client: Client, what: str, unseen: list[str]) -> None:
    """Raise TapError if a Sentinel is connected: its connections are named sentinel-ID-cmd and sentinel-ID-pubsub."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await client.ask("CLIENT", "LIST")
    except FAILURES as error:
        unseen.append(f"CLIENT LIST of {client.name}, {what}, and so whether Sentinel watches it: {said_by(error)}")
        return
    if any(one.get("name", "").startswith("sentinel-") for one in client_lines(found)):
        raise TapError(
            f"Sentinel watches {client.name}, {what}: it sends a replica that follows another address than its master's "
            f"back to that, within seconds. Let Sentinel monitor a tap in front of the master instead ({GUIDE}), or "
            "redirect the connection by iptables (redis-tap run --transparent)"
        )


async def _settings(client: Client, unseen: list[str]) -> dict[str, str]:
    """What the replica uses towards its master, as far as its CONFIG can be read."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found, refused = await read_settings(client, ("tls-replication", "masteruser", "masterauth"))
    except FAILURES as error:
        unseen.append(f"CONFIG GET of {client.name}, the replica: {said_by(error)}")
        return {}
    unseen += [f"CONFIG GET {name} of {client.name}, the replica: {said}" for name, said in refused.items()]
    return found


def _dialled(followed: Address, replica: Address) -> Address:
    """The master's address for this machine: the replica's loopback is that of the replica's machine."""
    if is_loopback(followed.host) and not replica.path and not is_loopback(replica.host):
        return Address(replica.host, followed.port)
    return followed


async def _forecast(
    replica: Info, master: Url, logins: list[tuple[str, str]], unseen: list[str]
) -> tuple[Forecast, Mapping[str, str]]:
    """Try the logins until INFO answers; returns its fields, too.

    Raises EnvironmentFailure if the master cannot be reached.
    """
    refusal = ""
    for username, password in logins:
        async with Client(replace(master, username=username, password=password)) as client:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    before = await server_info(client)
            except (ErrorReply, AuthenticationError) as error:
                refusal = refusal or said_by(error)
                continue
            except FAILURES as error:
                raise EnvironmentFailure(
                    f"{client.name}, the master of this replica, cannot be reached from here: {said_by(error)}; "
                    "--master HOST:PORT gives another address for it"
                ) from None
            await _refuse_sentinel(client, "the master", unseen)
            return await _measured(client, replica, before), before.fields
    unknown = (
        f"{master.address}, the master, does not say whether: {refusal}; --master redis://USER:PASSWORD@{master.address} "
        "gives a login that may run INFO"
    )
    return Forecast(False, unknown), {}


async def _measured(client: Client, replica: Info, before: Info) -> Forecast:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.sleep(WATCHED_SECONDS)
    after = await _needed(client, "the master")
    seconds = loop.time() - begun
    written = after.replication.master_repl_offset - before.replication.master_repl_offset
    size = number(after.fields.get("repl_backlog_size")) or 0
    # The replica has moved on meanwhile, as the master has: its offset is compared with that of the same moment.
    return forecast(replica.replication, before.replication, size, max(0.0, written / seconds))
