"""`redis-tap run`: relay, understand, show."""

from __future__ import annotations

import asyncio
import contextlib
import io
import resource
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tap.config import Address, Config, LinkConfig, Ui, load
from tap.console.lines import json_lines, log_lines
from tap.console.live import LiveView
from tap.console.trouble import Trouble
from tap.errors import ConfigError
from tap.tap import Tap
from tap.units import parse_duration


def run(
    master: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The real master; also unix:/PATH.")] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where replicas connect. [default: a free port on 127.0.0.1]"),
    ] = None,
    link: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=LISTEN->MASTER", help="One of many links, in quotes. May be repeated."),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Links and options from a file.")] = None,
    ui: Annotated[
        Ui | None,
        typer.Option(
            help="live: a full screen. log: a line per event worth a journal. json: a line per event on stdout. "
            "auto: live on a terminal, log otherwise."
        ),
    ] = None,
    commands: Annotated[bool, typer.Option("--commands", help="Tell every command of the stream.")] = False,
    rdb_keys: Annotated[bool, typer.Option("--rdb-keys", help="Tell every key of an RDB.")] = False,
    duration: Annotated[str | None, typer.Option(metavar="TIME", help="End after this time: 30s, 10m, 2h.")] = None,
) -> None:
    """Relay replicas to their master, and tell what happens.

    Then point a replica at the tap: REPLICAOF <tap host> <tap port>. One that follows this master already resyncs
    partially, as far as the backlog reaches.
    """
    chosen = _configuration(master, listen, link or [], config, ui, commands, rdb_keys, duration)
    _prepare_process()
    asyncio.run(_run(chosen))


def _configuration(
    master: str | None,
    listen: str | None,
    link: list[str],
    config: Path | None,
    ui: Ui | None,
    commands: bool,
    rdb_keys: bool,
    duration: str | None,
) -> Config:
    """One Config from flags and file; a flag wins over the file."""
    file = load(config) if config is not None else None
    links = list(file.links) if file else []
    if listen is not None and master is None:
        raise ConfigError("--listen says where replicas connect; --master HOST:PORT says to which master they go")
    if master is not None:
        # the same notation and the same checks as in --link
        links.append(LinkConfig.parse(f"main={listen or '127.0.0.1:0'}->{master}"))
    links += [LinkConfig.parse(text) for text in link]
    return Config(
        links=tuple(links),
        ui=ui or (file.ui if file else "auto"),
        duration=parse_duration(duration) if duration is not None else (file.duration if file else None),
        every_command=commands or (file.every_command if file else False),
        every_key=rdb_keys or (file.every_key if file else False),
        **({"connect_timeout": file.connect_timeout, "drain_timeout": file.drain_timeout} if file else {}),
    )


def _prepare_process() -> None:
    """As many sockets as the system lets us have, and no character that ends the output."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


async def _run(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.set_exception_handler(Trouble(_say))
    ui = config.ui
    console = Console()
    drawable = console.is_terminal and not console.is_dumb_terminal
    if ui == "auto":
        ui = "live" if drawable else "log"
    if ui == "live" and not drawable:
        raise ConfigError("--ui live draws on a terminal, and stdout is none that can be drawn on; take --ui log")
    async with Tap(config) as tap, contextlib.AsyncExitStack() as viewers:
        if ui == "live":
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # Ctrl-Z would stop the links, too
            view = LiveView(tap, console)
            tap.bus.subscribe(view)
            loop.set_exception_handler(Trouble(view.complain))
            view.start()
            viewers.callback(lambda: print(view.summary()))
            viewers.callback(view.stop)
        else:
            for listener in tap.listeners:
                _announce(listener.config, listener.address)
            if ui != "none" and sys.stdout is not None:
                lines = json_lines(sys.stdout) if ui == "json" else log_lines(sys.stdout)
                tap.bus.subscribe(lines)
                viewers.callback(lines.close)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), config.duration)
        await tap.close()  # before the viewers go: they tell the end, too


def _announce(link: LinkConfig, address: Address) -> None:
    _say(
        f"link {link.name}: listening on {address}, master {link.master}; "
        f"on the replica: REPLICAOF {address.to_dial} {address.port}"
    )


def _say(said: str) -> None:
    if sys.stderr is not None:
        print(f"redis-tap: {said}", file=sys.stderr)
