"""`redis-tap replay`: be the master of a recording, or send its commands to a server."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from tap.cli.choosing import Begin, Dbs, End, Globs, Names, dbs_of, moments, several
from tap.config.config import Ui
from tap.errors import ConfigError


def replay(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="pcapng or pcap, or directories of them.")],
    as_master: Annotated[
        str | None, typer.Option("--as-master", metavar="HOST:PORT", help="Be a master there, for replicas that connect.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="URL", help="Send the commands to this server.")] = None,
    speed: Annotated[
        str, typer.Option(metavar="N|max", help="N times as fast as it was recorded, or as fast as it is accepted.")
    ] = "1",
    begin: Begin = None,
    end: End = None,
    link: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only what this link had. May be repeated.")
    ] = None,
    dbs: Dbs = None,
    names: Names = None,
    globs: Globs = None,
    assume_db: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="With --to: the db of commands whose db the recording does not give."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --to: do not ask, even if the server holds data.")] = False,
    exit_: Annotated[
        bool, typer.Option("--exit", help="With --as-master: end once every replica has acknowledged the end.")
    ] = False,
    ui: Annotated[
        Ui,
        typer.Option(help="live: a progress bar. log: lines. json: lines of JSON. auto: live on a terminal, else log."),
    ] = "auto",
) -> None:
    """Replay a recording: to replicas, as the master of it, or to any server, as a client.

    --db, --command and --key go with --to: a replica needs every byte.
    """
    if as_master is not None and to is not None:
        raise ConfigError("--as-master is for replicas, --to for any server: give one of them")
    factor = _speed(speed)
    links = several("--link", link)
    if as_master is not None:
        if dbs or names or globs or assume_db is not None or yes:
            raise ConfigError("--db, --command, --key, --assume-db and --yes go with --to: a replica needs every byte")
        first, last = moments(files, begin, end)
        from tap.cli import replay_as_master  # each half needs much that the other one does not
        from tap.replay.excerpt import Excerpt

        excerpt = Excerpt(links=links, begin=first, end=last, speed=factor)
        raise typer.Exit(replay_as_master.feed(files, as_master, excerpt, exit_, ui))
    if to is not None:
        if exit_:
            raise ConfigError("--exit goes with --as-master; --to always ends on its own")
        first, last = moments(files, begin, end)
        dbs_wanted, names_wanted = dbs_of(dbs), several("--command", names)
        from tap.cli import replay_to_server
        from tap.replay.client_commands import Choice
        from tap.replay.excerpt import Excerpt

        wanted = Choice.of(dbs_wanted, names_wanted, globs or ())
        excerpt = Excerpt(links=links, begin=first, end=last, speed=factor)
        raise typer.Exit(replay_to_server.send(files, to, excerpt, wanted, assume_db, yes, ui))
    raise ConfigError("give --as-master HOST:PORT, for replicas that connect, or --to URL, for a server")


def _speed(text: str) -> float:
    """The factor; infinite for max. Raises ConfigError."""
    if text == "max":
        return math.inf
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?x?", text) or not float(text.removesuffix("x")):
        raise ConfigError(f"--speed {text!r}: write how many times as fast, as 1, 10 or 0.5, or max")
    return float(text.removesuffix("x"))
