"""INFO of a server that takes part in replication, read so that nothing in it can fail later."""

from __future__ import annotations

from tap.servers.client import Client
from tap.servers.failures import InvalidReply
from tap.servers.info import Info


async def server_info(client: Client) -> Info:
    """INFO, of which the sections "server" and "replication" can be read, and "stats" if the server reports resyncs.

    Raises FAILURES, InvalidReply for a Sentinel and for an INFO without one of these sections.
    """
    info = await client.info("default")
    if "sentinel" in (info.fields.get("redis_mode"), info.fields.get("server_mode")):  # the second one: Valkey
        raise InvalidReply("this is a Sentinel, not a server that it watches")
    # Sections are parsed when they are first read: read them here, where a failure is expected.
    _ = info.server, info.replication
    if "sync_full" in info.fields:
        _ = info.stats
    return info
