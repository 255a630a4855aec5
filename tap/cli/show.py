"""`redis-tap show`: a recording, or any capture of replication links, as if it were live."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import hiredis
import typer
from rich.console import Console

from tap.bus import Told
from tap.console.lines import Journal, json_line
from tap.console.stats_report import report
from tap.errors import ConfigError, RecordingError
from tap.glob import matcher
from tap.recording.reader import CHUNK, Player, play
from tap.recording.stats import Batch, Stats
from tap.replication.events import Ack, Command
from tap.replication.keyspecs import KeyFinder

FOLLOW_SECONDS = 0.1


def show(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="pcapng or pcap; of a rotation, in order.")],
    form: Annotated[
        Literal["text", "json"], typer.Option("--format", help="As --ui log, or as --ui json of redis-tap run.")
    ] = "text",
    commands: Annotated[bool, typer.Option("--commands", help="Every command of the stream.")] = False,
    rdb_keys: Annotated[bool, typer.Option("--rdb-keys", help="Every key of an RDB.")] = False,
    link: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this link, or NAME/CONNECTION. May be repeated.")
    ] = None,
    db: Annotated[list[int] | None, typer.Option(metavar="N", help="Only commands in this db. May be repeated.")] = None,
    command: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these commands. May be repeated.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only commands with such a key, as with KEYS. May be repeated."),
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME|OFFSET", help="From then on: 2026-01-31T12:00:00, or an offset.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME|OFFSET", help="Up to then.")] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Figures instead of events: what was written, when, to which keys.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on while the last file is written, until Ctrl-C.")] = False,
) -> None:
    """Show what a recording holds; also a capture by tcpdump or Wireshark, of any number of links among other traffic.

    What cannot be read of a file is told, and the exit code is then 2.
    """
    wanted = Wanted(
        links=frozenset(link or []),
        dbs=frozenset(db or []),
        names=frozenset(name.upper() for name in command or []),
        globs=tuple(matcher(os.fsencode(glob)) for glob in key or []),
        begin=None if from_ is None else _moment("--from", from_),
        end=None if until is None else _moment("--until", until),
    )
    if stats and (commands or rdb_keys):
        raise ConfigError("--stats tells figures instead of events: leave out --commands and --rdb-keys")
    figures = Stats()
    line: Callable[[Told], str | None] = json_line if form == "json" else Journal()

    def put(told: Told) -> None:
        said = line(told) if wanted.has(told) else None
        if said is not None:
            sys.stdout.write(f"{said}\n")

    def count(told: Told) -> None:
        if wanted.concerns(told):
            figures.told(told)

    def count_all(batch: Batch) -> None:
        chosen = wanted.chosen(batch)
        if chosen is not None:
            figures.take(chosen)

    if stats:
        player = Player(count, count=count_all)
    else:
        player = Player(put, every_command=commands or wanted.only_commands, every_key=rdb_keys)
    problems = []
    for number, path in enumerate(files):
        data = _growing(path, player) if follow and number == len(files) - 1 else None
        problems += [f"{path}: {problem}" for problem in play(path, player, data)]
    player.close()
    if stats:
        _print(figures, form)
    sys.stdout.flush()
    problems += _nothing(files, player)
    if problems:
        raise RecordingError("\nredis-tap: ".join(problems))


def _print(figures: Stats, form: str) -> None:
    if form == "json":
        sys.stdout.write(f"{json.dumps(figures.as_dict())}\n")
        return
    console = Console(highlight=False)
    console.print(report(figures, console.width))


def _nothing(files: list[Path], player: Player) -> list[str]:
    """Why there is nothing to show."""
    if player.replicating or player.recorded or not player.packets:
        return []
    names = ", ".join(str(path) for path in files)
    if player.unknown_link_types:
        types = ", ".join(str(number) for number in sorted(player.unknown_link_types))
        return [f"{names}: no replication in it that could be read: its packets are of link type {types}, not known here"]
    return [
        f"{names}: no replication in it: {player.connections} TCP connections, {player.others} packets of other kinds"
    ]


def _growing(path: Path, player: Player) -> Iterator[bytes]:
    """The bytes of a file that is being written, until Ctrl-C; what has been read by then is shown to its end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with path.open("rb") as file:
        while not stop.is_set():
            chunk = file.read(CHUNK)
            if chunk:
                yield chunk
            else:
                player.rest(FOLLOW_SECONDS)
                sys.stdout.flush()
                stop.wait(FOLLOW_SECONDS)


