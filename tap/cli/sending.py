"""The work of `redis-tap replay --to URL`: send the commands of a recording to a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from itertools import pairwise
from pathlib import Path

import typer

from tap.capture.files import check_again
from tap.cli.ending import endings
from tap.cli.ui import chosen
from tap.config.config import Ui
from tap.console import send_report
from tap.console.stderr import say
from tap.console.terminal import Terminal
from tap.errors import ConfigError, EnvironmentFailure, RecordingError
from tap.glob import matcher
from tap.printable import one_line
from tap.recording.choice import moment_text, stream_text
from tap.recording.comments import check_format
from tap.recording.filters import Filters
from tap.recording.history import Stretch, index
from tap.recording.missing import Account
from tap.recording.player import Player
from tap.recording.reader import read
from tap.replay.client_commands import Choice
from tap.replay.excerpt import Excerpt
from tap.replay.sender import Interrupted, Sender, copied, streams_of
from tap.servers.target import Target

UPDATE_SECONDS = 0.1


def choice(dbs: list[int], names: list[str], globs: list[str]) -> Choice:
    return Choice(
        frozenset(dbs),
        frozenset(os.fsencode(name.upper()) for name in names),
        tuple(matcher(os.fsencode(glob)) for glob in globs),
    )


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
    begin, end, links = excerpt.begin, excerpt.end, excerpt.links
    for path in files:
        check_again(path, check_format)
    try:
        target = Target(url)
    except ConfigError as error:
        raise ConfigError(f"--to: {error}") from None
    console = Terminal()
    ui = chosen(ui, console)
    if target.db is not None and len(wanted.dbs) != 1:
        raise ConfigError(
            f"{target.name}, db {target.db}: each command goes to the db that it was for. Leave the db out of the URL; "
            "or choose, with --db N, one whose commands are to go there"
        )
    if yes:
        asyncio.run(target.check_db(0))  # fail now if the server is not there, not after a long reading
    elif not _may(target.name, asyncio.run(target.keys())):
        return 1
    recording = _Recording(files)
    wants = Filters(links=links, begin=begin, end=end)
    found = index(recording.play)
    account = recording.account
    lacking = account.lines(lambda one: one.may_hold_commands and wants.may_lack(one), wants.joins)
    for line in (*account.remarks, *lacking):
        say(line)
    streams = streams_of(found, links)
    if not streams:
        raise RecordingError("there is no command stream in it that can be read")
    if not streams[0][0].is_placed and (isinstance(begin, int) or isinstance(end, int)):
        raise ConfigError("--from and --until: no offset is known of a stream that was met in the middle; say a time")
    with contextlib.ExitStack() as copies:
        parts = copied(recording.play, streams, begin, end, copies, db=-1 if assumed_db is None else assumed_db)
        if not parts:
            there = "; ".join(map(stream_text, streams))
            raise ConfigError(f"no whole command lies between --from and --until: the recording has {there}")
        for line in wants.outside(account):
            say(line)
        for before, after in pairwise(parts):
            say(_hole(before.stretches[-1], after.stretches[0]))
        code = asyncio.run(_run(Sender(target, parts, wanted, excerpt.speed, to_db=target.db), target.name, ui, console))
    return code or (RecordingError.exit_code if lacking else 0)


class _Recording:
    """A recording that is read twice. account: of the first reading."""

    def __init__(self, files: list[Path]) -> None:
        self.account = Account()
        self._files = files
        self._was_read = False

    def play(self, player: Player) -> None:
        if not self._was_read:
            self.account, self._was_read = player.account, True
        for _ in read(self._files, player):
            pass


def _hole(before: Stretch, after: Stretch) -> str:
    end, begin = before.end_offset, after.offset
    if not before.is_placed:
        return f"what came from {moment_text(after.began)} on is sent to a server that lacks what is missing before it"
    if before.replid == after.replid and end <= begin:
        lost = f"{begin - end} bytes after offset {end}"
        return f"what comes after offset {begin} is sent to a server that lacks the {lost}"
    return f"after offset {end} another history begins, at offset {begin}; it is sent to a server that lacks its RDB"


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
    return 1 if sender.errors or sender.unplaced or sender.unfilled else 0


async def _shown(bar: send_report.Bar | None, sender: Sender) -> None:
    while bar is not None:
        bar.update(sender)
        await asyncio.sleep(UPDATE_SECONDS)
