"""`redis-tap rdb`: look into an RDB."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Annotated, BinaryIO, Literal

import typer

from tap.cli.progress import progress
from tap.console import rdbtools_formats
from tap.console.rdb_report import HEADING, key_lines, report
from tap.console.terminal import Terminal
from tap.errors import ConfigError, RdbError, did_you_mean
from tap.glob import matcher
from tap.rdb import JsonLines, Key, KeyReader, Parser, Summary, Tape, chunks
from tap.rdb.tokens import TYPES

Format = Literal["summary", "keys", "jsonl", "json", "protocol", "diff", "memory"]

IN_MEMORY = 8 * 2**20  # bytes of one string held in memory until its end


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
    only = _filter(db or [], type_ or [], key or [], limit)
    with _opened(file) as (source, size), progress(size or 0) as advance:
        parser = _FORMATS[form](_Job(file, source, size, only, largest, advance))
    if parser.problem is not None:
        raise RdbError(f"{file}: {parser.problem}")


def _filter(dbs: list[int], types: list[str], globs: list[str], limit: int | None) -> Callable[[Key], bool] | None:
    """A function that says whether a key is wanted; None if all are."""
    for name in types:
        if name not in TYPES:
            raise ConfigError(f"--type {name}: unknown; known: {', '.join(TYPES)}.{did_you_mean(name, TYPES)}")
    matchers = [matcher(os.fsencode(glob)) for glob in globs]
    if not (dbs or types or matchers or limit):
        return None
    left = sys.maxsize if limit is None else limit

    def wanted(key: Key) -> bool:
        nonlocal left
        fits = (
            left > 0
            and (not dbs or key.db in dbs)
            and (not types or ("module" if key.module else key.type) in types)
            and (not matchers or any(matches(key.key) for matches in matchers))
        )
        left -= fits
        return fits

    return wanted


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


@dataclass(frozen=True, slots=True)
class _Job:
    """What to read and how. size: bytes; None for a pipe. advance: called with the number of bytes just read."""

    name: str
    source: BinaryIO
    size: int | None
    only: Callable[[Key], bool] | None
    largest: int | None
    advance: Callable[[int], None]

    def read(self, reader: Callable[[Tape], None], *, values: bool = False) -> Parser:
        parser = Parser(reader, values=values, size=self.size)
        for chunk in chunks(self.source):
            parser.feed(chunk)
            self.advance(len(chunk))
            if parser.finished or parser.problem is not None:
                break
        parser.close()
        return parser


def _summary(job: _Job) -> Parser:
    summary = Summary(job.largest or 10, job.only)
    parser = job.read(summary)
    if parser.version:  # without a version it is not an RDB, and there is nothing to report
        console = Terminal()
        console.print(report(job.name, parser, summary, console.width))
    return parser


def _keys(job: _Job) -> Parser:
    sys.stdout.write(f"{HEADING}\n")
    if job.largest is not None:
        summary = Summary(job.largest, job.only)
        parser = job.read(summary)
        sys.stdout.write(key_lines(summary.biggest()))
        return parser
    return job.read(KeyReader(lambda keys: _put(key_lines(keys if job.only is None else filter(job.only, keys)))))


def _put(text: str) -> None:
    sys.stdout.write(text)


def _jsonl(job: _Job) -> Parser:
    sys.stdout.flush()
    lines = JsonLines(sys.stdout.buffer.write, spool=_spool, only=job.only)
    parser = job.read(lines, values=True)
    lines.close()
    sys.stdout.buffer.flush()
    return parser


def _spool() -> IO[bytes]:
    """The file in which one long string waits for its end."""
    return tempfile.SpooledTemporaryFile(IN_MEMORY)


def _as_rdbtools(form: rdbtools_formats.Format, job: _Job) -> Parser:
    sys.stdout.flush()
    reader = rdbtools_formats.reader_for(form, sys.stdout.buffer, largest=job.largest, only=job.only)
    parser = job.read(reader, values=True)
    reader.close()
    sys.stdout.buffer.flush()
    return parser


_FORMATS: dict[Format, Callable[[_Job], Parser]] = {
    "summary": _summary,
    "keys": _keys,
    "jsonl": _jsonl,
    "json": partial(_as_rdbtools, "json"),
    "protocol": partial(_as_rdbtools, "protocol"),
    "diff": partial(_as_rdbtools, "diff"),
    "memory": partial(_as_rdbtools, "memory"),
}
