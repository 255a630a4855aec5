"""`redis-tap run`: relay, understand, show."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from tap.bus import COUNTLESS, Told
from tap.cli.ending import endings
from tap.cli.hangup import Hangup
from tap.cli.ui import chosen, written
from tap.config import (
    MAX_CONNECTIONS,
    Announce,
    Config,
    LinkConfig,
    Sync,
    Ui,
    load,
    recording_path,
    statsd_address,
)
from tap.console.lines import LineWriter, json_lines, log_lines, trouble_lines
from tap.console.live import LiveView
from tap.console.sentences import sentence
from tap.console.stderr import say
from tap.console.terminal import Terminal
from tap.console.trouble import Trouble
from tap.errors import ConfigError, EnvironmentFailure
from tap.relay.transparent import rule
from tap.replication.events import Ack, Event, MasterUnreachable
from tap.tap import Tap
from tap.units import parse_duration
from tap.url import Address

REDIRECTED = "*:6400"  # where --transparent listens if nothing else is said: a rule needs a port to name


def run(
    master: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The real master; also unix:/PATH, or rediss://HOST:PORT for TLS."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where replicas connect; *:PORT: on every address; a free port on 127.0.0.1 if not given.",
        ),
    ] = None,
    transparent: Annotated[
        bool,
        typer.Option(
            "--transparent",
            help="Take connections that iptables or nftables redirects, each to where it was going; listens on *:6400 "
            "unless --listen says otherwise. Linux only.",
        ),
    ] = False,
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
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="What goes wrong on purpose: 'cut at=rdb:50%'; see redis-tap faults."),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Decides every random choice of the faults.")] = None,
    max_connections: Annotated[
        int | None,
        typer.Option(metavar="N", help="Refuse more connections at once, 10000 by default; known replicas still get in."),
    ] = None,
    max_connections_per_address: Annotated[
        int | None, typer.Option(metavar="N", help="Refuse more of one client address, or IPv6 /64, at once; no limit.")
    ] = None,
    announce: Annotated[
        Announce | None,
        typer.Option(help="At which address masters see a replica: keep: its own; tap: the tap's, the default."),
    ] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(metavar="capa:NAME", help="Masters do not hear of this capability. May be repeated."),
    ] = None,
    destructive: Annotated[bool, typer.Option("--destructive", help="Allow faults that end a server process.")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Take no fault, whoever asks for it.")] = False,
    opaque: Annotated[
        bool, typer.Option("--opaque", help="Understand nothing of what flows: pass it on, at the least cost.")
    ] = False,
    write: Annotated[
        str | None,
        typer.Option(
            "--write",
            "-w",
            metavar="FILE.pcapng[.zst]",
            help="Record what flows into a new file, compressed if it ends in .zst; or into files in a directory.",
        ),
    ] = None,
    rotate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIZE|TIME", help="Go on in a next file at 1gb, or after 10m; may be given twice, one of each."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="SIZE|TIME", help="Delete the oldest of these files: beyond 50gb in all, or 7d old."),
    ] = None,
    sync: Annotated[
        Sync | None,
        typer.Option(help="When a recording is forced to the disk: never, once a second (default), with every write."),
    ] = None,
    without_rdb: Annotated[
        bool, typer.Option("--without-rdb", help="Leave the payload of full resyncs out of the recording.")
    ] = False,
    redact: Annotated[
        list[str] | None,
        typer.Option(
            metavar="values|keys",
            help="Replace values, or keys, in the recording; may be repeated for both. Implies --without-rdb.",
        ),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="The master speaks TLS; its certificate is checked.")] = False,
    cacert: Annotated[
        Path | None,
        typer.Option(metavar="FILE.pem", help="The CA of the master's certificate; the system's if not given."),
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", help="Our certificate, for a master that requires one.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE.pem", help="Its key; in the same file if not given.")] = None,
    sni: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The master's name, to ask for and to check; the host dialled if not given."),
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not check the master's certificate.")] = False,
    listen_cert: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", help="Replicas speak TLS; our certificate for them.")
    ] = None,
    listen_key: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", help="Its key; in the same file if not given.")
    ] = None,
    listen_cacert: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", help="Require certificates of this CA from replicas.")
    ] = None,
    keylog: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", envvar="SSLKEYLOGFILE", help="Append the secrets of TLS connections, for Wireshark."
        ),
    ] = None,
    statsd: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Send figures to a StatsD, once a second over UDP; port 8125 if not given."
        ),
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(metavar="FILE.py", help="Call this file's on_full_resync(told), or any other event's on_EVENT."),
    ] = None,
) -> None:
    """Relay replicas to their master, and tell what happens.

    Then point a replica at the tap: REPLICAOF <tap host> <tap port>.
    One that follows this master already resyncs partially, within its backlog.

    SIGHUP lets a recording go on in a next file, and is ignored without one. Closing the terminal ends the tap.
    """
    file = load(config) if config is not None else None
    given: dict[str, Any] = {} if file is None else {one.name: getattr(file, one.name) for one in fields(file)}
    of_tls: dict[str, Any] = {"tls": tls, "cacert": cacert, "cert": cert, "key": key, "sni": sni, "insecure": insecure}
    of_tls |= {"listen_cert": listen_cert, "listen_key": listen_key, "listen_cacert": listen_cacert}
    given["links"] = (*given.get("links", ()), *_links(master, listen, transparent, link or [], of_tls))
    given["faults"] = (*given.get("faults", ()), *(fault or []))
    flags = {"every_command": commands, "every_key": rdb_keys, "destructive": destructive, "read_only": read_only}
    flags |= {"opaque": opaque, "record_without_rdb": without_rdb}
    given |= {name: True for name, flag in flags.items() if flag}
    values: dict[str, Any] = {"ui": ui, "seed": seed, "duration": None if duration is None else parse_duration(duration)}
    values |= {"max_connections": max_connections, "max_connections_per_address": max_connections_per_address}
    values |= {"announce": announce, "mask": tuple(mask) if mask else None}
    values |= {"record_to": None if write is None else recording_path(write), "record_sync": sync}
    values |= {"record_rotate": tuple(rotate) if rotate else None, "record_keep": tuple(keep) if keep else None}
    values |= {"record_redact": tuple(redact) if redact else None, "keylog": keylog}
    values |= {"statsd": None if statsd is None else statsd_address(statsd), "script": script}
    given |= {name: value for name, value in values.items() if value is not None}
    wanted = Config(**given)
    console = Terminal()
    wanted = replace(wanted, ui=chosen(wanted.ui, console))
    _take_sockets()
    gc.freeze()  # every link would wait tens of milliseconds when Python looks for garbage in all that it has imported
    # The tap is made before the loop runs: it waits for its script to be loaded, and a signal ends it meanwhile.
    asyncio.run(_run(Tap(wanted), console))


def _links(
    master: str | None, listen: str | None, transparent: bool, link: list[str], of_tls: dict[str, Any]
) -> list[LinkConfig]:
    """Those of the command line; its options of TLS are theirs."""
    links = []
    options = {name: value for name, value in of_tls.items() if value}  # URLs may give them, too
    if transparent:
        if master is not None:
            raise ConfigError("--transparent finds the master of each connection by itself: leave --master out")
        links.append(LinkConfig(name="transparent", transparent=True, listen=listen or REDIRECTED, **options))
    elif listen is not None and master is None:
        raise ConfigError("--listen says where replicas connect; --master HOST:PORT says to which master they go")
    if master is not None:
        links.append(LinkConfig(master=master, listen=listen or "127.0.0.1:0", **options))
    links += [LinkConfig.parse(text, **options) for text in link]
    if not links and options:
        given = ", ".join(f"--{name.replace('_', '-')}" for name in options)
        raise ConfigError(f"{given}: for links of the command line; those of a file have such keys of their own")
    return links


def _take_sockets() -> None:
    """As many sockets as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(tap: Tap, console: Terminal) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in endings():
        loop.add_signal_handler(number, stop.set)
    hangup = Hangup(stop.set, lambda: _reopen(tap))
    if signal.SIGHUP in endings():
        loop.add_signal_handler(signal.SIGHUP, hangup)
    loop.set_exception_handler(Trouble(say))
    ui = tap.config.ui
    with contextlib.ExitStack() as viewers:
        if ui != "live":
            views: dict[str, tuple[Callable[[TextIO], LineWriter], TextIO | None, tuple[type[Event], ...]]] = {
                "log": (log_lines, sys.stdout, (Ack,)),
                "json": (json_lines, sys.stdout, ()),
                "none": (trouble_lines, sys.stderr, COUNTLESS),
            }
            view, out, without = views[ui]
            if out is not None:
                lines = view(out)
                tap.bus.subscribe(lines, without=without, inbox=lines.inbox)
                viewers.enter_context(written(lines) if out is sys.stdout else contextlib.closing(lines))
            if ui != "log":  # which says it itself
                tap.bus.subscribe(_warn_of_master, without=COUNTLESS)
        await _relay(tap, ui, console, stop, viewers)
        if hangup.has_ended:
            raise typer.Exit(128 + signal.SIGHUP)


