"""Some of the commands that pass, for whoever wants to know what they are about: their names, keys and sizes.

Reading the keys of each command would cost a busy stream a good part of its speed. So a budget in bytes per second, over
all streams, says how much of what passes is looked at: all of a slow stream, the first bytes of some reads of a fast one.
A command is taken if it ends there, whatever its size, because the beginning of an incomplete command is kept. So a large
command is as likely to be taken as a small one.

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

    def room(self, size: int, at: float) -> int:
        """How many bytes of a read may be looked at. at: seconds."""
        if at > self._at:
            self._budget = min(SAVED, self._budget + (at - self._at) * RATE) if self._at > float("-inf") else SAVED
            self._at = at
        room = min(size, PIECE, int(self._budget))
        if room < size and room < LEAST:
            return 0
        self._budget -= room
        return room


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
        take = samples.take
        room = 0 if take is None or scanner.broken else samples.room(len(data), at)
        if room and take is not None:
            piece = bytes(data[:room])
            scanner.keep_ends(True)
            scanner.feed(piece)
            heads = self._reader.read(piece)
            scanner.keep_ends(False)
            samples.looked_at += room
            if heads:
                take(heads)
            if room == len(data):
                return
            data = data[room:]
        scanner.feed(data)
        self._reader.pass_over(data)
