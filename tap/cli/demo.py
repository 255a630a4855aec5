"""`redis-tap demo`: replication, its loss and its repair, on servers of our own, told as it happens."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from tap.config import Address, Config, LinkConfig
from tap.console.demo import tell
from tap.errors import EnvironmentFailure
from tap.servers.embedded import Server, find_server
from tap.tap import Tap

BACKLOG = 64 * 1024  # bytes; small, so that it can be overrun in a second


def demo() -> None:
    """Show it on a master and a replica of our own: a full resync, a cut, a partial resync, a lost backlog."""
    program = find_server()
    options = ("repl-backlog-size", str(BACKLOG), "repl-diskless-sync-delay", "0")
    with Server(program, *options, name="master") as master:
        equal = asyncio.run(_run(master, program, options))
    if not equal:
        raise typer.Exit(1)


async def _run(master: Server, program: Path, options: tuple[str, ...]) -> bool:
    try:
        from redis.asyncio import Redis
    except ImportError:
        raise EnvironmentFailure("the demo talks to its servers with redis-py: pip install 'redis-tap[demo]'") from None
    async with (
        Tap(Config(links=(LinkConfig(master=Address("127.0.0.1", master.port)),))) as tap,
        Redis(port=master.port) as to_master,
    ):
        replica = Server(program, *options, "replicaof", f"127.0.0.1 {tap.port}", name="replica")
        try:
            return await tell(tap, master, replica, to_master, BACKLOG)
        finally:
            await asyncio.to_thread(replica.close)
