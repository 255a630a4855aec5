"""The parts of a recording to play, copied out of it: each RDB and the stream that follows it, in files of their own."""

from __future__ import annotations

import shutil
from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tap.errors import ConfigError, EnvironmentFailure, RecordingError, words
from tap.recording.copying import Marks, copy_chapter
from tap.recording.history import Chapter, Index, Read, index
from tap.recording.moments import Moment, nanoseconds
from tap.replay.client_commands import whole_until
from tap.replay.excerpt import Excerpt


@dataclass(frozen=True, slots=True)
class ChapterCopy:
    """One RDB and the stream that follows it, in files.

    replid: the replication ID to announce. offset: the RDB's. end: offset after the last complete command or transaction.
    histories: replication IDs that a replica may ask to continue, each with the offset up to which it names this stream.
    marks: when each byte of the stream arrived. zero: nanoseconds; see Pace. began, ended: when the RDB began and when
    the last byte arrived, in nanoseconds.
    """

    link: str
    replid: str
    offset: int
    end: int
    rdb: Path
    rdb_size: int
    stream: Path
    histories: dict[str, int]
    marks: Marks
    zero: int
    began: int
    ended: int

    @property
    def rdb_version(self) -> str:
        """The first bytes of the RDB, as REDIS0012."""
        with self.rdb.open("rb") as file:
            return file.read(9).decode("latin-1")


def take(
    read: Read,
    directory: Path,
    excerpt: Excerpt = Excerpt(),  # noqa: B008
) -> list[ChapterCopy]:
    """Read the recording and copy the parts to play into *directory*. Returns them in order.

    Bytes before the beginning of the excerpt are due at once; bytes after its end are not played. Raises RecordingError
    if the recording holds nothing that a replica could be given, ConfigError if it lacks what the excerpt names, and
    EnvironmentFailure if the directory has no room.
    """
    links, begin, end = excerpt.links, excerpt.begin, excerpt.end
    found = index(read, nanoseconds(end) if isinstance(end, datetime) else None)
    if isinstance(end, datetime) and not found.links:
        raise ConfigError(f"--until {end.isoformat()}: by then there was no RDB and no stream that could be played")
    chapters = choose(found, links, begin, end if isinstance(end, int) else None)
    limits = [min(one.end, end) if isinstance(end, int) else one.end for one in chapters]
    need = sum(one.rdb.size + limit - one.offset for one, limit in zip(chapters, limits, strict=True))
    try:
        free = shutil.disk_usage(directory).free
        if need > free:
            raise EnvironmentFailure(
                f"{directory}: {need} bytes are needed there for the RDB and the stream, {free} are free; "
                "set TMPDIR to a directory with more room"
            )
        return [
            _copied(read, directory / str(number), chapter, limit, begin)
            for number, (chapter, limit) in enumerate(zip(chapters, limits, strict=True), 1)
        ]
    except OSError as error:
        raise EnvironmentFailure(f"{directory}: {words(error)}; set TMPDIR to a directory with more room") from None


# ---- which chapters ----


def choose(found: Index, links: Collection[str], begin: Moment | None, until: int | None) -> list[Chapter]:
    """The chapters to play, in order; each goes further than those before it. until: an offset.

    Raises RecordingError and ConfigError.
    """
    found = _of_links(found, links)
    chapters = sorted(found.chapters(), key=lambda one: one.rdb.began)
    if not chapters:
        raise RecordingError(_no_chapter(found))
    if until is not None:
        early = [one for one in chapters if one.offset <= until]
        if not early:
            first = min(one.offset for one in chapters)
            raise ConfigError(f"--until {until} lies before the first RDB, which is at offset {first}")
        chapters = early
    if begin is not None:
        chapters = _from(chapters, begin)
    chosen: list[Chapter] = []
    for chapter in chapters:
        if not any(one.replid == chapter.replid and chapter.end <= one.end for one in chosen):
            chosen.append(chapter)
    names = dict.fromkeys(one.link for one in chosen)
    if len(names) > 1:
        raise ConfigError(f"the recording has several links: {', '.join(names)}; choose one with --link NAME")
    return chosen


def _of_links(found: Index, links: Collection[str]) -> Index:
    missing = [name for name in links if name not in found.links]
    if missing:
        there = ", ".join(found.links) or "none with a stream or an RDB"
        raise ConfigError(f"no link {missing[0]!r} in the recording; its links: {there}")
    if links:
        found.rdbs = [one for one in found.rdbs if one.link in links]
        found.stretches = [one for one in found.stretches if one.link in links]
    return found


def _from(chapters: list[Chapter], begin: Moment) -> list[Chapter]:
    """The chapters from the last one whose RDB precedes *begin*, without those that end before it."""

    def starts(chapter: Chapter) -> bool:
        return chapter.offset <= begin if isinstance(begin, int) else chapter.rdb.ended <= nanoseconds(begin)

    def ends(chapter: Chapter) -> bool:
        return chapter.end < begin if isinstance(begin, int) else chapter.ended < nanoseconds(begin)

    later = [one for one in chapters if not ends(one)]
    if not later:
        last = chapters[-1]
        where = last.end if isinstance(begin, int) else datetime.fromtimestamp(last.ended / 1e9).isoformat()
        raise ConfigError(f"--from {begin} lies after the end of the recording, which is at {where}")
    begun = [number for number, one in enumerate(later) if starts(one)]
    return later[begun[-1] :] if begun else later


def _no_chapter(found: Index) -> str:
    if not (found.stretches or found.rdbs or found.unplaced):
        return "no RDB and no stream in the recording, so there is nothing that a replica could be given"
    if found.rdbs:
        return (
            "the RDB in the recording was asked for with SYNC, so its offset is unknown: no replica could go on from it"
        )
    return (
        "no whole RDB in the recording, and without one a replica cannot begin: it was recorded with --without-rdb or "
        "--redact, or from the middle of a stream on"
    )


# ---- copying ----


def _copied(read: Read, directory: Path, chapter: Chapter, limit: int, begin: Moment | None) -> ChapterCopy:
    directory.mkdir()
    rdb, stream = directory / "rdb", directory / "stream"
    with rdb.open("wb") as rdb_file, stream.open("w+b") as stream_file:
        marks = copy_chapter(read, chapter, rdb_file, stream_file)
        stream_file.flush()
        size, _ = whole_until(stream_file.fileno(), limit - chapter.offset)
        stream_file.truncate(size)  # a master would continue here
    zero = chapter.rdb.ended
    if isinstance(begin, datetime):
        zero = max(zero, nanoseconds(begin))
    elif begin is not None and marks.times:
        zero = max(zero, marks.times[min(bisect_left(marks.offsets, begin), len(marks.times) - 1)])
    return ChapterCopy(
        link=chapter.link,
        replid=chapter.replid,
        offset=chapter.offset,
        end=chapter.offset + size,
        rdb=rdb,
        rdb_size=chapter.rdb.size,
        stream=stream,
        histories=_histories(chapter),
        marks=marks,
        zero=zero,
        began=chapter.rdb.began,
        ended=(marks.time_at(chapter.offset + size) if size else None) or chapter.rdb.ended,
    )


def _histories(chapter: Chapter) -> dict[str, int]:
    known = {chapter.rdb.replid or "": chapter.offset}
    for stretch in chapter.stretches:
        known[stretch.replid] = max(known.get(stretch.replid, 0), stretch.end_offset)
    known[chapter.replid] = chapter.end
    return known
