"""`redis-tap replay --to URL`: the commands of a recording for a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from itertools import pairwise

import typer
from rich.console import Console

from tap.config import Ui
from tap.console import sending
from tap.errors import ConfigError, EnvironmentFailure, RecordingError
from tap.glob import matcher
from tap.recording.history import Read, Stretch, index
from tap.replay.commands import Choice
from tap.replay.sending import Interrupted, Moment, Sender, copied, streams_of
from tap.servers.target import Target

UPDATE_SECONDS = 0.1


def choice(dbs: list[int], names: list[str], globs: list[str]) -> Choice:
    return Choice(
        frozenset(dbs),
        frozenset(os.fsencode(name.upper()) for name in names),
        tuple(matcher(os.fsencode(glob)) for glob in globs),
    )


def send(
    read: Read,
    url: str,
    speed: float,
    begin: Moment | None,
    end: Moment | None,
    links: list[str],
    wanted: Choice,
    yes: bool,
    ui: Ui,
) -> int:
    """The exit code: 0, or 1 if there were errors. speed: infinite for max."""
    target = Target(url)
    if target.db is not None and len(wanted.dbs) != 1:
        raise ConfigError(
            f"{target.name}, db {target.db}: each command goes to the db that it was for. Leave the db out of the URL; "
            "or choose, with --db N, one whose commands are to go there"
        )
    if not _may(target, asyncio.run(target.keys()), yes):
        return 1
    streams = streams_of(index(read), links)
    if not streams:
        raise RecordingError("there is no command stream in it whose offsets are known")
    with contextlib.ExitStack() as files:
        parts = copied(read, streams, begin, end, files)
        if not parts:
            spans = ", ".join(f"{stream[0].offset} to {stream[-1].end_offset}" for stream in streams)
            raise ConfigError(f"no whole command lies between --from and --until: the recording has offsets {spans}")
        for before, after in pairwise(streams):
            _say_hole(before, after)
        return asyncio.run(_run(Sender(target, parts, wanted, speed, to_db=target.db), target.name, ui))


def _say_hole(before: tuple[Stretch, ...], after: tuple[Stretch, ...]) -> None:
    begin, end = before[-1], after[0]
    if begin.replid == end.replid and begin.end_offset <= end.offset:
        missing = f"{end.offset - begin.end_offset} bytes behind offset {begin.end_offset} are not in the recording"
    else:
        missing = f"behind offset {begin.end_offset} another history begins, with offset {end.offset}"
    print(f"redis-tap: {missing}, and the keys of its RDB are not sent", file=sys.stderr)


def _may(target: Target, keys: dict[int, int], yes: bool) -> bool:
    if yes or not keys:
        return True
    dbs = ", ".join(f"{count} in db {db}" for db, count in keys.items())
    said = f"{target.name} holds keys: {dbs}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError(f"{said}. Commands would change them; --yes sends them all the same")
    return typer.confirm(f"{said}. Send all the same?", err=True)


async def _run(sender: Sender, name: str, ui: Ui) -> int:
    loop = asyncio.get_running_loop()
    signals: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        signals.append(number)
        sender.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    console = Console(stderr=True)
    bar = sending.Bar(console, name) if ui == "live" or (ui == "auto" and console.is_terminal) else None
    shown = asyncio.create_task(_shown(bar, sender), name="progress")
    try:
        await sender.run()
    except Interrupted:
        return 128 + signals[0]
    except EnvironmentFailure as error:
        raise EnvironmentFailure(f"{error}; {sending.whereabouts(sender)}") from None
    finally:
        shown.cancel()
        if bar is not None:
            bar.close()
        if ui == "json":
            print(json.dumps(sending.as_dict(sender)))
        elif ui != "none":
            print(sending.report(sender, name))
        sys.stdout.flush()
        if signals:
            print(f"redis-tap: ended early; {sending.whereabouts(sender)}", file=sys.stderr)
    return 1 if sender.errors else 0


async def _shown(bar: sending.Bar | None, sender: Sender) -> None:
    while bar is not None:
        bar.update(sender)
        await asyncio.sleep(UPDATE_SECONDS)
