"""RDBs of all versions: see tests/rdb/fuzz.py, which makes and damages them."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

from rich.console import Console

from tap.console import rdbtools_formats
from tap.console.rdb_report import key_lines, report
from tap.rdb import JsonLines, KeyReader, Parser, Summary
from tests.fuzz.check import pieces
from tests.rdb.fuzz import Maker, complaints, damaged, seeds_at_hand

MAGIC = b"*1\r\n$4\r\nPING\r\n"


def rdb(rng: random.Random) -> bytes:
    seeds = seeds_at_hand()
    made = Maker(rng).rdb() if rng.random() < 0.4 else rng.choice(seeds)
    return damaged(made, rng, seeds) + rng.choice([b"", b"", MAGIC])


def rdb_complaints(data: bytes, rng: random.Random) -> Iterator[str]:
    yield from complaints(data, rng, None)
    yield from written(data, rng)


def written(data: bytes, rng: random.Random) -> Iterator[str]:
    """In the forms that the command writes."""
    out = io.BytesIO()
    lines = JsonLines(out.write)
    parser = _fed(Parser(lines, values=True), data, rng)
    lines.close()
    summary = Summary(10, None)
    parser = _fed(Parser(summary), data, rng)
    Console(file=io.StringIO(), width=100).print(report("x", parser, summary, 100))
    key_lines(summary.biggest())
    keys: list[str] = []
    _fed(Parser(KeyReader(lambda found: keys.append(key_lines(found)))), data, rng)
    form = rng.choice(["json", "protocol", "diff", "memory"])
    reader = rdbtools_formats.reader_for(form, io.BytesIO(), largest=None, only=None)  # type: ignore[arg-type]
    _fed(Parser(reader, values=True), data, rng)
    reader.close()
    yield from ()


def _fed(parser: Parser, data: bytes, rng: random.Random) -> Parser:
    for piece in pieces(data, rng, 10_000):
        parser.feed(piece)
        if parser.finished or parser.problem is not None:
            break
    parser.close()
    return parser
