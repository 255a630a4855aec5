"""The options that choose what of a recording is meant: declared once, for show, export and replay."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import typer

from tap.errors import ConfigError
from tap.recording.wanted import Moment

Dbs = Annotated[list[int] | None, typer.Option("--db", metavar="N", help="Only commands in this db. May be repeated.")]
Names = Annotated[
    list[str] | None, typer.Option("--command", metavar="NAME", help="Only these commands. May be repeated.")
]
Globs = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="GLOB", help="Only commands with such a key, as with KEYS. May be repeated."),
]
Begin = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME|OFFSET", help="From then on: 2026-01-31T12:00:00, or an offset."),
]
End = Annotated[str | None, typer.Option("--until", metavar="TIME|OFFSET", help="Up to then; to the end if not given.")]


def moments(begin: str | None, end: str | None) -> tuple[Moment | None, Moment | None]:
    """What `--from` and `--until` say. Raises ConfigError."""
    return _moment("--from", begin), _moment("--until", end)


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
