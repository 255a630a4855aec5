"""`redis-tap run`: relay, understand, show."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
from collections.abc import Callable, Coroutine
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tap.bus import COUNTLESS, Told
from tap.cli.ending import endings
from tap.cli.hangup import Hangup
from tap.cli.options import given, takes
from tap.cli.ui import chosen, lines_shown, live_shown
from tap.config import LinkConfig
from tap.config.config import MAX_CONNECTIONS, Config, Ui
from tap.config.option import declared
from tap.console.key_ranking import KeyRanking
from tap.console.live import LiveView
from tap.console.sentences import sentence
from tap.console.stderr import say
from tap.console.terminal import Terminal
from tap.console.trouble import LoopTrouble
from tap.errors import ConfigError, EnvironmentFailure
from tap.key_groups import patterns
from tap.relay.transparent import rule
from tap.replication.events import MasterUnreachable
from tap.tap import Tap
from tap.url import Address

if TYPE_CHECKING:
    from tap.control.api import Api

Beside = Callable[[Tap, asyncio.Event], Coroutine[Any, Any, None]]
REDIRECTED = "*:6400"  # where --transparent listens if nothing else is said: a rule needs a port to name


@takes(LinkConfig, Config)
def run(
    *,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Links and options from a file.")] = None,
    **options: Any,
) -> None:
    """Relay replicas to their master, and report what happens.

    Then point a replica at the tap: REPLICAOF <tap host> <tap port>.
    One that follows this master already resyncs partially, within its backlog.

    SIGHUP makes a recording begin its next file, and is ignored without one. Closing the terminal ends the tap.
    """
    base = _of_file(config)
    of_tap = given(Config, options)
    of_tap["links"] = (*base.get("links", ()), *_links(given(LinkConfig, options), of_tap.get("links", [])))
    for name in ("faults", "alerts"):
        of_tap[name] = (*base.get(name, ()), *of_tap.get(name, []))
    wanted = Config(**base | of_tap)
    wanted.check_has_link()
    console = Terminal()
    relay(replace(wanted, ui=chosen(wanted.ui, console)), console)


def relay(config: Config, console: Terminal, beside: Beside | None = None) -> None:
    """Run a tap until a signal, or its duration, ends it. config: with a ui that is not auto.

    beside: awaited while the tap runs, with the tap and the event that a signal sets; its end ends the tap.
    """
    _take_sockets()
    # The tap is made before the loop runs: it waits for its script to be loaded, and a signal ends it meanwhile.
    tap = Tap(config)
    gc.freeze()  # every link would wait tens of milliseconds when Python looks for garbage in all that it has imported
    asyncio.run(_run(tap, console, beside))


def _of_file(path: Path | None) -> dict[str, Any]:
    """The options of a configuration file, by field; none without a file."""
    if path is None:
        return {}
    from tap.config.file import load  # 10 ms, for those who have one

    file = load(path)
    return {one.name: getattr(file, one.name) for one in fields(file)}


def _links(options: dict[str, Any], texts: list[str]) -> list[LinkConfig]:
    """The links of the command line; all options but the routes apply to each of them.

    options: of LinkConfig. texts: of --link.
    """
    links = []
    master, listen = options.pop("master", None), options.pop("listen", None)
    if options.pop("transparent", False):
        if master is not None:
            raise ConfigError("--transparent finds the master of each connection by itself: leave --master out")
        links.append(LinkConfig(name="transparent", transparent=True, listen=listen or REDIRECTED, **options))
    elif listen is not None and master is None:
        raise ConfigError("--listen says where replicas connect; --master HOST:PORT says to which master they go")
    if master is not None:
        links.append(LinkConfig(master=master, listen=listen or "127.0.0.1:0", **options))
    links += [LinkConfig.parse(text, **options) for text in texts]
    if "inspect" in options and len(links) > 1:
        raise ConfigError("--inspect asks the master of one link; in a file, each link has an inspect of its own")
    if not links and options:
        names = ", ".join(one.flags[0] for one in declared(LinkConfig) if one.name in options)
        raise ConfigError(f"{names}: for links of the command line; links of a file have such keys of their own")
    return links


def _take_sockets() -> None:
    """Raise the limit of open files as far as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(tap: Tap, console: Terminal, beside: Beside | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in endings():
        loop.add_signal_handler(number, stop.set)
    hangup = Hangup(stop.set, lambda: _reopen(tap))
    if signal.SIGHUP in endings():
        loop.add_signal_handler(signal.SIGHUP, hangup)
    loop.set_exception_handler(LoopTrouble(say))
    ui = tap.config.ui
    with contextlib.ExitStack() as viewers:
        if ui != "live":
            viewers.enter_context(lines_shown(tap.bus, ui))
            if ui != "log":  # which says it itself
                tap.bus.subscribe(_warn_of_master, without=COUNTLESS)
        await _relay(tap, ui, console, stop, viewers, beside)
        if hangup.has_ended:
            raise typer.Exit(128 + signal.SIGHUP)


def _reopen(tap: Tap) -> None:
    if tap.recorder is not None:
        tap.recorder.rotate()
    elif tap.config.ui != "live":
        say("SIGHUP is ignored: it starts a recording's next file, but nothing is being recorded")


async def _relay(
    tap: Tap, ui: Ui, console: Terminal, stop: asyncio.Event, viewers: contextlib.ExitStack, beside: Beside | None
) -> None:
    _warn_of_tls(tap.config)
    keys = None
    if ui == "live" and not tap.config.opaque:  # before the first stream begins: only later ones are looked at
        keys = KeyRanking(tap.bus.samples, patterns(tap.config.groups))
    async with tap:
        if ui == "live":
            view = LiveView(tap, console, stop.set, plan=tap.faults, keys=keys)
            viewers.enter_context(live_shown(view, tap.bus))
        elif beside is None:
            for listener in tap.listeners:
                _announce(listener.config, listener.address)
        if tap.api is not None:
            _announce_api(tap.api, ui)
        if tap.most_connections < tap.config.max_connections != MAX_CONNECTIONS:
            say(
                f"--max-connections {tap.config.max_connections}: ulimit -n allows {tap.most_connections}, "
                "as each takes two files"
            )
        if tap.config.record_redact:
            what = " and ".join(dict.fromkeys(tap.config.record_redact))
            say(f"{what} are replaced in {tap.config.record_to}; it holds NO payload of full resyncs, so no snapshot")
        if tap.config.faults:
            say(f"seed {tap.config.seed}: with --seed {tap.config.seed} the faults draw the same again")
        looking = asyncio.create_task(tap.look_for_masters(), name="look for masters")
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait() if beside is None else beside(tap, stop), tap.config.duration)
        finally:
            looking.cancel()
            await asyncio.wait({looking})
        await tap.close()  # before the viewers go: they report the end, too
    for told in tap.loops.verdicts:
        say(f"link {told.link}, replica {told.replica}: {sentence(told.event)}")
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


def _announce_api(api: Api, ui: Ui) -> None:
    if ui != "live":
        say(f"API on {api.url}{', with the token of the environment' if api.has_token else ''}")
    if api.sends_token_in_clear:
        say(f"WARNING: {api.url} is reached without TLS: anyone in between can read the token; give --api-cert, too")


def _warn_of_master(told: Told) -> None:
    if isinstance(told.event, MasterUnreachable):
        say(f"WARNING: link {told.link}: {sentence(told.event)}")


def _warn_of_tls(config: Config) -> None:
    for link in config.links:
        if link.insecure:
            say(
                f"WARNING: link {link.name}: INSECURE: the certificate of {link.master or 'any master'} is not checked; "
                "anyone in between can read and change everything"
            )
    if config.keylog is not None and any(link.tls or link.listen_cert for link in config.links):
        say(f"WARNING: the secrets of all TLS connections go to {config.keylog}; anyone who has it can read the traffic")
