"""`redis-tap show`: a recording, or any capture of replication links, as if it were live."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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
from tap.key_groups import patterns
from tap.recording.filters import Filters
from tap.recording.player import Player
from tap.recording.question import EventQuestion, FigureQuestion
from tap.recording.reader import read
from tap.recording.stats import Stats

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
    groups: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="GLOB",
            help="With --stats: count these keys together, as with KEYS; groups are found if not given. May be repeated.",
        ),
    ] = None,
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
    if groups and not stats:
        raise ConfigError("--group is about figures: add --stats")
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
    question: EventQuestion | FigureQuestion
    if stats:
        question = FigureQuestion(wanted, once=once, groups=patterns(groups or ()))
    else:
        question = EventQuestion(wanted, _writer(form), commands=commands, rdb_keys=rdb_keys, once=once)
    if follow:
        with _so_far(question, form) as tick:
            for _ in read(files, question.player, _until_stopped(question.player, tick)):
                pass
    else:
        for _ in read(files, question.player):
            pass
    if isinstance(question, FigureQuestion) and question.has_answer:
        _print(question.answer(), form)
    sys.stdout.flush()
    say(*question.remarks)
    mismatches = question.mismatches(grows=follow)
    if question.lacking:
        raise RecordingError(*question.lacking, *mismatches)
    say(*mismatches)


def _writer(form: str) -> Callable[[Told], None]:
    """A function that writes an event to stdout."""
    line: Callable[[Told], str | None] = json_line if form == "json" else ConciseLog()

    def put(told: Told) -> None:
        said = line(told)
        if said is not None:
            sys.stdout.write(f"{said}\n")

    return put


def _print(figures: Stats, form: str) -> None:
    if form == "json":
        sys.stdout.write(f"{json.dumps(figures.as_dict())}\n")
        return
    from tap.console.stats_report import report  # tables take a while to import, and events need none
    from tap.console.terminal import Terminal

    console = Terminal()
    console.print(report(figures, console.width))


def _so_far(question: EventQuestion | FigureQuestion, form: str) -> AbstractContextManager[Callable[[], None]]:
    """Shows the figures while the recording grows. Entering it returns a function to be called often."""
    if isinstance(question, FigureQuestion):
        from tap.console.stats_follow import drawn, in_lines
        from tap.console.terminal import Terminal

        console = Terminal()
        if form == "json":
            return in_lines(question.so_far)
        if console.is_terminal:
            return drawn(question.so_far, console)
    return nullcontext(lambda: None)


def _until_stopped(player: Player, tick: Callable[[], None]) -> GoesOn:
    """A GoesOn that follows files being written until Ctrl-C; everything read by then is still shown.

    tick: called after every read.
    """
    stop = threading.Event()
    for number in endings():
        # In a thread: the signal may have interrupted code that holds the lock for which set() waits.
        signal.signal(number, lambda *_: threading.Thread(target=stop.set, daemon=True).start())

    def goes_on(is_idle: bool) -> bool:
        if is_idle:
            sys.stdout.flush()
            if not stop.wait(FOLLOW_SECONDS):
                player.rest(FOLLOW_SECONDS)
        tick()
        return not stop.is_set()

    return goes_on
