"""Chooses, from the bytes of a stream in a file, those that a client would send to another server.

From an active KeyDB's RREPLAY it takes the command inside. It leaves out the commands of replication itself: PING,
REPLCONF and SELECT. SELECT is written anew where the db changes, so that the db is right whatever else was left out. The
wanted commands of a transaction are sent between its MULTI and EXEC; without any, the transaction is left out.

If only some dbs are wanted, no other db of the server is changed. A command that also affects other dbs is replaced by
its effect on the wanted ones: FLUSHALL becomes a FLUSHDB in each, a MOVE out of a wanted db becomes DEL. A command that
brings data into a wanted db from another one (SWAPDB, MOVE, COPY) cannot be sent, because the server lacks these data; it
is counted.

This module sends nothing, and copies bytes only to look at a command's name and arguments.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import hiredis

from tap.errors import RecordingError
from tap.glob import matcher
from tap.replication.dbs import ALIKE_IN_ALL_DBS, REACHING, reach, without_db
from tap.replication.keyspecs import KeyFinder
from tap.replication.scanner import StreamScanner

CHUNK = 2**18  # bytes
MAX_DBS = 1000  # dbs that are noted
LOOKED_AT = 2**20  # bytes of a command that are copied; if its keys lie beyond, it is mapped

_NEVER_SENT = frozenset({b"PING", b"REPLCONF", b"SELECT"})
_ENDS = frozenset({b"EXEC", b"DISCARD"})
_SPECIAL = _NEVER_SENT | _ENDS | {b"MULTI"}

# One command: its first byte, its end (for a command inside an RREPLAY, the end of the RREPLAY), its db, and whether a
# transaction is still open after it. A SELECT of ours has no bytes in the file: both positions are where the next command
# begins.
ExpectedReply = tuple[int, int, int, bool]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which commands are wanted; an empty field allows all. names: in upper case. globs: at least one key must match."""

    dbs: frozenset[int] = frozenset()
    names: frozenset[bytes] = frozenset()
    globs: Collection[Callable[[bytes], bool]] = ()

    @classmethod
    def of(cls, dbs: Iterable[int] = (), names: Iterable[str] = (), globs: Iterable[str] = ()) -> Choice:
        """names: in either case. globs: patterns, as KEYS takes them."""
        return cls(
            frozenset(dbs),
            frozenset(os.fsencode(name.upper()) for name in names),
            tuple(matcher(os.fsencode(glob)) for glob in globs),
        )

    @property
    def is_all(self) -> bool:
        return not (self.dbs or self.names or self.globs)

    def has_key(self, keys: Iterable[bytes]) -> bool:
        return not self.globs or any(matches(key) for key in keys for matches in self.globs)


@dataclass(slots=True)
class Pipeline:
    """What to send next. parts: bytes, or the range (first, end) of the file. entries: one per expected reply."""

    parts: list[bytes | tuple[int, int]] = field(default_factory=list)
    entries: list[ExpectedReply] = field(default_factory=list)

    @property
    def dbs(self) -> set[int]:
        """The dbs that it selects."""
        return {entry[2] for entry in self.entries if entry[0] == entry[1]}


