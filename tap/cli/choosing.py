"""The options that select a part of a recording: declared once, for show, export and replay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from tap.console.stderr import say
from tap.errors import ConfigError
from tap.recording import moments as written
from tap.recording.moments import Length, Moment

Links = Annotated[
    list[str] | None,
    typer.Option("--link", metavar="NAME", help="Only this link, or NAME/CONNECTION. May be repeated, or A,B."),
]
Dbs = Annotated[
    list[str] | None,
    typer.Option(
        "--db", metavar="N", help="Only commands in this db, or that reach it, as FLUSHALL. May be repeated, or 0,3."
    ),
]
Names = Annotated[
    list[str] | None, typer.Option("--command", metavar="NAME", help="Only these commands. May be repeated, or SET,DEL.")
]
Globs = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="GLOB", help="Only commands with such a key, as with KEYS. May be repeated."),
]
Begin = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME|OFFSET",
        help="From then on: 2026-01-31T12:00:00, 12:00 on its day, -10m before its end, or an offset.",
    ),
]
End = Annotated[str | None, typer.Option("--until", metavar="TIME|OFFSET", help="Up to then; to the end if not given.")]


def moments(files: Sequence[Path], begin: str | None, end: str | None) -> tuple[Moment | None, Moment | None]:
    """The moments that `--from` and `--until` mean in the recording in these files. Raises ConfigError."""

    @cache
    def whole() -> Length | None:
        return written.length(files)

    def moment(option: str, text: str | None) -> Moment | None:
        if text is None:
            return None
        try:
            meant = written.parse(text, whole)
        except ConfigError as error:
            raise ConfigError(f"{option} {text!r}: {error}") from None
        if meant is None:
            return None
        if meant.is_resolved:
            say(f"{option} {text} is {written.text(meant.moment)}")
        return meant.moment

    first, last = moment("--from", begin), moment("--until", end)
    written.check_order(first, last)
    return first, last


def dbs_of(given: Sequence[str] | None) -> list[int]:
    """The numbers given with `--db`. Raises ConfigError."""
    found = []
    for text in several("--db", given):
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise ConfigError(f"--db {text!r}: a db is a number, as 0; several are written 0,3")
        found.append(int(text))
    return found


def several(option: str, given: Sequence[str] | None) -> list[str]:
    """The values given with an option, each of which may be a list with commas. Raises ConfigError."""
    found = [part.strip() for text in given or () for part in text.split(",")]
    if "" in found:
        raise ConfigError(f"{option} {','.join(given or ())!r}: a name is missing next to a comma")
    return found