# ---- what is wanted ----


@dataclass(frozen=True, slots=True)
class _Moment:
    """A time in seconds since the epoch, or a replication offset; the other one is None."""

    time: float | None
    offset: int | None


def _moment(option: str, text: str) -> _Moment:
    if re.fullmatch(r"[0-9]{1,19}", text):
        return _Moment(None, int(text))
    try:
        return _Moment(datetime.fromisoformat(text).timestamp(), None)
    except ValueError:
        raise ConfigError(
            f"{option} {text!r}: write a time, as 2026-01-31T12:00:00 or with +01:00 behind it, or an offset in digits"
        ) from None


@dataclass(slots=True)
class Wanted:
    """Which events are to be shown. An event without an offset is where its link is."""

    links: frozenset[str]
    dbs: frozenset[int]
    names: frozenset[str]
    globs: tuple[Callable[[bytes], bool], ...]
    begin: _Moment | None
    end: _Moment | None
    _offsets: dict[int, int] = field(default_factory=dict)  # by connection

    @property
    def only_commands(self) -> bool:
        """Whether it is single commands that are asked for."""
        return bool(self.dbs or self.names or self.globs)

    def has(self, told: Told) -> bool:
        """To be asked of every event, in order."""
        if not self.concerns(told):
            return False
        if not self.only_commands:
            return True
        return isinstance(told.event, Command) and self._has_command(told.event)

    def concerns(self, told: Told) -> bool:
        """By link, time and offset alone; to be asked of every event, in order."""
        event = told.event
        offset = getattr(event, "offset", None)
        if isinstance(offset, int) and not isinstance(event, Ack):
            self._offsets[told.connection] = offset
        offset = self._offsets.get(told.connection)
        return self._has_link(told) and self._is_in_time(told.time, offset)

    def chosen(self, batch: Batch) -> Batch | None:
        """The batch with those of its commands only that are wanted; None if all are of another link or time."""
        heads, base = batch.heads, batch.base
        if not self._has_link(batch):
            return None
        if self.begin is not None or self.end is not None:
            heads = [head for head in heads if self._is_in_time(batch.time, None if base is None else base + head[0])]
            if not heads:
                return None
        if self.only_commands:
            heads = [head for head in heads if self._has(*head[2:])]
        return replace(batch, heads=heads)

    def _has_link(self, where: Told | Batch) -> bool:
        return not self.links or bool({where.link, f"{where.link}/{where.connection}"} & self.links)

    def _is_in_time(self, time: float, offset: int | None) -> bool:
        for moment, sign in ((self.begin, 1), (self.end, -1)):
            if moment is None:
                continue
            if moment.time is not None:
                if (time - moment.time) * sign < 0:
                    return False
            elif moment.offset is not None and (offset is None or (offset - moment.offset) * sign < 0):
                return False
        return True

    def _has_command(self, command: Command) -> bool:
        return self._has(command.db, command.name, keys(command) if self.globs else ())

    def _has(self, db: int | None, name: str, keys: Iterable[bytes]) -> bool:
        if self.dbs and db not in self.dbs:
            return False
        if self.names and name not in self.names:
            return False
        return not self.globs or any(matches(key) for key in keys for matches in self.globs)


def keys(command: Command) -> list[bytes]:
    """The keys that a command writes or reads."""
    words: Any = (command.name.encode("latin-1"), *command.args)
    packed = hiredis.pack_command(words)
    return KeyFinder().keys(memoryview(packed))[0]
