"""The parts of a recording's streams that are to be sent, copied out of it into files of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from tap.errors import ConfigError, EnvironmentFailure, words
from tap.recording.copying import Marks, copy_streams
from tap.recording.history import Index, Read, Stretch
from tap.recording.moments import Moment, nanoseconds
from tap.replay.client_commands import whole_until


@dataclass(frozen=True, slots=True)
class StreamPart:
    """What to send of one stream without a gap: bytes start <= i < end of its file.

    db: selected at start, -1 if unknown. marks: when each byte arrived.
    """

    stretches: Sequence[Stretch]
    file: IO[bytes]
    start: int
    end: int
    db: int
    marks: Marks

    @property
    def offset(self) -> int:
        """Replication offset before the first byte of the file."""
        return self.stretches[0].offset

    @property
    def is_placed(self) -> bool:
        """Whether its replication offsets are known; if not, offsets count its own bytes."""
        return self.stretches[0].is_placed

    def place(self, position: int) -> str:
        """The position in words."""
        return f"offset {self.offset + position}" if self.is_placed else f"byte {position}"

    def when(self, position: int) -> int:
        """When all bytes before this position had arrived, in nanoseconds."""
        return self.marks.times[bisect_left(self.marks.offsets, self.offset + position)]


def part_between(
    file: IO[bytes], stretches: Sequence[Stretch], marks: Marks, begin: Moment | None, end: Moment | None, db: int = -1
) -> StreamPart | None:
    """The part of a copied stream that was written between two moments, both inclusive; None if it is empty.

    A transaction counts as written when its EXEC was. db: selected at the beginning, if the recording does not say.
    """
    first = stretches[0]
    file.flush()
    size = stretches[-1].end_offset - first.offset
    before, until = 0, size
    if isinstance(begin, datetime):
        at = bisect_left(marks.times, nanoseconds(begin))
        before = marks.offsets[at - 1] - first.offset if at else 0
    elif begin is not None:
        before = begin - 1 - first.offset
    if isinstance(end, datetime):
        at = bisect_right(marks.times, nanoseconds(end))
        until = marks.offsets[at - 1] - first.offset if at else 0
    elif end is not None:
        until = end - first.offset
    db = db if first.db is None else first.db
    start, start_db = whole_until(file.fileno(), min(before, size), db)
    stop, _ = whole_until(file.fileno(), min(until, size), db)
    return StreamPart(stretches, file, start, stop, start_db, marks) if start < stop else None


def streams_of(found: Index, links: Collection[str]) -> list[tuple[Stretch, ...]]:
    """The streams that one master sent on any of these links (all links if none is named), in the order of their ends.

    If no offset is known, the streams of one connection.

    Raises ConfigError for a link without a stream, and if the streams come from more than one master.
    """
    there = [*found.stretches, *found.unplaced]
    known = list(dict.fromkeys(stretch.link for stretch in there))
    for link in links:
        if not any(one.is_of(link) for one in there):
            raise ConfigError(f"--link {link}: no stream of it in the recording, but of {', '.join(known) or 'none'}")
    if links:
        stretches, unplaced = (
            [one for one in some if any(one.is_of(link) for link in links)] for some in (found.stretches, found.unplaced)
        )
        found = dataclasses.replace(found, stretches=stretches, unplaced=unplaced)
    if not found.stretches:
        return _unplaced(found)
    streams = found.streams()
    if streams and not set.intersection(*({one.link for one in stream} for stream in streams)):
        raise ConfigError(f"it holds the streams of several masters: choose with --link {' or --link '.join(known)}")
    return streams


def _unplaced(found: Index) -> list[tuple[Stretch, ...]]:
    """The streams of one connection, if no offset is known: those of others may hold the same commands."""
    places = list(dict.fromkeys(one.place for one in found.unplaced))
    if len(places) > 1:
        raise ConfigError(
            "it holds streams of several connections whose starts were not captured, and which may bring the same "
            f"commands: choose with --link {' or --link '.join(places)}"
        )
    return [(one,) for one in found.unplaced]


def copied(
    read: Read,
    streams: Sequence[tuple[Stretch, ...]],
    begin: Moment | None,
    end: Moment | None,
    files: contextlib.ExitStack,
    *,
    db: int = -1,
) -> list[StreamPart]:
    """Copy what was written to these streams between two moments, into files that vanish when *files* is closed.

    db: selected at the beginning of each stream, if the recording does not say; -1 for unknown.
    """
    wanted: list[tuple[tuple[Stretch, ...], IO[bytes]]] = []
    for stream in streams:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        wanted.append((stream, files.enter_context(file)))
    try:
        marks = copy_streams(read, wanted)
        for _, copy in wanted:
            copy.flush()
    except OSError as error:
        where = tempfile.gettempdir()
        raise EnvironmentFailure(f"{where}: {words(error)}; set TMPDIR to a directory with more room") from None
    parts = [part_between(file, stream, one, begin, end, db) for (stream, file), one in zip(wanted, marks, strict=True)]
    return [part for part in parts if part is not None]
