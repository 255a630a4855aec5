"""`redis-tap show`: a recording, or any capture of replication links, as if it were live."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from tap.bus import Told
from tap.console.lines import Journal, json_line
from tap.errors import ConfigError, RecordingError
from tap.recording.reader import CHUNK, Player, play
from tap.recording.wanted import Moment, Wanted

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
    follow: Annotated[bool, typer.Option("--follow", help="Go on while the last file is written, until Ctrl-C.")] = False,
) -> None:
    """Show what a recording holds; also a capture by tcpdump or Wireshark, of any number of links among other traffic.

    What cannot be read of a file is told, and the exit code is then 2.
    """
    wanted = Wanted(
        links=link or (),
        dbs=db or (),
        names=command or (),
        globs=key or (),
        begin=_moment("--from", from_),
        end=_moment("--until", until),
    )
    line: Callable[[Told], str | None] = json_line if form == "json" else Journal()

    def put(told: Told) -> None:
        said = line(told) if wanted.has(told) else None
        if said is not None:
            sys.stdout.write(f"{said}\n")

    player = Player(put, every_command=commands or wanted.only_commands, every_key=rdb_keys)
    problems = []
    for number, path in enumerate(files):
        data = _growing(path, player) if follow and number == len(files) - 1 else None
        problems += [f"{path}: {problem}" for problem in play(path, player, data)]
    player.close()
    sys.stdout.flush()
    problems += _nothing(files, player)
    if problems:
        raise RecordingError("\nredis-tap: ".join(problems))


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


def _moment(option: str, text: str | None) -> Moment | None:
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,19}", text):
        return int(text)
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{option} {text!r}: write a time, as 2026-01-31T12:00:00 or with +01:00 behind it, or an offset in digits"
        ) from None
