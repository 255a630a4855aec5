"""`redis-tap watch`: report what happens between a replica and its master from packets, without standing in between."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tap.cli.ending import endings
from tap.cli.hangup import Hangup
from tap.cli.options import given, takes
from tap.cli.ui import chosen, lines_shown, live_shown
from tap.config import LinkConfig
from tap.config.config import Config
from tap.config.option import declared
from tap.console.key_ranking import KeyRanking
from tap.console.lines import LineWriter
from tap.console.live import LiveView
from tap.console.sentences import sentence
from tap.console.stderr import say
from tap.console.terminal import Terminal
from tap.console.trouble import LoopTrouble
from tap.errors import ConfigError, EnvironmentFailure, RecordingError
from tap.key_groups import patterns
from tap.operate.watching.capture_file import CaptureFile
from tap.operate.watching.onlooker import Onlooker, watched_link
from tap.operate.watching.tcpdump import Tcpdump
from tap.replication.events import Watching
from tap.url import DEFAULT_PORT

LOOK_SECONDS = 0.2  # between two looks at the output
_NO_HAND = "watch changes nothing between a replica and its master"
_NO_KEYS = "watch decrypts nothing, and only sees that a connection is TLS"
_NO_SOCKET = "watch opens no connection and listens nowhere"
# Options of run that need a tap in between, by field, and why.
_OF_TAP = {
    **dict.fromkeys(("faults", "seed", "mask", "announce", "destructive", "read_only"), _NO_HAND),
    **dict.fromkeys(("links", "max_connections", "max_connections_per_address"), _NO_SOCKET),
    **dict.fromkeys(
        ("api", "api_cert", "api_key", "api_cacert"), "watch has no API; --ui json gives its events to programs"
    ),
    "keylog": _NO_KEYS,
    "opaque": "watch has nothing to do but to parse",
}
REFUSED = {
    **{
        one.name: _NO_KEYS if one.option.topic == "tls" else _NO_SOCKET
        for one in declared(LinkConfig)
        if one.option.on_command_line
    },
    **_OF_TAP,
}


@takes(LinkConfig, Config, refused=REFUSED)
def watch(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="In place of -i: a pcap or pcapng file or pipe, read as it grows; - for stdin."
        ),
    ] = None,
    *,
    interface: Annotated[
        str | None, typer.Option("--interface", "-i", metavar="NAME", help="Capture here, with tcpdump; any: everywhere.")
    ] = None,
    port: Annotated[
        list[int] | None,
        typer.Option("--port", metavar="PORT", min=1, max=65535, help="Of a master; 6379 if not given. May be repeated."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host", metavar="HOST", help="Only packets of this host: a replica, beside busy clients. May be repeated."
        ),
    ] = None,
    **options: Any,
) -> None:
    """Report what run does, from packets alone: nothing stands in between, and no byte passes through.

    Packets come from tcpdump, which needs the privilege to capture, or from a capture that another program writes:
    ssh HOST tcpdump -i eth0 -U -w - "'tcp port 6379'" | redis-tap watch -

    If packets were lost, the exit code is 2, and what the figures lack is reported.
    """
    _refuse(options)
    if (file is None) == (interface is None):
        raise ConfigError("give either -i INTERFACE, or a FILE or - (stdin) with a capture that another program writes")
    if interface is None and (port or host):
        raise ConfigError(f"{'--port' if port else '--host'} is for -i: a capture has what its writer chose")
    source = CaptureFile(file) if file is not None else Tcpdump(interface or "", port or [DEFAULT_PORT], host or [])
    console = Terminal()
    config = Config(links=watched_link(), **given(Config, options))
    asyncio.run(_run(source, replace(config, ui=chosen(config.ui, console)), console))


def _refuse(options: dict[str, Any]) -> None:
    for cls in (LinkConfig, Config):
        typed = given(cls, options)
        for one in declared(cls):
            if one.name in typed and one.name in REFUSED:
                raise ConfigError(f"{one.flags[0]}: {REFUSED[one.name]}; redis-tap run and attach stand in between")


async def _run(source: Tcpdump | CaptureFile, config: Config, console: Terminal) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in endings():
        loop.add_signal_handler(number, stop.set)
    loop.set_exception_handler(LoopTrouble(say))
    hangup: Hangup | None = None
    watching = sentence(Watching(source=source.name, ports=source.ports)) or ""
    notices: list[Callable[[str], None]] = [say]
    onlooker = Onlooker(source, config, notice=lambda text: notices[-1](text))
    # Before the first stream begins: only later ones are looked at.
    keys = KeyRanking(onlooker.bus.samples, patterns(config.groups)) if config.ui == "live" else None
    with contextlib.ExitStack() as viewers:
        lines = None if config.ui == "live" else viewers.enter_context(lines_shown(onlooker.bus, config.ui))
        async with onlooker:
            recorder = onlooker.recorder
            if recorder is not None and signal.SIGHUP in endings():
                hangup = Hangup(stop.set, recorder.rotate)
                loop.add_signal_handler(signal.SIGHUP, hangup)
            if config.ui == "live":
                view = LiveView(onlooker, console, stop.set, watched=watching, keys=keys)
                viewers.enter_context(live_shown(view, onlooker.bus))
                notices.append(view.complain)
            else:
                say(f"{watching}; nothing passes through")
            await _until(onlooker, stop, config.duration, lines)
            await onlooker.close()  # before the viewers go: they report the end, too
    if hangup is not None and hangup.has_ended:
        raise typer.Exit(128 + signal.SIGHUP)
    for told in onlooker.loops.verdicts:
        say(f"link {told.link}, replica {told.replica}: {sentence(told.event)}")
    say(*onlooker.remarks)
    if recorder is not None and (complaints := recorder.complaints):
        say(*onlooker.lacks)
        raise EnvironmentFailure(*complaints)
    if onlooker.lacks:
        raise RecordingError(*onlooker.lacks)


async def _until(onlooker: Onlooker, stop: asyncio.Event, duration: float | None, lines: LineWriter | None) -> None:
    """Wait for a signal, the end of the packets, the end of the duration, or an output that takes no more."""
    ended = asyncio.create_task(onlooker.ended(), name="end of packets")
    stopped = asyncio.create_task(stop.wait(), name="signal")
    try:
        async with contextlib.AsyncExitStack() as limited:
            if duration is not None:
                limited.enter_context(contextlib.suppress(TimeoutError))
                await limited.enter_async_context(asyncio.timeout(duration))
            while not (ended.done() or stopped.done() or (lines is not None and lines.failure is not None)):
                await asyncio.wait({ended, stopped}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            await ended
    finally:
        for task in (ended, stopped):
            task.cancel()
        await asyncio.wait({ended, stopped})
