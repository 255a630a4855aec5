"""A chapter of a recording as an append-only file that a server boots from: multi-part, of Redis 7.0 and later.

The directory holds what a server's `appenddirname` does (Redis 7.0 aof.c, aofManifest): appendonly.aof.manifest names a
base, here the RDB as it was sent, and an increment, here the stream. The increment holds what the server itself would
have written, so parts of the stream are left out or rewritten:

- left out: what goes to replicas only, namely PING and REPLCONF (replication.c), PUBLISH and SPUBLISH (pubsub.c); and
  bare newlines, which loading takes for damage (aof.c, loadSingleAppendOnlyFile)
- added: a SELECT before the first command that is executed in a db, or before the MULTI of its transaction, because
  loading begins in db 0, and a stream need not (Valkey's dual channel)
- replaced: an active KeyDB's RREPLAY by the command inside it, after a SELECT if that command is in another db
- replaced: relative expiries by points in time. Masters before Redis 7.0 send some as seconds from now, which a replica
  counts from when it receives them (Redis 6.2 aof.c, feedAppendOnlyFile, does the same for the AOF)
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tap.errors import RecordingError
from tap.export.destination import new_directory
from tap.recording.copying import copy_chapter
from tap.recording.history import Chapter, Read
from tap.replication.dbs import ALIKE_IN_ALL_DBS
from tap.replication.scanner import StreamScanner

BASE = "appendonly.aof.1.base.rdb"
INCREMENT = "appendonly.aof.1.incr.aof"
MANIFEST = "appendonly.aof.manifest"
MANIFEST_TEXT = f"file {BASE} seq 1 type b\nfile {INCREMENT} seq 1 type i\n"

CHUNK = 2**20
LEFT_OUT = frozenset({b"PING", b"REPLCONF", b"PUBLISH", b"SPUBLISH"})
RELATIVE = frozenset({b"SET", b"SETEX", b"PSETEX", b"EXPIRE", b"PEXPIRE", b"RESTORE"})
ENDS = frozenset({b"EXEC", b"DISCARD"})  # of a transaction
LONGEST_HEAD = 64  # bytes from the beginning of a command in which its name has to end
MAX_DIGITS = 20  # of a 64-bit number with its sign
WITHOUT_EXPIRY = b"*3\r\n"  # the beginning of SET key value
LONGEST_HEADING = 32  # bytes of a count or a length, with its CRLF
LONGEST_OPTION = 16  # bytes; no option searched for is longer

Span = tuple[int, int]  # first byte and end in a stream
Parts = list[Span | bytes]
Row = tuple[Span, Parts | None]  # consecutive commands, and what to write instead; None: the commands themselves


@dataclass(frozen=True, slots=True)
class Written:
    """offset: of the last byte included. time: when that byte came, in nanoseconds; None if nothing followed the RDB.

    commands: number of commands after the RDB.
    """

    offset: int
    time: int | None
    commands: int


def write_aof(read: Read, chapter: Chapter, path: Path) -> Written:
    """Make the directory from a chapter, up to the end of the last whole command or transaction in it."""
    with new_directory(path) as directory:
        with (
            _new(directory / BASE) as base,
            tempfile.TemporaryFile(dir=directory) as stream,
            _new(directory / INCREMENT) as increment,
        ):
            marks = copy_chapter(read, chapter, base, stream)
            stream.flush()

            def milliseconds_at(position: int) -> int:
                time = marks.time_at(chapter.offset + position)
                assert time is not None
                return time // 1_000_000

            size, commands = write_commands(stream, increment, chapter.db, milliseconds_at)
            for file in (base, increment):
                file.flush()
                os.fsync(file.fileno())
        with _new(directory / MANIFEST) as manifest:
            manifest.write(MANIFEST_TEXT.encode())
            manifest.flush()
            os.fsync(manifest.fileno())
    offset = chapter.offset + size
    return Written(offset, marks.time_at(offset) if size else None, commands)


def _new(path: Path) -> BinaryIO:
    return open(path, "x+b", opener=lambda name, flags: os.open(name, flags, 0o600))


def write_commands(
    stream: BinaryIO, out: BinaryIO, db: int | None, milliseconds_at: Callable[[int], int]
) -> tuple[int, int]:
    """Write the part of a stream that belongs into an AOF, up to the last whole command or transaction.

    db: in force at its beginning, None if unknown. milliseconds_at: when the byte before a position was received, since
    the epoch. Returns the position up to which commands were written, and their number.

    Raises RecordingError if a command is executed in a db that is not known.
    """
    scanner = StreamScanner(db, keep_ends=True)
    scanner.watch(LEFT_OUT | RELATIVE | ENDS)
    source = _Source(stream)
    names: dict[int, int] = {}  # first byte of each watched command, to the end of its name
    waiting: list[Row] = []
    safe = 0  # the end of the last whole command or transaction
    count = written = 0
    current: int | None = None  # the db of the last SELECT that was written
    # Of the open transaction, where MULTI begins: a SELECT that a command inside needs can stand there, as long as no
    # command of it is executed in a db. None without one.
    multi: int | None = None
    was_in_transaction = False
    for chunk in source.chunks():
        scanner.feed(chunk)
        names.update(scanner.take_matches()[0])
        for begin, end, selected, in_transaction in scanner.take_ends():
            if not in_transaction:
                safe, written = begin, count
            if in_transaction != was_in_transaction:
                was_in_transaction = in_transaction
                multi = begin if in_transaction else None
            name = source.name(begin, names.pop(begin)) if begin in names else b""
            text: Span = begin, end
            changed: Parts | None = None
            if (inside := scanner.inside.get(begin)) is not None:
                name, text = inside[0], inside[1:3]
                changed = [text]
            if name not in LEFT_OUT:
                if selected != current or multi is not None:
                    first = name or source.name(begin, min(end, begin + LONGEST_HEAD))
                    if first not in ALIKE_IN_ALL_DBS or first == b"SELECT":
                        if selected != current and first != b"SELECT":
                            waiting.insert(
                                len(waiting) if multi is None else _place(waiting, multi), _select(begin, selected)
                            )
                        current, multi = selected, None
                count += 1
                if name in RELATIVE and not (name == b"SET" and source.starts(text[0], WITHOUT_EXPIRY)):
                    changed = _absolute(name, source, *text, milliseconds_at) or changed
                last = waiting[-1] if waiting else None
                if changed is None and last is not None and last[1] is None and last[0][1] == begin:
                    waiting[-1] = (last[0][0], end), None
                else:
                    waiting.append(((begin, end), changed))
            if not in_transaction or name in ENDS:
                safe, written = end, count
                was_in_transaction, multi = False, None
        waiting = _write_to(out, source, waiting, safe)
    return safe, written


def _place(waiting: list[Row], position: int) -> int:
    """The index of the row that begins at a position where a command does. Splits the one that it stands in."""
    index = len(waiting)
    while index and waiting[index - 1][0][1] > position:
        index -= 1
    (begin, end), parts = waiting[index]
    if begin < position:
        waiting[index : index + 1] = [((begin, position), parts), ((position, end), parts)]
        index += 1
    return index


def _write_to(out: BinaryIO, source: _Source, waiting: list[Row], safe: int) -> list[Row]:
    """Write the rows up to a position. Returns the rows after it."""
    left: list[Row] = []
    for (begin, end), parts in waiting:
        if parts is None and begin < safe < end:
            left.append(((safe, end), parts))
            end = safe
        if end > safe:
            left.append(((begin, end), parts))
            continue
        for part in [(begin, end)] if parts is None else parts:
            if isinstance(part, bytes):
                out.write(part)
            else:
                source.copy(part, out)
    return left


def _select(position: int, db: int) -> Row:
    if db < 0:
        raise RecordingError("the db of the first commands after the RDB is not known: no SELECT stands before them")
    return (position, position), [b"*2\r\n$6\r\nSELECT\r\n$%d\r\n%d\r\n" % (len(str(db)), db)]


class _Source:
    """A stream in a file, read from the beginning; earlier bytes can be read again."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file.fileno()
        self._at = 0
        self._chunk = b""

    def chunks(self) -> Iterator[bytes]:
        while chunk := os.pread(self._file, CHUNK, self._at + len(self._chunk)):
            self._at += len(self._chunk)
            self._chunk = chunk
            yield chunk

    def read(self, begin: int, end: int) -> bytes:
        """Bytes of the chunks so far."""
        if begin >= self._at:
            return self._chunk[begin - self._at : end - self._at]
        return os.pread(self._file, end - begin, begin)

    def starts(self, begin: int, with_: bytes) -> bool:
        return self.read(begin, begin + len(with_)) == with_

    def name(self, begin: int, end: int) -> bytes:
        """The name of the command at *begin*. end: at or after the end of the name."""
        return self.read(begin, end).split(b"\r\n")[2].upper()

    def copy(self, span: Span, out: BinaryIO) -> None:
        begin, end = span
        while begin < end:
            data = self.read(begin, min(begin + CHUNK, end))
            out.write(data)
            begin += len(data)

    def arguments(self, begin: int) -> list[Span]:
        """The arguments of a whole command, beginning with its name."""
        count, position = self._number(begin)
        found = []
        for _ in range(count):
            size, first = self._number(position)
            found.append((first, first + size))
            position = first + size + 2
        return found

    def _number(self, begin: int) -> tuple[int, int]:
        """The number in a heading, and the end of the heading."""
        line = self.read(begin, begin + LONGEST_HEADING).partition(b"\r\n")[0]
        return int(line[1:]), begin + len(line) + 2


