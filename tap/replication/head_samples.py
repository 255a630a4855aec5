"""Samples of the commands that pass, for an observer of their names, keys and sizes.

Reading the keys of each command would cost a busy stream a good part of its speed. So a budget in bytes per second, over
all streams, says how much of what passes is looked at: all of a slow stream, a piece of each large read, nothing of some
reads of a fast one. A command is taken if it ends in the piece, whatever its size, because the beginning of an incomplete
command is kept. The piece begins anywhere in the read, also before it, each with the same probability, so that each byte
is as likely to be looked at: a large command, which usually ends where its read ends, as likely as a small one.

It costs about 20 us per KB looked at, and nothing while *take* is None.
"""

from __future__ import annotations

from collections.abc import Callable

from tap.replication.heads import Head, HeadReader
from tap.replication.scanner import StreamScanner

RATE = 256 * 1024  # bytes a second
SAVED = 64 * 1024  # that were not used earlier
PIECE = 8 * 1024  # of one read, at most: it delays what comes after it
LEAST = 1024  # of a read that is larger; the end of a command is likely to be in it
KEPT = 2048  # bytes of the beginning of a command, searched for its keys


class HeadSamples:
    """The budget, and how much of it was used.

    take: called with the commands; None: none are wanted. Streams that begin after that are looked at. looked_at: bytes
    of *passed*, which is all that these streams received.
    """

    def __init__(self) -> None:
        self.take: Callable[[list[Head]], None] | None = None
        self.looked_at = 0
        self.passed = 0
        self._budget = float(SAVED)
        self._at = float("-inf")
        self._drawn = 1

    def piece(self, size: int, at: float) -> tuple[int, int]:
        """Which bytes of a read may be looked at: the first and the end. at: seconds."""
        if at > self._at:
            self._budget = min(SAVED, self._budget + (at - self._at) * RATE)
            self._at = at
        room = min(size, PIECE, int(self._budget))
        if room < min(size, LEAST):
            return 0, 0
        first = 0 if room == size else 1 - room + self._draw(size + room - 1)
        begin, end = max(0, first), min(size, first + room)
        self._budget -= end - begin
        self.looked_at += end - begin
        return begin, end

    def _draw(self, below: int) -> int:
        """A number from 0 on, always the same ones: Knuth's linear congruential generator (MMIX)."""
        self._drawn = (self._drawn * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self._drawn >> 32) % below


class SampledScanner:
    """Feeds a stream's scanner, and takes samples."""

    def __init__(self, scanner: StreamScanner, samples: HeadSamples) -> None:
        self._scanner = scanner
        self._samples = samples
        self._reader = HeadReader(scanner, KEPT)

    def feed(self, data: bytes | memoryview, at: float) -> None:
        """As StreamScanner.feed()."""
        scanner, samples = self._scanner, self._samples
        samples.passed += len(data)
        if samples.take is not None and not scanner.broken:
            begin, end = samples.piece(len(data), at)
            if begin < end:
                self._pass_over(data[:begin])
                self._take(bytes(data[begin:end]), samples.take)
                data = data[end:]
        self._pass_over(data)

    def _take(self, piece: bytes, take: Callable[[list[Head]], None]) -> None:
        self._scanner.keep_ends(True)
        self._scanner.feed(piece)
        heads = self._reader.read(piece)
        self._scanner.keep_ends(False)
        if heads:
            take(heads)

    def _pass_over(self, data: bytes | memoryview) -> None:
        if len(data):
            self._scanner.feed(data)
            self._reader.pass_over(data)
