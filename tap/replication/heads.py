"""The name, keys and size of each command of a stream, without its values: all that statistics need, at a low cost."""

from __future__ import annotations

import re

import hiredis

from tap.replication.dbs import REACHING, Place, reach
from tap.replication.keyspecs import FROM_THE_FIRST, NOT_THE_FIRST, KeyFinder, has_keys
from tap.replication.scanner import StreamScanner

HEAD = 2**16  # bytes of a command that are searched for its keys
MAX_NAMES = 1000  # the scanner's limit
OTHER = "(other)"

# End (position in the stream), bytes, db or None, upper-case name, keys in that db, places in other databases. A plain
# tuple, because there are millions.
Head = tuple[int, int, int | None, str, tuple[bytes, ...], tuple[Place, ...]]

# The name is found by its end, not by its length: no server's command has a newline in its name, such one is OTHER.
_HEAD = re.compile(rb"\*(\d+)\r\n\$\d+\r\n([^\r\n]{0,48})\r\n(?:\$(\d+)\r\n)?")

_NONE, _FIRST, _FROM_FIRST, _FOUND, _REACHING = range(5)  # where the keys of a command are


class HeadReader:
    """Reads one stream along with its scanner, which must have keep_ends.

    The result does not depend on how the bytes are split. Of an incomplete command, its *head* first bytes are kept.
    """

    def __init__(self, scanner: StreamScanner, head: int = HEAD) -> None:
        """head: bytes of a command that are searched for its keys."""
        self._scanner = scanner
        self._size = head
        self._kept = b""  # the beginning of the incomplete command
        self._names: dict[bytes, tuple[str, int]] = {}

    def read(self, data: bytes) -> list[Head]:
        """The commands completed since the last call. data: the bytes that the scanner was just fed."""
        scanner = self._scanner
        start = scanner.position - len(data)
        found: list[Head] = []
        for begin, end, db, _ in scanner.take_ends():
            if scanner.inside and begin in scanner.inside:
                head = self._inside(data, start, *scanner.inside[begin])
                found.append((end, end - begin, None if db < 0 else db, *head))
                continue
            if begin < start:
                text, at = self._kept + data[: self._size - len(self._kept)], 0
            else:
                text, at = data, begin - start
            size = end - begin
            found.append((end, size, None if db < 0 else db, *self._head(text, at, at + min(size, self._size))))
        self._keep(data, scanner.boundary - start)
        return found

    def pass_over(self, data: bytes | memoryview) -> None:
        """Skip commands: their ends were not kept. data: the bytes that the scanner was just fed."""
        self._keep(data, self._scanner.boundary - self._scanner.position + len(data))

    def _keep(self, data: bytes | memoryview, done: int) -> None:
        """Keep the beginning of the incomplete command. done: bytes of the data before it, or negative."""
        if done >= 0:
            self._kept = bytes(data[done : done + self._size])
        elif len(self._kept) < self._size:
            self._kept += bytes(data[: self._size - len(self._kept)])

    def _inside(
        self, data: bytes, start: int, name: bytes, begin: int, end: int, outer_begin: int, outer_end: int
    ) -> tuple[str, tuple[bytes, ...], tuple[Place, ...]]:
        """Name, keys and other places of a command in an RREPLAY; see scanner.Inside. start: position of the data."""
        if outer_begin < start:
            text, start = self._kept + data[: self._size - len(self._kept)], outer_begin
        else:
            text = data
        limit = min(end, outer_begin + self._size)
        if begin < limit and _HEAD.match(text, begin - start, limit - start):
            return self._head(text, begin - start, limit - start)
        return name.decode("latin-1"), (), ()

    def _head(self, text: bytes, at: int, limit: int) -> tuple[str, tuple[bytes, ...], tuple[Place, ...]]:
        match = _HEAD.match(text, at, limit)
        if match is None:
            return OTHER, (), ()
        count, word, length = match.groups()
        known = self._names.get(word)
        if known is None:
            known = self._learn(word)
        name, where = known
        if where == _REACHING:
            return name, *_reach(word.upper(), text[at:limit])
        if where == _NONE or length is None:
            return name, (), ()
        if where == _FIRST or (where == _FROM_FIRST and count == b"2"):
            begin = match.end()
            end = begin + int(length)
            return name, (text[begin:end],) if end + 2 <= limit else (), ()
        return name, tuple(KeyFinder().keys(memoryview(text)[at:limit])[0]), ()

    def _learn(self, word: bytes) -> tuple[str, int]:
        upper = word.upper()
        if upper in REACHING:
            where = _REACHING
        elif not has_keys(upper):
            where = _NONE
        elif upper in NOT_THE_FIRST:
            where = _FROM_FIRST if upper in FROM_THE_FIRST else _FOUND
        else:
            where = _FIRST
        if len(self._names) >= MAX_NAMES:
            return OTHER, where
        self._names[word] = known = (upper.decode("latin-1"), where)
        return known


def _reach(name: bytes, command: bytes) -> tuple[tuple[bytes, ...], tuple[Place, ...]]:
    """As dbs.reach(), for the words of a command; nothing for an incomplete one."""
    reader = hiredis.Reader()
    reader.feed(command)
    words = reader.gets()
    return ((), ()) if words is False else reach(name, words[1:])