class ClientCommands:
    """The commands of a stream, from a position in its file at which no transaction is open.

    If one is open there because its beginning is missing, the rest of it is sent without its EXEC.

    db: selected at that position, -1 if unknown. to_db: the db that all commands go to; None: each to its own. selected:
    the db selected at the server, -1 if unknown. unplaced: commands left out because their db is unknown. unfilled:
    commands left out because they bring data into a wanted db from another one. came: all commands, wanted or not. dbs:
    the dbs of these commands, except where all commands are wanted.
    """

    def __init__(
        self, file: int, start: int, db: int, choice: Choice, *, to_db: int | None = None, selected: int = -1
    ) -> None:
        self._file = file
        self._start = start
        self._choice = choice
        self._to_db = to_db
        self.selected = selected
        self.position = start
        self.unplaced = 0
        self.unfilled = 0
        self.came = 0
        self.dbs: set[int] = set()
        self._scanner = StreamScanner(None if db < 0 else db, keep_ends=True)
        self._scanner.watch(_SPECIAL | REACHING | choice.names)
        self._names: dict[int, bytes] = {}  # names of watched commands, by first byte
        self._ends: dict[int, int] = {}  # ends of commands inside an RREPLAY, by first byte
        self._multi: ExpectedReply | None = None  # a MULTI not sent yet, because nothing after it was wanted so far
        self._is_open = False  # whether a transaction is open

    def take(self, end: int) -> Pipeline:
        """The commands that become complete with the bytes up to *end*. Raises RecordingError for other bytes."""
        scanner, start = self._scanner, self._start
        scanner.feed(os.pread(self._file, end - self.position, self.position))
        self.position = end
        if scanner.broken:
            raise RecordingError(f"byte {start + scanner.broken_at} of the stream is not understood: {scanner.broken}")
        for begin, name_end in scanner.take_matches()[0]:
            head = os.pread(self._file, name_end - begin, start + begin)
            self._names[start + begin] = head.split(b"\r\n")[2].upper()
        pipeline = Pipeline()
        found = scanner.take_ends()
        inside = scanner.inside
        self._ends = {begin: end for begin, end in self._ends.items() if self._multi and begin == self._multi[0]}
        # Without a SELECT between them all commands are in the db of the first.
        is_plain = not self._names and not inside and self._choice.is_all
        if found and is_plain and not found[0][3] and self._target(found[0][2]) >= 0:
            self._select(pipeline, start + found[0][0], found[0][2])
            pipeline.parts.append((start + found[0][0], start + found[-1][1]))
            if start:
                found = [(begin + start, end + start, db, False) for begin, end, db, _ in found]
            pipeline.entries += found
            self.came += len(found)
            return pipeline
        for begin, end, db, is_open in found:
            if begin in inside:
                name, begin, text_end, *_ = inside[begin]
                self._names[start + begin] = name
                self._ends[start + begin] = start + text_end
            self._add(pipeline, (start + begin, start + end, db, is_open))
        return pipeline

    def _add(self, pipeline: Pipeline, entry: ExpectedReply) -> None:
        begin, end, db, is_open = entry
        name = self._names.pop(begin, None)
        was_open, self._is_open = self._is_open, is_open and name not in _ENDS
        if name in _NEVER_SENT:
            return
        if name == b"MULTI":
            self._multi = entry
        elif name in _ENDS:
            if self._multi is None and was_open:  # otherwise its MULTI is missing
                self._put(pipeline, (begin, end, db, False))
            self._multi = None
        else:
            self.came += 1
            if db >= 0 and len(self.dbs) < MAX_DBS:
                self.dbs.add(db)
            if not self._choice.names or name in self._choice.names:
                self._add_data(pipeline, entry, name)

    def _add_data(self, pipeline: Pipeline, entry: ExpectedReply, name: bytes | None) -> None:
        if name in REACHING:
            self._add_reaching(pipeline, entry, name)
        elif self._is_wanted(entry):
            begin, _, db, _ = entry
            if db < 0 and not self._choice.dbs and (name or _name(self._file, begin)) in ALIKE_IN_ALL_DBS:
                self._send_anywhere(pipeline, entry)
            else:
                self._send(pipeline, entry)

    def _is_wanted(self, entry: ExpectedReply) -> bool:
        """Whether a command is wanted, by its db and its keys. A command whose db is unknown may be."""
        choice = self._choice
        if choice.dbs and entry[2] >= 0 and entry[2] not in choice.dbs:
            return False
        return not choice.globs or choice.has_key(keys(self._file, entry[0], entry[1]))

    def _send(self, pipeline: Pipeline, entry: ExpectedReply, words: Sequence[bytes] = ()) -> None:
        """Send a command in its db. words: send these in place of the command."""
        begin, _, db, is_open = entry
        if self._target(db) < 0:
            self.unplaced += 1
            return
        self._select(pipeline, begin, db)
        self._open(pipeline, is_open)
        if words:
            pipeline.parts.append(_packed(words))
            pipeline.entries.append(entry)
        else:
            self._put(pipeline, entry)

    def _send_anywhere(self, pipeline: Pipeline, entry: ExpectedReply) -> None:
        """Send a command that does the same in any db, in the one that is selected."""
        self._open(pipeline, entry[3])
        self._put(pipeline, entry)

    def _put(self, pipeline: Pipeline, entry: ExpectedReply) -> None:
        last = pipeline.parts[-1] if pipeline.parts else b""
        end = self._ends.get(entry[0], entry[1])
        if isinstance(last, tuple) and last[1] == entry[0]:
            pipeline.parts[-1] = last[0], end
        else:
            pipeline.parts.append((entry[0], end))
        pipeline.entries.append(entry)

    def _open(self, pipeline: Pipeline, is_open: bool) -> None:
        """Send the pending MULTI of an open transaction."""
        if is_open and self._multi is not None:
            self._put(pipeline, self._multi)
            self._multi = None

    def _add_reaching(self, pipeline: Pipeline, entry: ExpectedReply, name: bytes) -> None:
        """Add a command that affects other dbs than its own."""
        begin, end, own, is_open = entry
        choice, dbs = self._choice, self._choice.dbs
        arguments = _words(self._file, begin, end)[1:]
        here, places = reach(name, arguments)
        if not places:  # a COPY within its db
            if self._is_wanted(entry):
                self._send(pipeline, entry)
            return
        has_key = choice.has_key([*here, *(key for _, named in places for key in named)])
        is_whole = all(db in dbs for db, _ in places) and (own in dbs or name == b"SWAPDB")
        if not has_key:
            return
        if not dbs or is_whole:
            if name in ALIKE_IN_ALL_DBS and (own < 0 or (dbs and own not in dbs)):
                self._send_anywhere(pipeline, entry)
            elif name == b"COPY" and self._to_db is not None:
                self._send(pipeline, entry, (name, *without_db(arguments)))
            else:
                self._send(pipeline, entry)
        elif name == b"FLUSHALL":
            *others, last = sorted(dbs)
            for db in others:
                self._send(pipeline, (begin, end, db, True), (b"FLUSHDB", *arguments))
            self._send(pipeline, (begin, end, last, is_open), (b"FLUSHDB", *arguments))
        elif any(db in dbs and (not named or choice.has_key(named)) for db, named in places):
            self.unfilled += 1
        elif name == b"MOVE" and (own in dbs or own < 0):
            self._send(pipeline, entry, (b"DEL", *here))

    def _target(self, db: int) -> int:
        return db if self._to_db is None or db < 0 else self._to_db

    def _select(self, pipeline: Pipeline, at: int, db: int) -> None:
        db = self._target(db)
        if db != self.selected:
            self.selected = db
            digits = b"%d" % db
            pipeline.parts.append(b"*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n" % (len(digits), digits))
            pipeline.entries.append((at, at, db, True))


