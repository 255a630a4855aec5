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

from tap.bus import Told
from tap.capture.content import GoesOn
from tap.cli.choosing import Begin, Dbs, End, Globs, Links, Names, dbs_of, moments, several
from tap.cli.ending import endings
from tap.console.lines import ConciseLog, json_line
from tap.console.stderr import say
from tap.errors import ConfigError, RecordingError
from tap.recording.filters import Filters
from tap.recording.missing import Missing
from tap.recording.player import Player
from tap.recording.reader import nothing, read
from tap.recording.seen_commands import SeenCommands
from tap.recording.stats import Batch, Stats
from tap.replication.events import Command, Side
from tap.verdict.loops import judging

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
    once: Annotated[
        bool, typer.Option("--once", help="A command that several replicas got, once; with --stats, over all links.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on while the last file is written, until Ctrl-C.")] = False,
) -> None:
    """Show what a recording holds; also a capture by tcpdump or Wireshark, of any number of links among other traffic.

    What cannot be read of a file is reported, and the exit code is then 2.
    """
    if stats and (commands or rdb_keys):
        raise ConfigError("--stats shows figures instead of events: leave out --commands and --rdb-keys")
    first, last = moments(files, begin, end)
    wanted = Filters(
        links=several("--link", links),
        dbs=dbs_of(dbs),
        names=several("--command", names),
        globs=globs or (),
        begin=first,
        end=last,
    )
    if once and not (stats or commands or wanted.only_commands):
        raise ConfigError("--once is about commands: add --commands, a filter for them, or --stats")
    asked: _Events | _Figures = _Figures(wanted, once) if stats else _Events(wanted, form, commands, rdb_keys, once)
    player = asked.player
    for _ in read(files, player, _until_stopped(player) if follow else None):
        pass

    def concerns(missing: Missing) -> bool:
        if stats:
            told = missing.may_hold_commands or (missing.cause == "gap" and missing.side is Side.MASTER)
            return told and wanted.may_lack(missing)
        return wanted.may_lack(missing) and (missing.cause != "rdb_omitted" or rdb_keys)

    # Figures count a command once for its link, whichever connection brought it; events belong to each connection.
    joins = wanted.joins if stats or once else None
    if isinstance(asked, _Figures) and player.packets and nothing(player) is None:
        for one in player.account.lacking(concerns, joins, by_link=not once):
            asked.figures.lacks(one)
        _print(asked.figures, form)
    sys.stdout.flush()
    say(*player.remarks, *asked.remarks)
    lines = [*player.account.lines(concerns, joins, by_link=not once), *wanted.lacks]
    remarks = [] if nothing(player) else wanted.remarks(player.account, asked.total, asked.count, grows=follow)
    if lines:
        raise RecordingError(*lines, *remarks)
    say(*remarks)


class _Events:
    """Writes events. total: commands on the selected links and in the selected time; count: those that match."""

    def __init__(self, wanted: Filters, form: str, commands: bool, rdb_keys: bool, once: bool) -> None:
        self.total = 0
        self.count = 0
        self.player = Player(judging(self._put), every_command=commands or wanted.only_commands, every_key=rdb_keys)
        self._wanted = wanted
        self._once = SeenCommands() if once else None
        self._line: Callable[[Told], str | None] = json_line if form == "json" else ConciseLog()

    @property
    def remarks(self) -> list[str]:
        return [] if self._once is None else self._once.remarks()

    def _put(self, told: Told) -> None:
        if not self._is_wanted(told):
            return
        said = self._line(told)
        if said is not None:
            sys.stdout.write(f"{said}\n")

    def _is_wanted(self, told: Told) -> bool:
        event, wanted = told.event, self._wanted
        concerns = wanted.concerns(told)
        if self._once is not None and not self._once.first(told, counts=wanted.has_link(told)):
            return False
        if not isinstance(event, Command):
            return concerns and not wanted.only_commands
        self.total += concerns
        is_wanted = concerns and wanted.matches(event)
        self.count += is_wanted
        return is_wanted


class _Figures:
    """Counts events; total, count: as in _Events."""

    def __init__(self, wanted: Filters, once: bool) -> None:
        self.total = 0
        self.count = 0
        self.figures = Stats(once=once)
        self.player = Player(self._hear, count=self._take)
        self._wanted = wanted

    @property
    def remarks(self) -> list[str]:
        return self.figures.remarks

    def _hear(self, told: Told) -> None:
        if self._wanted.concerns(told):
            self.figures.told(told)

    def _take(self, batch: Batch) -> None:
        if self._wanted.has_link(batch):
            self.figures.take(batch, self._choose)

    def _choose(self, batch: Batch, is_new: bool) -> Batch | None:
        within = self._wanted.within(batch)
        if within is None:
            return None
        matching = self._wanted.matching(within)
        if is_new:
            self.total += len(within.heads)
            self.count += len(matching.heads)
        return matching


def _print(figures: Stats, form: str) -> None:
    if form == "json":
        sys.stdout.write(f"{json.dumps(figures.as_dict())}\n")
        return
    from tap.console.stats_report import report  # tables take a while to import, and events need none
    from tap.console.terminal import Terminal

    console = Terminal()
    console.print(report(figures, console.width))


def _until_stopped(player: Player) -> GoesOn:
    """A GoesOn that follows files being written until Ctrl-C; everything read by then is still shown."""
    stop = threading.Event()
    for number in endings():
        # In a thread: the signal may have interrupted code that holds the lock for which set() waits.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set, daemon=True).start())

    def goes_on(is_idle: bool) -> bool:
        if is_idle:
            sys.stdout.flush()
            if not stop.wait(FOLLOW_SECONDS):
                player.rest(FOLLOW_SECONDS)
        return not stop.is_set()

    return goes_on
