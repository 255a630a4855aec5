"""`redis-tap show`: a recording, or any capture of replication links, as if it were live."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from tap.bus import Told
from tap.cli.choosing import Begin, Dbs, End, Globs, Links, Names, dbs_of, moments, several
from tap.cli.ending import endings
from tap.console.lines import Journal, json_line
from tap.console.stats_report import report
from tap.errors import ConfigError, RecordingError
from tap.recording.content import GoesOn
from tap.recording.missing import Missing
from tap.recording.reader import Player, nothing, read
from tap.recording.stats import Batch, Stats
from tap.recording.wanted import Wanted
from tap.replication.events import Command, Side

FOLLOW_SECONDS = 0.1


def show(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", readable=False, help="pcapng or pcap, or directories of them; - for stdin."),
    ],
    form: Annotated[
        Literal["text", "json"], typer.Option("--format", help="As --ui log, or as --ui json of redis-tap run.")
    ] = "text",
    commands: Annotated[bool, typer.Option("--commands", help="Every command of the stream.")] = False,
    rdb_keys: Annotated[bool, typer.Option("--rdb-keys", help="Every key of an RDB.")] = False,
    links: Links = None,
    dbs: Dbs = None,
    names: Names = None,
    globs: Globs = None,
    begin: Begin = None,
    end: End = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Figures instead of events: what was written, when, to which keys.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on while the last file is written, until Ctrl-C.")] = False,
) -> None:
    """Show what a recording holds; also a capture by tcpdump or Wireshark, of any number of links among other traffic.

    What cannot be read of a file is told, and the exit code is then 2.
    """
    if stats and (commands or rdb_keys):
        raise ConfigError("--stats tells figures instead of events: leave out --commands and --rdb-keys")
    first, last = moments(files, begin, end)
    wanted = Wanted(
        links=several("--link", links),
        dbs=dbs_of(dbs),
        names=several("--command", names),
        globs=globs or (),
        begin=first,
        end=last,
    )
    figures = Stats()
    line: Callable[[Told], str | None] = json_line if form == "json" else Journal()

    total = count = 0

    def put(told: Told) -> None:
        nonlocal total, count
        if not wanted.concerns(told):
            return
        if isinstance(told.event, Command):
            total += 1
            if not wanted.matches(told.event):
                return
            count += 1
        elif wanted.only_commands:
            return
        said = line(told)
        if said is not None:
            sys.stdout.write(f"{said}\n")

    def count_event(told: Told) -> None:
        if wanted.concerns(told):
            figures.told(told)

    def count_all(batch: Batch) -> None:
        nonlocal total, count
        within = wanted.within(batch)
        if within is not None:
            matching = wanted.matching(within)
            total += len(within.heads)
            count += len(matching.heads)
            figures.take(matching)

    if stats:
        player = Player(count_event, count=count_all)
    else:
        player = Player(put, every_command=commands or wanted.only_commands, every_key=rdb_keys)
    for _ in read(files, player, _until_stopped(player) if follow else None):
        pass

    def concerns(missing: Missing) -> bool:
        if stats:
            told = missing.may_hold_commands or (missing.cause == "gap" and missing.side is Side.MASTER)
            return told and wanted.may_lack(missing)
        return wanted.may_lack(missing) and (missing.cause != "rdb_omitted" or rdb_keys)

    # Figures count a command once for its link, whatever connection brought it; events are those of each connection.
    joins = wanted.joins if stats else None
    if stats and player.packets and nothing(player) is None:
        for one in player.account.lacking(concerns, joins, by_link=True):
            figures.lacks(one)
        _print(figures, form)
    sys.stdout.flush()
    for remark in player.remarks:
        print(f"redis-tap: {remark}", file=sys.stderr)
    lines = [*player.account.lines(concerns, joins, by_link=True), *wanted.lacks]
    remarks = [] if nothing(player) else wanted.remarks(player.account, total, count, grows=follow)
    if lines:
        raise RecordingError("\nredis-tap: ".join([*lines, *remarks]))
    for remark in remarks:
        print(f"redis-tap: {remark}", file=sys.stderr)


def _print(figures: Stats, form: str) -> None:
    if form == "json":
        sys.stdout.write(f"{json.dumps(figures.as_dict())}\n")
        return
    console = Console(highlight=False)
    console.print(report(figures, console.width))


def _until_stopped(player: Player) -> GoesOn:
    """Go on with files that are being written until Ctrl-C; what has been read by then is shown to its end."""
    stop = threading.Event()
    for number in endings():
        # In a thread: the lock of what the signal interrupts may be the one that set() waits for.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set, daemon=True).start())

    def goes_on(is_idle: bool) -> bool:
        if is_idle:
            sys.stdout.flush()
            if not stop.wait(FOLLOW_SECONDS):
                player.rest(FOLLOW_SECONDS)
        return not stop.is_set()

    return goes_on
