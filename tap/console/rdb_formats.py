"""The formats of `redis-tap rdb`: what reads the RDB for each of them, and writes it to stdout.

How it looks stands elsewhere: tables, and the columns of a line per key, in rdb_report.py; JSON lines in rdb/jsonl.py;
the formats of rdbtools in rdbtools_formats.py.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO, Literal

from tap.console import rdbtools_formats
from tap.console.rdb_report import HEADING, key_lines, report
from tap.console.terminal import Terminal
from tap.rdb import JsonLines, Key, KeyReader, Parser, Source, Summary, Tape, read

Format = Literal["summary", "keys", "jsonl", "json", "protocol", "diff", "memory"]

IN_MEMORY = 8 * 2**20  # bytes of one string held in memory until its end
LARGEST = 10  # keys in a table


@dataclass(frozen=True, slots=True)
class Selection:
    """Which keys of which RDB. name: of the source. size: bytes of it; None for a pipe. only: the wanted keys; None
    for all. largest: how many of the largest keys.
    """

    name: str
    source: Source
    size: int | None
    only: Callable[[Key], bool] | None
    largest: int | None

    def read(self, reader: Callable[[Tape], None], *, values: bool = False) -> Parser:
        return read(self.source, reader, values=values, size=self.size)


def write(form: Format, selection: Selection) -> Parser:
    """Write the RDB to stdout. Returns its parser, whose problem says where it is damaged."""
    return _FORMATS[form](selection)


def _summary(selection: Selection) -> Parser:
    summary = Summary(selection.largest or LARGEST, selection.only)
    parser = selection.read(summary)
    if parser.version:  # without a version it is not an RDB, and there is nothing to report
        console = Terminal()
        console.print(report(selection.name, parser, summary, console.width))
    return parser


def _keys(selection: Selection) -> Parser:
    sys.stdout.write(f"{HEADING}\n")
    if selection.largest is not None:
        summary = Summary(selection.largest, selection.only)
        parser = selection.read(summary)
        sys.stdout.write(key_lines(summary.biggest()))
        return parser
    only = selection.only
    return selection.read(KeyReader(lambda keys: _put(key_lines(keys if only is None else filter(only, keys)))))


def _put(text: str) -> None:
    sys.stdout.write(text)


def _jsonl(selection: Selection) -> Parser:
    sys.stdout.flush()
    lines = JsonLines(sys.stdout.buffer.write, spool=_spool, only=selection.only)
    parser = selection.read(lines, values=True)
    lines.close()
    sys.stdout.buffer.flush()
    return parser


def _spool() -> IO[bytes]:
    """The file in which one long string waits for its end."""
    return tempfile.SpooledTemporaryFile(IN_MEMORY)


def _as_rdbtools(form: rdbtools_formats.Format, selection: Selection) -> Parser:
    sys.stdout.flush()
    reader = rdbtools_formats.reader_for(form, sys.stdout.buffer, largest=selection.largest, only=selection.only)
    parser = selection.read(reader, values=True)
    reader.close()
    sys.stdout.buffer.flush()
    return parser


_FORMATS: dict[Format, Callable[[Selection], Parser]] = {
    "summary": _summary,
    "keys": _keys,
    "jsonl": _jsonl,
    "json": partial(_as_rdbtools, "json"),
    "protocol": partial(_as_rdbtools, "protocol"),
    "diff": partial(_as_rdbtools, "diff"),
    "memory": partial(_as_rdbtools, "memory"),
}