def _packed(words: Sequence[Any]) -> bytes:
    packed: bytes = hiredis.pack_command(tuple(words))
    return packed


def _words(file: int, begin: int, end: int) -> list[bytes]:
    """The words of the complete command in these bytes of a file."""
    reader = hiredis.Reader()
    reader.feed(os.pread(file, end - begin, begin))
    words: list[bytes] = reader.gets()
    return words


def keys(file: int, begin: int, end: int) -> list[bytes]:
    """The keys of the command in these bytes of a file."""
    head = memoryview(os.pread(file, min(end - begin, LOOKED_AT), begin))
    finder = KeyFinder()
    found, more = finder.keys(head)
    if more and end - begin > LOOKED_AT:  # keys after long values
        aligned = begin - begin % mmap.ALLOCATIONGRANULARITY
        with mmap.mmap(file, end - aligned, offset=aligned, access=mmap.ACCESS_READ) as mapped:
            with memoryview(mapped) as view, view[begin - aligned :] as command:
                found += finder.keys(command)[0]
    return found


def name(file: int, begin: int) -> str:
    """The name of the command that begins there."""
    return _name(file, begin).decode("latin-1")


def _name(file: int, begin: int) -> bytes:
    return os.pread(file, 128, begin).split(b"\r\n")[2].upper()


def whole_until(file: int, limit: int, db: int = -1) -> tuple[int, int]:
    """The last position up to *limit* at which no command and no transaction is open, and the db selected there.

    limit: within the file. db: selected at the beginning of the file. -1 stands for an unknown db.
    """
    scanner = StreamScanner(None if db < 0 else db)
    scanner.watch(frozenset({b"MULTI"}))
    multi = 0
    while scanner.position < limit and not scanner.broken:
        scanner.feed(os.pread(file, min(CHUNK, limit - scanner.position), scanner.position))
        for begin, _ in scanner.take_matches()[0]:
            multi = begin
    # An incomplete MULTI has opened nothing. Its head may have been seen, but then no transaction is open.
    place = multi if scanner.in_transaction else scanner.boundary
    found = scanner.db_at(place)
    return place, -1 if found is None else found
