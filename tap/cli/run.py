"""`redis-tap run`: relay, understand, show."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tap.bus import COUNTLESS, Told
from tap.cli.ending import endings
from tap.cli.hangup import Hangup
from tap.cli.options import given, takes
from tap.cli.reload import Reload
from tap.cli.service_manager import ServiceManager
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
from tap.replication.events import Listening, ListeningOver, MasterUnreachable
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

    SIGHUP reads the links of FILE.toml again, and makes a recording begin its next file; without either it is ignored.
    Closing the terminal ends the tap.
    """
    wanted = _wanted(config, options)
    console = Terminal()

    def read() -> Config:
        again = _wanted(config, options, {"seed": wanted.seed})
        return replace(again, ui=chosen(again.ui, console))

    first = replace(wanted, ui=chosen(wanted.ui, console))
    relay(first, console, read=None if config is None else read)


def _wanted(path: Path | None, options: dict[str, Any], default: dict[str, Any] | None = None) -> Config:
    """The configuration of a file and the command line. default: options that neither may give."""
    base = _of_file(path)
    of_tap = given(Config, options)
    of_tap["links"] = (*base.get("links", ()), *_links(given(LinkConfig, options), of_tap.get("links", [])))
    for name in ("faults", "alerts"):
        of_tap[name] = (*base.get(name, ()), *of_tap.get(name, []))
    wanted = Config(**(default or {}) | base | of_tap)
    wanted.check_has_link()
    return wanted


def relay(
    config: Config, console: Terminal, beside: Beside | None = None, read: Callable[[], Config] | None = None
) -> None:
    """Run a tap until a signal, or its duration, ends it. config: with a ui that is not auto.

    beside: awaited while the tap runs, with the tap and the event that a signal sets; its end ends the tap. read: makes
    the configuration anew, at a SIGHUP.
    """
    _take_sockets()
    # The tap is made before the loop runs: it waits for its script to be loaded, and a signal ends it meanwhile.
    tap = Tap(config)
    gc.freeze()  # every link would wait tens of milliseconds when Python looks for garbage in all that it has imported
    asyncio.run(_run(tap, console, beside, read))


def _of_file(path: Path | None) -> dict[str, Any]:
    """The options of a configuration file, by field; none without a file."""
    if path is None:
        return {}
    from tap.config.file import load_options  # 10 ms, for those who have one

    return load_options(path)


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


async def _run(tap: Tap, console: Terminal, beside: Beside | None, read: Callable[[], Config] | None) -> None:
    stop, hung_up = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in endings():
        loop.add_signal_handler(number, stop.set)
    hangup = Hangup(stop.set, lambda: _reopen(tap, hung_up, can_reload=read is not None))
    if signal.SIGHUP in endings():
        loop.add_signal_handler(signal.SIGHUP, hangup)
    loop.set_exception_handler(LoopTrouble(say))
    ui = tap.config.ui
    with contextlib.ExitStack() as viewers:
        if ui != "live":
            viewers.enter_context(lines_shown(tap.bus, ui))
            if ui != "log":  # which says it itself
                tap.bus.subscribe(_warn_of_master, without=COUNTLESS)
        await _relay(tap, ui, console, stop, viewers, beside, read, hung_up)
        if hangup.has_ended:
            raise typer.Exit(128 + signal.SIGHUP)


def _reopen(tap: Tap, hung_up: asyncio.Event, *, can_reload: bool) -> None:
    if tap.recorder is not None:
        tap.recorder.rotate()
    if can_reload:
        hung_up.set()
    elif tap.recorder is None and tap.config.ui != "live":
        say(
            "SIGHUP is ignored: it reads a --config again and starts a recording's next file, but there is no --config, "
            "and nothing is being recorded"
        )


async def _reload(reload: Reload, hung_up: asyncio.Event, tap: Tap, manager: ServiceManager) -> None:
    """Read the configuration again after each SIGHUP; after many at once, once more."""
    while True:
        await hung_up.wait()
        hung_up.clear()
        manager.reloading()
        names = await reload.now()
        manager.ready()
        await tap.look_for_masters(names)


async def _relay(
    tap: Tap,
    ui: Ui,
    console: Terminal,
    stop: asyncio.Event,
    viewers: contextlib.ExitStack,
    beside: Beside | None,
    read: Callable[[], Config] | None,
    hung_up: asyncio.Event,
) -> None:
    manager, first = ServiceManager(), tap.config
    complain: Callable[[str], object] = say
    _warn_of_tls(tap.config, *tap.config.links)
    keys = None
    if ui == "live" and not tap.config.opaque:  # before the first stream begins: only later ones are looked at
        keys = KeyRanking(tap.bus.samples, patterns(tap.config.groups))
    async with tap:
        if ui == "live":
            view = LiveView(tap, console, stop.set, plan=tap.faults, keys=keys)
            viewers.enter_context(live_shown(view, tap.bus))
            complain = view.complain
        elif beside is None:
            for listener in tap.listeners:
                _announce(listener.config, listener.address)
            tap.bus.subscribe(_Announcing(tap), without=COUNTLESS)
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
        tasks = [asyncio.create_task(tap.look_for_masters(), name="look for masters")]
        if read is not None:
            reload = Reload(tap, first, read, complain)
            tasks.append(asyncio.create_task(_reload(reload, hung_up, tap, manager), name="reload"))
        manager.ready()
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait() if beside is None else beside(tap, stop), tap.config.duration)
        finally:
            manager.stopping()
            manager.end()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await tap.close()  # before the viewers go: they report the end, too
    for told in tap.loops.verdicts:
        say(f"link {told.link}, replica {told.replica}: {sentence(told.event)}")
    for armed in tap.faults.never_fired:
        say(f"fault {armed.name} never fired: {armed.spec}")
    if tap.recorder is not None and (complaints := tap.recorder.complaints):
        raise EnvironmentFailure(*complaints)


class _Announcing:
    """Announces links that begin to listen while the tap runs, or listen elsewhere."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._known = {one.config.name: str(one.address) for one in tap.listeners}

    def __call__(self, told: Told) -> None:
        event = told.event
        if isinstance(event, ListeningOver) and event.how == "removed":
            self._known.pop(told.link, None)
        elif isinstance(event, Listening) and self._known.get(told.link) != event.address:
            self._known[told.link] = event.address
            link = next(one for one in self._tap.config.links if one.name == told.link)
            _warn_of_tls(self._tap.config, link)
            _announce(link, Address(event.host, event.port))


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


def _warn_of_tls(config: Config, *links: LinkConfig) -> None:
    for link in links:
        if link.insecure:
            say(
                f"WARNING: link {link.name}: INSECURE: the certificate of {link.master or 'any master'} is not checked; "
                "anyone in between can read and change everything"
            )
    if config.keylog is not None and any(link.tls or link.listen_cert for link in links):
        say(f"WARNING: the secrets of all TLS connections go to {config.keylog}; anyone who has it can read the traffic")
