"""`redis-tap replay`: be the master of a recording, or send its commands to a server."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from tap.cli.moment import moment
from tap.config import Ui
from tap.errors import ConfigError


def replay(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="pcapng or pcap, or directories of them.")],
    as_master: Annotated[
        str | None, typer.Option("--as-master", metavar="HOST:PORT", help="Be a master there, for replicas that connect.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="URL", help="Send the commands to this server.")] = None,
    speed: Annotated[
        str, typer.Option(metavar="N|max", help="So many times as fast as it was recorded, or as fast as it is taken.")
    ] = "1",
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME|OFFSET", help="From then on: 2026-01-31T12:00:00, or an offset.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME|OFFSET", help="Up to then.")] = None,
    link: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only what this link had. May be repeated.")
    ] = None,
    db: Annotated[
        list[int] | None, typer.Option(metavar="N", help="With --to: only commands in this db. May be repeated.")
    ] = None,
    command: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="With --to: only these commands. May be repeated.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="With --to: only commands with such a key, as with KEYS. May be repeated."),
    ] = None,
    assume_db: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="With --to: the db of commands of which the recording does not say it."),
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
    """Replay a recording: to replicas, as the master of it, or to any server, as a client."""
    if as_master is not None and to is not None:
        raise ConfigError("--as-master is for replicas, --to for any server: give one of them")
    if as_master is None and to is None:
        raise ConfigError(
            "say who is to have it: --as-master HOST:PORT for replicas that connect, or --to URL of a server"
        )
    factor = _speed(speed)
    if as_master is not None:
        if db or command or key or assume_db is not None or yes:
            raise ConfigError(
                "--db, --command, --key, --assume-db and --yes go with --to: a replica has to have every byte"
            )
        _be_master(files, as_master, factor, from_, until, link or [], exit_, ui)
    elif to is not None:
        if exit_:
            raise ConfigError("--exit goes with --as-master; with --to the end comes by itself")
        _send(files, to, factor, from_, until, link or [], db or [], command or [], key or [], assume_db, yes, ui)


def _speed(text: str) -> float:
    """Infinite for max."""
    if text == "max":
        return math.inf
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?x?", text) or not float(text.removesuffix("x")):
        raise ConfigError(f"--speed {text!r}: write how many times as fast, as 1, 10 or 0.5, or max")
    return float(text.removesuffix("x"))


def _be_master(
    files: list[Path],
    listen: str,
    speed: float,
    begin: str | None,
    end: str | None,
    links: list[str],
    exits: bool,
    ui: Ui,
) -> None:
    from tap.cli import feeding  # for this half alone

    raise typer.Exit(
        feeding.feed(files, listen, speed, moment("--from", begin), moment("--until", end), links, exits, ui)
    )


def _send(
    files: list[Path],
    url: str,
    speed: float,
    begin: str | None,
    end: str | None,
    links: list[str],
    dbs: list[int],
    names: list[str],
    globs: list[str],
    assumed_db: int | None,
    yes: bool,
    ui: Ui,
) -> None:
    from tap.cli import sending  # for this half alone

    wanted = sending.choice(dbs, names, globs)
    moments = moment("--from", begin), moment("--until", end)
    raise typer.Exit(sending.send(files, url, speed, *moments, links, wanted, assumed_db, yes, ui))
