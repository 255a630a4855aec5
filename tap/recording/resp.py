"""The stream of a recording, byte for byte, cut where commands are."""

from __future__ import annotations

from typing import BinaryIO

from tap.replication.scanner import StreamScanner

CHUNK = 2**20


def copy_commands(stream: BinaryIO, out: BinaryIO, offset: int, begin: int | None) -> tuple[int, int, int]:
    """Write the whole commands, from the first on that ends at or behind an offset.

    stream: a file that begins with a command. offset: before its first byte. Returns the offsets before the first byte
    and behind the last one that was written, and how many commands that are.
    """
    scanner = StreamScanner(None, keep_ends=True)
    first = 0 if begin is None else None
    count = 0
    stream.seek(0)
    while chunk := stream.read(CHUNK):
        before = scanner.boundary
        scanner.feed(chunk)
        ends = [end for _, end, _, _ in scanner.take_ends()]
        if first is None and begin is not None:
            passed = [end for end in ends if offset + end < begin]
            if len(passed) == len(ends):
                continue
            first = passed[-1] if passed else before
            ends = ends[len(passed) :]
        count += len(ends)
    last = scanner.boundary
    if first is None:
        first = last
    _copy(stream, out, first, last)
    return offset + first, offset + last, count


def _copy(stream: BinaryIO, out: BinaryIO, begin: int, end: int) -> None:
    stream.seek(begin)
    while begin < end:
        data = stream.read(min(CHUNK, end - begin))
        out.write(data)
        begin += len(data)
