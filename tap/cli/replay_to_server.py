"""The work of `redis-tap replay --to URL`: ask before a server with data is changed, send, and show how far it is."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import typer

from tap.cli.ending import endings
from tap.cli.ui import chosen
from tap.config.config import Ui
from tap.console import send_report
from tap.console.stderr import say
from tap.console.terminal import Terminal
from tap.errors import ConfigError, EnvironmentFailure, RecordingError
from tap.printable import one_line
from tap.replay.client_commands import Choice
from tap.replay.excerpt import Excerpt
from tap.replay.sender import Interrupted, Sender
from tap.replay.server_replay import ServerReplay
from tap.servers.target import Target

UPDATE_SECONDS = 0.1


def send(
    files: list[Path],
    url: str,
    excerpt: Excerpt,
    wanted: Choice,
    assumed_db: int | None,
    yes: bool,
    ui: Ui,
) -> int:
    """Send the commands. Returns the exit code.

    1: the server answered errors, or commands could not be sent. 2: a part of the recording could not be read. 0: done.
    assumed_db: the db of commands whose db the recording does not give.
    """
    try:
        target = Target(url)
    except ConfigError as error:
        raise ConfigError(f"--to: {error}") from None
    replay = ServerReplay(files, target, excerpt, wanted, assumed_db=assumed_db, remark=say)
    console = Terminal()
    ui = chosen(ui, console)
    if yes:
        asyncio.run(target.check_db(0))  # fail now if the server is not there, not after a long reading
    elif not _may(target.name, asyncio.run(target.keys())):
        return 1
    with replay.sender() as sender:
        code = asyncio.run(_run(sender, target.name, ui, console))
    return code or (RecordingError.exit_code if replay.lacking else 0)


def _may(name: str, keys: dict[int, int]) -> bool:
    if not keys:
        return True
    dbs = ", ".join(f"{count} in db {db}" for db, count in keys.items())
    said = one_line(f"{name} holds keys: {dbs}")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError(f"{said}. Commands would change them; --yes sends them all the same")
    return typer.confirm(f"{said}. Send all the same?", err=True)


async def _run(sender: Sender, name: str, ui: Ui, console: Terminal) -> int:
    loop = asyncio.get_running_loop()
    signals: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        signals.append(number)
        sender.stop()

    for number in endings():
        loop.add_signal_handler(number, end, number)
    bar = send_report.Bar(console, name) if ui == "live" else None
    shown = asyncio.create_task(_shown(bar, sender), name="progress")
    try:
        await sender.run()
    except Interrupted:
        return 128 + signals[0]
    except EnvironmentFailure as error:
        raise EnvironmentFailure(f"{error}; {send_report.whereabouts(sender)}") from None
    finally:
        shown.cancel()
        if bar is not None:
            bar.close()
        if ui == "json":
            print(json.dumps(send_report.as_dict(sender)))
        elif ui != "none":
            print(send_report.report(sender, name))
        sys.stdout.flush()
        if signals:
            say(f"ended early; {send_report.whereabouts(sender)}")
    return 0 if sender.has_sent_all else 1


async def _shown(bar: send_report.Bar | None, sender: Sender) -> None:
    while bar is not None:
        bar.update(sender)
        await asyncio.sleep(UPDATE_SECONDS)
