"""Finds where a stream can be read from when its start was not captured: the next beginning of a command."""

from __future__ import annotations

import re

from tap.replication.scanner import StreamScanner

PROOF = 3  # consecutive whole commands; fewer may be chance
MAX_WAIT = 2**20  # bytes after a candidate within which its first commands have to end
# Limit on bytes scanned in vain: a constant, plus an allowance for each byte skipped. A value can hold a hundred thousand
# candidates in a row, each of which costs MAX_WAIT; beyond the limit the search continues after the bytes scanned.
MAX_IN_VAIN, IN_VAIN_EACH = 2**25, 16

_COMMAND = re.compile(rb"\*[1-9]\d{0,6}\r\n\$\d{1,9}\r\n[A-Za-z]")
_LONGEST_HEAD = 24
_REQUEST = re.compile(rb"\*\d+\r\n\$\d\r\n(?:REPLCONF|P?SYNC)\r\n", re.IGNORECASE)


class BoundaryFinder:
    """Collects bytes until it is known where a command begins; how the bytes are split makes no difference.

    RESP may also stand inside a value: a candidate counts once PROOF commands follow it without an error, or whole
    commands to the end of the bytes. skipped: bytes before those that are kept.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._buffer = bytearray()
        self._in_vain = 0

    @property
    def kept(self) -> int:
        """Number of bytes buffered."""
        return len(self._buffer)

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes. Returns everything from the first command on, once that is known."""
        self._buffer += data
        return self._find(at_end=False)

    def close(self) -> bytes | None:
        """No more bytes come: return the best candidate."""
        return self._find(at_end=True)

    def begins_with_command(self) -> bool:
        """Whether the very first byte begins a whole command, and no error follows."""
        if self.skipped or not _COMMAND.match(self._buffer):
            return False
        scanner = StreamScanner(None, keep_ends=True)
        scanner.feed(bytes(self._buffer))
        return bool(scanner.take_ends()) and not scanner.broken

    def _find(self, at_end: bool) -> bytes | None:
        buffer = self._buffer
        at = 0
        found = None
        while (match := _COMMAND.search(buffer, at)) is not None:
            at = match.start()
            scanner = StreamScanner(None, keep_ends=True)
            tried = bytes(buffer[at : at + MAX_WAIT])
            scanner.feed(tried)
            commands = len(scanner.take_ends())
            whole = at_end or len(tried) == MAX_WAIT
            if commands >= PROOF or (whole and commands and not scanner.broken):
                found = bytes(buffer[at:])
                break
            if not scanner.broken and not whole:
                break  # not known yet
            read = scanner.broken_at if scanner.broken else len(tried)
            self._in_vain += read
            is_too_much = self._in_vain > MAX_IN_VAIN + IN_VAIN_EACH * (self.skipped + at)
            at += max(1, read) if is_too_much else 1
        else:
            at = max(at, len(buffer) - _LONGEST_HEAD)
        self.skipped += at
        del buffer[:at]
        if found is not None:
            buffer.clear()
        return found


class RequestFinder:
    """As BoundaryFinder, for a replica's direction: finds the beginning of a request that only replicas make."""

    def __init__(self) -> None:
        self.skipped = 0
        self._buffer = bytearray()

    @property
    def kept(self) -> int:
        """Number of bytes buffered."""
        return len(self._buffer)

    def feed(self, data: bytes) -> bytes | None:
        self._buffer += data
        match = _REQUEST.search(self._buffer)
        at = max(0, len(self._buffer) - 40) if match is None else match.start()
        self.skipped += at
        del self._buffer[:at]
        return None if match is None else bytes(self._buffer)
