"""The stream of a recording, byte for byte, cut at the boundaries of commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from tap.replication.scanner import StreamScanner

CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Copied:
    """offset: before the first byte. end_offset: after the last byte. commands: how many were copied.

    without_db: how many of them stand before the first SELECT, where the db is not known.
    """

    offset: int
    end_offset: int
    commands: int
    without_db: int


def copy_commands(stream: BinaryIO, out: BinaryIO, offset: int, begin: int | None, db: int | None) -> Copied:
    """Write all whole commands from the first that ends at or after offset *begin*; None: from the first.

    stream: a file that begins with a command. offset: before its first byte. db: in force there, None if unknown.
    """
    scanner = StreamScanner(db, keep_ends=True)
    first = 0 if begin is None else None
    count = without_db = 0
    stream.seek(0)
    while chunk := stream.read(CHUNK):
        before = scanner.boundary
        scanner.feed(chunk)
        found = scanner.take_ends()
        if first is None and begin is not None:
            passed = [end for _, end, _, _ in found if offset + end < begin]
            if len(passed) == len(found):
                continue
            first = passed[-1] if passed else before
            if first in scanner.inside:  # an RREPLAY is copied as a whole
                first = scanner.inside[first][3]
            found = [one for one in found if one[0] >= first]
        count += len(found)
        without_db += sum(known < 0 for _, _, known, _ in found)
    last = scanner.boundary
    if first is None:
        first = last
    _copy(stream, out, first, last)
    return Copied(offset + first, offset + last, count, without_db)


def _copy(stream: BinaryIO, out: BinaryIO, begin: int, end: int) -> None:
    stream.seek(begin)
    while begin < end:
        data = stream.read(min(CHUNK, end - begin))
        out.write(data)
        begin += len(data)