class _Unchanged(Exception):
    """A command without a relative expiry."""


def _absolute(name: bytes, source: _Source, begin: int, end: int, milliseconds_at: Callable[[int], int]) -> Parts | None:
    """A command that sets an expiry, rewritten with a point in time.

    None if it has a point in time already, or no number: replicas refuse such a command, and loading the AOF will, too.
    """
    spans = source.arguments(begin)
    now = milliseconds_at(end)

    def moment(span: Span, unit: int) -> bytes:
        said = source.read(*span) if span[1] - span[0] <= MAX_DIGITS else b""
        if not re.fullmatch(rb"-?[0-9]+", said):
            raise _Unchanged
        return b"%d" % (now + int(said) * unit)

    try:
        return _packed(_with_moment(name, source, spans, moment))
    except (_Unchanged, IndexError):
        return None


def _with_moment(name: bytes, source: _Source, spans: list[Span], moment: Callable[[Span, int], bytes]) -> Parts:
    """Raises _Unchanged or IndexError for a command that is to be written unchanged."""
    words: Parts = list(spans)
    if name in (b"EXPIRE", b"PEXPIRE"):
        words[0], words[2] = b"PEXPIREAT", moment(spans[2], 1000 if name == b"EXPIRE" else 1)
    elif name in (b"SETEX", b"PSETEX"):
        words = [b"SET", spans[1], spans[3], b"PXAT", moment(spans[2], 1000 if name == b"SETEX" else 1)]
    elif name == b"SET":
        at, option = _option(source, spans, 3, (b"EX", b"PX"))
        if at is None:
            raise _Unchanged
        words[at], words[at + 1] = b"PXAT", moment(spans[at + 1], 1000 if option == b"EX" else 1)
    else:
        if source.read(*spans[2]) == b"0" or _option(source, spans, 4, (b"ABSTTL",))[0] is not None:
            raise _Unchanged
        words[2] = moment(spans[2], 1)
        words.append(b"ABSTTL")
    return words


def _option(source: _Source, spans: list[Span], first: int, known: tuple[bytes, ...]) -> tuple[int | None, bytes]:
    """The index of the first argument that is one of these words, and the word."""
    for number, span in enumerate(spans[first:], first):
        word = source.read(span[0], min(span[1], span[0] + LONGEST_OPTION)).upper()
        if word in known:
            return number, word
    return None, b""


def _packed(words: Parts) -> Parts:
    """The command with these arguments."""
    parts: Parts = [b"*%d\r\n" % len(words)]
    for word in words:
        size = len(word) if isinstance(word, bytes) else word[1] - word[0]
        parts += [b"$%d\r\n" % size, word, b"\r\n"]
    return parts
