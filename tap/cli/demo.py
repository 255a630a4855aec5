"""`redis-tap demo`: replication, its loss and its repair, on servers of our own, explained as it happens."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import typer

from tap.cli.ending import until_ended
from tap.config import Config, LinkConfig
from tap.console.demo_story import WITHIN, tell
from tap.errors import EnvironmentFailure
from tap.servers.embedded import Server, find_server
from tap.tap import Tap
from tap.url import Url

BACKLOG = 64 * 1024  # bytes; small, so that it can be overrun in a second


def demo() -> None:
    """Show replication on a master and a replica of our own: full resync, cut, partial resync, lost backlog."""
    if not asyncio.run(_run(find_server())):
        raise typer.Exit(1)


async def _run(program: Path) -> bool:
    """Tell the story until it ends or a signal comes. Its servers are stopped in any case."""
    servers = contextlib.ExitStack()
    try:
        return await until_ended(_story(servers, program), "demo")
    finally:
        # Wait for a server that is just being started: only then can it be stopped.
        await asyncio.get_running_loop().shutdown_default_executor()
        servers.close()


async def _story(servers: contextlib.ExitStack, program: Path) -> bool:
    # Not at the top: these load redis-py, which takes 0.1 s and which most verbs do not need.
    from tap.servers.client import Client
    from tap.servers.failures import ServerFailure

    options = ("repl-backlog-size", str(BACKLOG), "repl-diskless-sync-delay", "0")
    master = Server(program, *options, name="master")
    servers.callback(master.close)
    await asyncio.to_thread(master.start)
    try:
        async with (
            Tap(Config(links=(LinkConfig(master=master.address),))) as tap,
            Client(Url(master.address)) as to_master,
        ):
            replica = Server(program, *options, "replicaof", f"127.0.0.1 {tap.port}", name="replica")
            servers.callback(replica.close)
            return await tell(tap, master, replica, to_master, BACKLOG)
    except TimeoutError:
        raise EnvironmentFailure(
            f"a step of the demo took more than {WITHIN:g} s; is this machine busy, or was one of the servers stopped?"
        ) from None
    except ServerFailure as error:
        raise EnvironmentFailure(f"the demo lost one of its own servers: {error}") from None
