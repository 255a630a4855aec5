"""The name and arguments of each command of a stream, at the places that its scanner finds."""

from __future__ import annotations

import hiredis

from tap.replication.passwords import SECRETIVE, hidden
from tap.replication.scanner import StreamScanner

HEAD = 2**16  # bytes kept of a command that is too large; the arguments that are whole in them are read


class ArgumentReader:
    """Collects the bytes fed to the scanner, which must have keep_ends, until their commands have been read.

    Positions are those of the scanner. Of a command of more than max_command bytes only the first are kept. held: bytes
    that have not been read yet.
    """

    def __init__(self, scanner: StreamScanner, max_command: int) -> None:
        self._scanner = scanner
        self._max_command = max_command
        self._unread = bytearray()  # the beginning of a command that is not whole yet
        self._start = 0  # its position
        self._head = b""  # the first bytes of a command that is too large to be collected
        self._head_size = min(HEAD, max_command)
        self._reader = hiredis.Reader()

    @property
    def held(self) -> int:
        return len(self._unread)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the bytes that the scanner was just fed."""
        self._unread += data

    def words(self, begin: int, end: int) -> tuple[bytes, tuple[bytes, ...], bool]:
        """Upper-case name and arguments of the whole command in these bytes; and whether arguments are left out."""
        start = self._start
        inside = self._scanner.inside.get(begin)
        known, text_begin, text_end, outer_begin, outer_end = inside or (b"", begin, end, begin, end)
        omitted = outer_end - outer_begin > self._max_command
        if omitted:
            at = outer_begin - start
            head = self._unread[at : at + self._head_size] if at >= 0 else self._head
            name, args = _leading(head[text_begin - outer_begin : text_end - outer_begin])
        else:
            # One reader is reused: creating one takes as long as reading a small command.
            self._reader.feed(bytes(self._unread[text_begin - start : text_end - start]))
            name, *words = self._reader.gets()
            args = tuple(words)
        name = name.upper()
        if name in SECRETIVE:
            args = hidden((name, *args))[1:]
        return name or known.upper(), args, omitted

    def drop_read(self) -> None:
        """Drop the whole commands, which have all been read."""
        boundary = self._scanner.boundary
        done = max(0, boundary - self._start)
        if self._scanner.broken or len(self._unread) - done > self._max_command:
            if boundary >= self._start:
                self._head = bytes(self._unread[done : done + self._head_size])
            done = len(self._unread)
        del self._unread[:done]
        self._start += done


def _leading(head: bytes | bytearray) -> tuple[bytes, tuple[bytes, ...]]:
    """Name and arguments of a command, as far as they are whole in its first bytes."""
    found, at = [], head.find(b"\r\n") + 2
    while (end := head.find(b"\r\n", at)) >= 0:
        size = int(head[at + 1 : end])
        at = end + 2 + size + 2
        if at > len(head):
            break
        found.append(bytes(head[end + 2 : end + 2 + size]))
    return (found[0], tuple(found[1:])) if found else (b"", ())