def _reopen(tap: Tap) -> None:
    if tap.recorder is not None:
        tap.recorder.rotate()
    elif tap.config.ui != "live":
        say("SIGHUP is ignored: there is no recording that could go on in a next file")


async def _relay(tap: Tap, ui: Ui, console: Terminal, stop: asyncio.Event, viewers: contextlib.ExitStack) -> None:
    _warn_of_tls(tap.config)
    async with tap:
        if ui == "live":
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # Ctrl-Z would stop the links, too
            view = LiveView(tap, console)
            tap.bus.subscribe(view, without=COUNTLESS)
            asyncio.get_running_loop().set_exception_handler(Trouble(view.complain))
            view.start()
            viewers.callback(lambda: print(view.summary()))
            viewers.callback(view.stop)
        else:
            for listener in tap.listeners:
                _announce(listener.config, listener.address)
        if tap.most_connections < tap.config.max_connections != MAX_CONNECTIONS:
            say(
                f"--max-connections {tap.config.max_connections}: ulimit -n allows {tap.most_connections}, "
                "for each takes two files"
            )
        if tap.config.record_redact:
            what = " and ".join(dict.fromkeys(tap.config.record_redact))
            say(f"{what} are replaced in {tap.config.record_to}; it holds NO payload of full resyncs, so no snapshot")
        if tap.config.faults:
            say(f"seed {tap.config.seed}: with --seed {tap.config.seed} the faults draw the same again")
        looking = asyncio.create_task(tap.look_for_masters(), name="look for masters")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), tap.config.duration)
        looking.cancel()
        await asyncio.wait({looking})
        await tap.close()  # before the viewers go: they tell the end, too
    for armed in tap.faults.never_fired:
        say(f"fault {armed.name} never fired: {armed.spec}")
    if tap.recorder is not None and tap.recorder.trouble:
        raise EnvironmentFailure(f"{tap.recorder.path}: {tap.recorder.trouble_so_far}")


def _announce(link: LinkConfig, address: Address) -> None:
    if link.transparent:
        say(
            f"link {link.name}: listening on {address} for what is redirected here; on this machine, as root: "
            f"{rule(address.port)}"
        )
        return
    say(
        f"link {link.name}: listening on {address}, master {link.master}; "
        f"on the replica: REPLICAOF {address.to_dial} {address.port}"
    )


def _warn_of_master(told: Told) -> None:
    if isinstance(told.event, MasterUnreachable):
        say(f"WARNING: link {told.link}: {sentence(told.event)}")


def _warn_of_tls(config: Config) -> None:
    for link in config.links:
        if link.insecure:
            say(
                f"WARNING: link {link.name}: INSECURE: the certificate of {link.master or 'any master'} is not checked; "
                "whoever is in between can read and change everything"
            )
    if config.keylog is not None and any(link.tls or link.listen_cert for link in config.links):
        say(f"WARNING: the secrets of all TLS connections go to {config.keylog}; whoever has it can read what flowed")
