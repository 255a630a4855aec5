"""Choose an RDB or a stream of a recording by link and moment, and list what there is when nothing fits.

If a time was asked for, the index given here covers the recording up to that time only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tap.errors import ConfigError, RecordingError
from tap.recording.history import Chapter, Index, Rdb, Stretch


def of_link(index: Index, link: str | None) -> Index:
    """The part of the index on one link. Raises ConfigError if *link* is None and there are several."""
    names = index.links
    if link is None and len(names) > 1:
        raise ConfigError(f"there are several links: {', '.join(names)}; choose one with --link")
    if link is None:
        return index
    found = index.of(link)
    if not (found.links or found.unplaced):
        known = f"links with one: {', '.join(names)}" if names else "there is none on any link"
        raise ConfigError(f"--link {link}: no resync was recorded on a link of that name; {known}")
    return found


def rdb_until(index: Index, offset: int | None) -> Rdb | None:
    """The last whole RDB at or before an offset."""
    rdbs = [one for one in index.rdbs if offset is None or (one.offset is not None and one.offset <= offset)]
    return max(rdbs, key=lambda one: one.ended, default=None)


def chapter_until(index: Index, offset: int | None) -> Chapter | None:
    """The chapter from which a server can be restored to its end; None without an RDB, or with a hole after it.

    Raises ConfigError for an offset that several histories have.
    """
    chapters = index.chapters()
    if offset is None:
        last = chapters[-1] if chapters else None
        return None if last is None or _goes_on(index, last) else last
    fitting = [one for one in chapters if one.offset <= offset <= one.end]
    replids = {_replid_at(one, offset) for one in fitting}
    if len(replids) > 1:
        raise ConfigError(f"offset {offset} is in several histories ({', '.join(sorted(replids))}): give a time instead")
    return max(fitting, key=lambda one: one.offset).until(offset) if fitting else None


def _goes_on(index: Index, chapter: Chapter) -> bool:
    """Whether bytes came after the chapter, separated from it by a hole."""
    return any(
        one.ended > chapter.ended and not (one.replid in chapter.replids and one.end_offset <= chapter.end)
        for one in index.stretches
    )


def _replid_at(chapter: Chapter, offset: int) -> str:
    return next((one.replid for one in chapter.stretches if offset <= one.end_offset), chapter.rdb.replid or "")


def streams_between(index: Index, begin: int | None, end: int | None) -> list[tuple[Stretch, ...]]:
    """The streams that hold both offsets, cut off at *end*; all streams where no offset is known.

    Raises ConfigError for an offset where none is known.
    """
    if not index.stretches and index.unplaced:
        if begin is not None or end is not None:
            raise ConfigError(
                "--from and --until: the start of the stream was not captured, so give a time, not an offset"
            )
        return [(one,) for one in index.unplaced]
    found = []
    for stream in index.streams():
        first, last = stream[0].offset, stream[-1].end_offset
        if (begin is None or first <= begin <= last) and (end is None or first <= end <= last):
            limit = last if end is None else end
            found.append(tuple(one.part(one.offset, min(one.end_offset, limit)) for one in stream if one.offset < limit))
    return [stream for stream in found if stream]


# ---- lists for errors ----


def listed(title: str, lines: Sequence[str], none: str) -> RecordingError:
    """An error that lists what there is. none: the words used if there is nothing."""
    return RecordingError((f"{title}; there is:" if lines else f"{title}; {none}", *lines))


def rdb_lines(index: Index) -> list[str]:
    return [f"{one.link}: {rdb_text(one)}" for one in sorted(index.rdbs, key=lambda one: one.ended)]


def chapter_lines(index: Index) -> list[str]:
    return [
        f"{one.link}: {rdb_text(one.rdb)}, and the stream up to offset {one.end} ({moment_text(one.ended)})"
        for one in index.chapters()
    ]


def stream_lines(index: Index) -> list[str]:
    return [*map(stream_text, index.streams()), *unplaced_lines(index)]


def unplaced_lines(index: Index) -> list[str]:
    return [stream_text((one,)) for one in index.unplaced]


def stream_text(stream: Sequence[Stretch]) -> str:
    first, last = stream[0], stream[-1]
    if not first.is_placed:
        return (
            f"{first.place}: {first.end - first.start} bytes without offsets, of a stream whose start was not captured "
            f"({moment_text(first.began)} to {moment_text(first.ended)})"
        )
    return (
        f"{last.link}: offset {first.offset} to {last.end_offset} of replication ID {last.replid} "
        f"({moment_text(first.began)} to {moment_text(last.ended)})"
    )


def rdb_text(rdb: Rdb) -> str:
    where = "without an offset" if rdb.offset is None else f"at offset {rdb.offset}"
    history = "" if rdb.replid is None else f" of replication ID {rdb.replid}"
    return f"the RDB {where}{history} ({moment_text(rdb.ended)}, {rdb.size} bytes)"


def moment_text(time: int) -> str:
    """A time in the form that --until takes. time: nanoseconds since the epoch."""
    return datetime.fromtimestamp(time / 1e9).isoformat(timespec="milliseconds")
