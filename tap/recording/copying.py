"""Copies parts of a recording that an Index has found into files: RDBs, and stretches of the stream."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import IO, Any

from tap.errors import RecordingError
from tap.recording.history import Chapter, Rdb, Read, Stretch
from tap.recording.player import Player
from tap.replication.conversation import Conversation

MARK_EVERY = 1_000_000  # nanoseconds between two entries of Marks
MAX_MARKS = 2**22  # 64 MB; beyond that every second one is dropped, which leaves one in 32 ms for a day


@dataclass(slots=True)
class Marks:
    """When each byte of a stream came: by times[i] nanoseconds, all up to offsets[i] had. Both lists only rise."""

    times: array[int] = field(default_factory=lambda: array("q"))
    offsets: array[int] = field(default_factory=lambda: array("q"))
    _every: int = MARK_EVERY

    def add(self, time: int, offset: int) -> None:
        if self.times and time - self.times[-1] < self._every:
            self.offsets[-1] = max(offset, self.offsets[-1])
            return
        if len(self.times) == MAX_MARKS:
            self.times, self.offsets = self.times[1::2], self.offsets[1::2]
            self._every *= 2
        self.times.append(time)
        self.offsets.append(max(offset, self.offsets[-1]) if self.offsets else offset)

    def time_at(self, offset: int) -> int | None:
        """When the byte before that offset came; None if unknown."""
        at = bisect_left(self.offsets, offset)
        return self.times[at] if at < len(self.times) else None


@dataclass(slots=True)
class _Wanted:
    """Bytes start <= i < end of a connection, to be written to a file from position *at* on."""

    start: int
    end: int
    file: IO[bytes]
    at: int
    marks: Marks | None = None
    first_offset: int = 0


class _Copier:
    """A ByteObserver that writes the wanted bytes. left: how many have not come yet."""

    def __init__(self, wanted: dict[int, list[_Wanted]]) -> None:
        self._wanted = wanted
        self.left = sum(one.end - one.start for some in wanted.values() for one in some)

    def received(self, connection: int, link: str, conversation: Conversation, data: bytes, time: int) -> None:
        begin = conversation.from_master - len(data)
        for one in self._wanted.get(connection, ()):
            first, last = max(begin, one.start), min(begin + len(data), one.end)
            if first < last:
                self.left -= last - first
                one.file.seek(one.at + first - one.start)
                one.file.write(data[first - begin : last - begin])
                if one.marks is not None:
                    one.marks.add(time, one.first_offset + last - one.start)

    def ended(self, conversation: Conversation) -> None: ...


def copy_rdb(read: Read, rdb: Rdb, file: IO[bytes]) -> None:
    """Write an RDB's bytes."""
    _copy(read, {rdb.connection: [_Wanted(rdb.start, rdb.end, file, 0)]})


def copy_stream(read: Read, stretches: Sequence[Stretch], file: IO[bytes]) -> Marks:
    """Write the bytes of stretches that follow one another."""
    return copy_streams(read, [(stretches, file)])[0]


def copy_streams(read: Read, streams: Sequence[tuple[Sequence[Stretch], IO[bytes]]]) -> list[Marks]:
    """Write several streams, reading the recording once."""
    found = []
    wanted: dict[int, list[_Wanted]] = {}
    for stretches, file in streams:
        found.append(Marks())
        for connection, ones in _placed(stretches, file, found[-1]).items():
            wanted.setdefault(connection, []).extend(ones)
    _copy(read, wanted)
    return found


def copy_chapter(read: Read, chapter: Chapter, rdb: IO[bytes], stream: IO[bytes]) -> Marks:
    """Write the RDB and the stream of a chapter, reading the recording once."""
    marks = Marks()
    wanted = _placed(chapter.stretches, stream, marks)
    one = chapter.rdb
    wanted.setdefault(one.connection, []).append(_Wanted(one.start, one.end, rdb, 0))
    _copy(read, wanted)
    return marks


def _placed(stretches: Sequence[Stretch], file: IO[bytes], marks: Marks) -> dict[int, list[_Wanted]]:
    wanted: dict[int, list[_Wanted]] = {}
    for before, stretch in pairwise((None, *stretches)):
        assert stretch is not None
        assert before is None or before.end_offset == stretch.offset
        at = stretch.offset - stretches[0].offset
        one = _Wanted(stretch.start, stretch.end, file, at, marks, stretch.offset)
        wanted.setdefault(stretch.connection, []).append(one)
    return wanted


def _copy(read: Read, wanted: dict[int, list[_Wanted]]) -> None:
    copier = _Copier(wanted)
    read(Player(_ignore, watch=copier))
    if copier.left:
        raise RecordingError(f"{copier.left} bytes are no longer there: the recording was changed while it was read")


def _ignore(_: Any) -> None: ...
