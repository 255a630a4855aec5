"""`redis-tap rdb`: look into an RDB."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from tap.cli.progress import progress
from tap.console.rdb_formats import Format, Selection, write
from tap.errors import ConfigError, RdbError, did_you_mean
from tap.rdb import chunks
from tap.rdb.key_filter import key_filter
from tap.rdb.tokens import TYPES


def rdb(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="An RDB, or an AOF that begins with one; - for stdin.")],
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="summary: tables. keys: a line per key. jsonl: a JSON object per key, with its value. json, protocol, "
            "diff, memory: as the command rdb of rdbtools writes them.",
        ),
    ] = "summary",
    db: Annotated[list[int] | None, typer.Option(metavar="N", help="Only this db. May be repeated.")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only keys of this type. May be repeated.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only keys that match, as with KEYS. May be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the first N of these keys.")] = None,
    largest: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The N largest keys: the length of the tables, or which lines.")
    ] = None,
) -> None:
    """Look into an RDB: what takes the space, which keys, what is in them.

    A broken file is shown up to where it breaks; the exit code is then 2.
    """
    if largest is not None and form not in ("summary", "keys", "memory"):
        raise ConfigError("--largest is for summary, keys and memory: which keys these are is known only at the end")
    for name in type_ or ():
        if name not in TYPES:
            raise ConfigError(f"--type {name}: unknown; known: {', '.join(TYPES)}.{did_you_mean(name, TYPES)}")
    only = key_filter(db or (), type_ or (), [os.fsencode(glob) for glob in key or ()], limit)
    with _opened(file) as (source, size), progress(size or 0) as advance:
        parser = write(form, Selection(file, _counted(source, advance), size, only, largest))
    if parser.problem is not None:
        raise RdbError(f"{file}: {parser.problem}")


@contextlib.contextmanager
def _opened(name: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Open the source. Yields it, and its size if it has one."""
    if name == "-":
        if fcntl.fcntl(0, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            raise ConfigError("stdin is not open for reading")
        yield sys.stdin.buffer, None
        return
    if "://" in name:
        raise ConfigError("an RDB is read from a file: redis-cli --rdb FILE fetches one from a server")
    try:
        with Path(name).open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            yield file, status.st_size if os.path.isfile(name) else None
    except OSError as error:
        if error.filename is None:
            raise
        raise ConfigError(f"{name}: {error.strerror}") from None


def _counted(source: BinaryIO, advance: Callable[[int], None]) -> Iterator[bytes | memoryview]:
    """The bytes of the source in pieces. advance: called with the size of each."""
    for chunk in chunks(source):
        advance(len(chunk))
        yield chunk
