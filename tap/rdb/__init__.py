"""RDB snapshots, read from bytes alone: nothing here opens a file or reads a clock.

    with open("dump.rdb", "rb") as file:
        for key in keys(file):
            print(key.db, key.key, key.type, key.serialized_bytes)

    class Users(Handler):
        def hash_field(self, field, value, expires_at_ms):
            print(field, value)

    with open("dump.rdb", "rb") as file:
        handle(file, Users(), only=lambda key: key.key.startswith(b"user:"))

A source is a binary file, a pipe, or any iterable of bytes. tape.py explains the mechanism and is the place to start:
the parser writes what it finds on a tape of numbers, and readers of the tape (Summary, KeyReader, JsonLines, or one of
your own) take from it what they need.

    parser, states        bytes in, a tape out; the states between two pieces of bytes
    values, strings       values one element at a time; lengths, strings, and packed values in them
    packed                listpack, ziplist, intset, zipmap
    integers, lzf, crc64  integers, compression, the checksum
    problem               what is wrong with an RDB, and where
    tape, tokens          what is found, as numbers; their vocabulary
    keys, summary         readers of a tape: each key's name, type, size, expiry and idle time, without its value; totals
    key_filter            which keys are wanted
    jsonl, json_parts     a line of JSON for each key; its rarer parts
    handler, callbacks    one method for each kind of element: ours, and rdbtools'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from tap.errors import RdbError
from tap.rdb.handler import Handler, HandlerReader
from tap.rdb.jsonl import JsonLines
from tap.rdb.keys import Key, KeyReader
from tap.rdb.parser import Parser
from tap.rdb.problem import Problem
from tap.rdb.summary import Summary
from tap.rdb.tape import Tape

__all__ = [
    "Handler", "JsonLines", "Key", "KeyReader", "Parser", "Problem", "Source", "Summary", "Tape", "chunks", "handle",
    "keys", "read",
]  # fmt: skip

CHUNK_SIZE = 256 * 1024


class _Readable(Protocol):
    def readinto(self, buffer: bytearray, /) -> int | None: ...


Source = _Readable | Iterable[bytes | memoryview]


def read(
    source: Source, reader: Callable[[Tape], None], *, values: bool = False, checks: bool = True, size: int | None = None
) -> Parser:
    """Read an RDB to its end. The arguments are those of Parser; bytes after the RDB are ignored.

    Returns the parser; its problem is None if the RDB is whole and sound.
    """
    parser = Parser(reader, values=values, checks=checks, size=size)
    for chunk in chunks(source):
        parser.feed(chunk)
        if parser.finished or parser.problem is not None:
            break
    parser.close()
    return parser


def keys(source: Source, *, checks: bool = True) -> Iterator[Key]:
    """Yield every key in the order of the RDB. Raises RdbError after the last readable key if the RDB is damaged."""
    found: list[Key] = []
    parser = Parser(KeyReader(found.extend), checks=checks)
    for chunk in chunks(source):
        parser.feed(chunk)
        yield from found
        found.clear()
        if parser.finished or parser.problem is not None:
            break
    problem = parser.close()
    if problem is not None:
        raise RdbError(problem)


def handle(source: Source, handler: Handler, *, only: Callable[[Key], bool] | None = None, checks: bool = True) -> None:
    """Pass every key and its value to a handler, or only the keys for which *only* is true.

    Raises RdbError as keys() does.
    """
    parser = read(source, HandlerReader(handler, only), values=True, checks=checks)
    if parser.problem is not None:
        raise RdbError(parser.problem)


def chunks(source: Source) -> Iterator[bytes | memoryview]:
    """Yield the source's bytes in pieces; each piece is valid until the next one is requested."""
    readinto = getattr(source, "readinto", None)
    if readinto is None:
        yield from source  # type: ignore[misc]
        return
    buffer = bytearray(CHUNK_SIZE)
    view = memoryview(buffer)
    while size := readinto(buffer):
        yield view[:size]
