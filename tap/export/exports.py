"""The exports, for programs and for the command line: one function for each form.

Each function reads the recording in *files* (paths of captures, or of directories of them), writes *output*, and returns
a record of what was written. An output is written completely or not at all, and never overwritten. The record lists in
*lacking* what the output should hold but the recording lacks; whatever the recording holds is written all the same.

All raise RecordingError if the recording has nothing of what was asked for, ConfigError if the arguments do not fit the
recording or the output exists, and EnvironmentFailure if the output cannot be written.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from tap.errors import RecordingError
from tap.export.append_only import Written, write_aof
from tap.export.destination import Output, as_output, compressed, new_file, whole
from tap.export.rows import Parquet, Row, Rows, json_line
from tap.export.source import Files, Progress, Remark, Source, no_progress, no_remark
from tap.export.stream_bytes import Copied, copy_commands
from tap.recording import choice
from tap.recording.copying import copy_rdb, copy_stream
from tap.recording.filters import Filters, several
from tap.recording.history import Index, Rdb, Stretch, index
from tap.recording.missing import Whole
from tap.recording.moments import Moment, nanoseconds

NO_RDB = ", as in a recording that began after the full resync, or was made with --without-rdb or --redact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """lacking: what the output should hold but the recording lacks, in sentences; empty if the output is complete.

    remarks: other things worth knowing about the output, in sentences.
    """

    lacking: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedRdb(Exported):
    """rdb: the one that was written."""

    rdb: Rdb


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedAof(Exported):
    """base: the RDB in the directory. written: the part of the stream after it."""

    base: Rdb
    written: Written


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedStream(Exported):
    """copied: the commands written. replid: of their history; None if their offsets are unknown, because the start of the
    stream was not captured. unplaced: streams left out because their offsets are unknown, a line each.
    """

    copied: Copied
    replid: str | None
    unplaced: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedRows(Exported):
    """count: number of commands written."""

    count: int


def rdb(
    files: Files,
    output: Output,
    *,
    link: str | None = None,
    until: Moment | None = None,
    progress: Progress = no_progress,
    remark: Remark = no_remark,
) -> ExportedRdb:
    """Write the last whole RDB up to a moment.

    output: a path, or a binary file, to which the RDB is written once it is whole. link: a name, or NAME/CONNECTION;
    required if the recording has several. until: a time or a replication offset. progress: entered for each reading of
    the recording; called with the size of each packet. remark: called with each remark on the recording, a sentence.
    """
    output = as_output(output)
    source = _of_link(files, link, end=until, needs_rdb=True, progress=progress, remark=remark)
    source.check_again("rdb")
    with source.completing():
        found = choice.rdb_until(source.index(link, until), _offset(until))
        if found is None:
            title, none = f"no whole RDB{_until(until)}", f"the recording has none{NO_RDB}"
            raise source.nothing(title, link, choice.rdb_lines, none)
        source.whole = Whole((found.replid,), found.offset, found.ended)
        with whole(output) as file:
            copy_rdb(source.read, found, file)
    return ExportedRdb(rdb=found, lacking=tuple(source.lacking), remarks=tuple(source.wanted.outside(source.account)))


def aof(
    files: Files,
    directory: str | Path,
    *,
    link: str | None = None,
    until: Moment | None = None,
    progress: Progress = no_progress,
    remark: Remark = no_remark,
) -> ExportedAof:
    """Write a directory that a server boots from, with the data at a moment: an RDB and the stream after it.

    The arguments are those of rdb().
    """
    path = as_output(directory)
    assert isinstance(path, Path)
    source = _of_link(files, link, end=until, progress=progress, remark=remark)
    source.check_again("aof")
    with source.completing():
        chapter = choice.chapter_until(source.index(link, until), _offset(until))
        if chapter is None:
            title = f"no RDB with a stream{_until(until) or ' up to the end'} without a hole"
            raise source.nothing(title, link, choice.chapter_lines, f"the recording has no whole RDB{NO_RDB}")
        source.whole = Whole(chapter.replids, chapter.end, chapter.ended)
        written = write_aof(source.read, chapter, path)
    return ExportedAof(
        base=chapter.rdb,
        written=written,
        lacking=tuple(source.lacking),
        remarks=tuple(source.wanted.outside(source.account)),
    )


def resp(
    files: Files,
    output: Output,
    *,
    link: str | None = None,
    from_: Moment | None = None,
    until: Moment | None = None,
    progress: Progress = no_progress,
    remark: Remark = no_remark,
) -> ExportedStream:
    """Write the bytes of the stream between two moments, whole commands only.

    from_: a time or a replication offset. The other arguments are those of rdb().
    """
    output = as_output(output)
    source = _of_link(files, link, begin=from_, end=until, progress=progress, remark=remark)
    source.check_again("resp")
    with source.completing():
        found = source.index(link, until)
        stream, begin = _stream(source, found, link, from_, until)
        beside = output.parent if isinstance(output, Path) else None
        with whole(output) as file, tempfile.TemporaryFile(dir=beside) as copy:
            copy_stream(source.read, stream, copy)
            copied = copy_commands(copy, file, stream[0].offset, begin, stream[0].db)
    is_placed = stream[0].is_placed
    return ExportedStream(
        copied=copied,
        replid=stream[-1].replid if is_placed else None,
        unplaced=tuple(choice.unplaced_lines(found)) if is_placed else (),
        lacking=tuple(source.lacking),
        remarks=tuple(source.wanted.outside(source.account)),
    )


# ---- of one link ----


def _of_link(
    files: Files,
    link: str | None,
    *,
    begin: Moment | None = None,
    end: Moment | None = None,
    needs_rdb: bool = False,
    progress: Progress,
    remark: Remark,
) -> Source:
    wanted = Filters(links=() if link is None else (link,), begin=begin, end=end)
    return Source(files, wanted, needs_rdb=needs_rdb, progress=progress, remark=remark)


def _stream(
    source: Source, found: Index, link: str | None, from_: Moment | None, until: Moment | None
) -> tuple[tuple[Stretch, ...], int | None]:
    """The one stream that fits, and the offset to begin at; None for all of it. Raises RecordingError."""
    begin = _offset(from_)
    streams = choice.streams_between(found, begin, _offset(until))
    before = Index()
    if isinstance(from_, datetime):
        since = nanoseconds(from_)
        streams = [stream for stream in streams if stream[-1].ended >= since]
        before = index(source.read, since - 1)
    if len(streams) != 1:
        what = "no stream holds all of that" if not streams else "several streams: choose with --from, --until or --link"
        raise source.nothing(what, link, choice.stream_lines)
    (stream,) = streams
    if isinstance(from_, datetime):
        known = {(one.connection, one.start): one.end_offset for one in [*before.stretches, *before.unplaced]}
        begin = 1 + max((known.get(key, 0) for key in ((one.connection, one.start) for one in stream)), default=0)
    return stream, begin


def _offset(moment: Moment | None) -> int | None:
    return moment if isinstance(moment, int) else None


def _until(end: Moment | None) -> str:
    """For messages."""
    if end is None:
        return ""
    return f" up to {f'offset {end}' if isinstance(end, int) else end.isoformat()}"


# ---- rows ----

Put = Callable[[Row], None]
Destination = Path | BinaryIO


class _RowsExport:
    """jsonl() and parquet(): one method, bound to the form. begin: begins the form in a file for that destination."""

    def __init__(self, begin: Callable[[BinaryIO, Destination], contextlib.AbstractContextManager[Put]]) -> None:
        self._begin = begin

    def write(
        self,
        files: Files,
        output: Output,
        *,
        link: str | Collection[str] = (),
        db: int | Collection[int] = (),
        command: str | Collection[str] = (),
        key: str | bytes | Collection[str | bytes] = (),
        from_: Moment | None = None,
        until: Moment | None = None,
        progress: Progress = no_progress,
        remark: Remark = no_remark,
    ) -> ExportedRows:
        """Write one row per command: jsonl() a JSON object, parquet() a row of Parquet, which needs pyarrow.

        JSON is compressed if the name of *output* ends in .gz or .zst.

        link, db, command, key: only these, each one or several; a key is a pattern, as KEYS takes it. Empty means all.
        from_, until: a time or a replication offset, both inclusive. The other arguments are those of rdb().
        """
        wanted = Filters(
            links=several(link), dbs=several(db), names=several(command), globs=several(key), begin=from_, end=until
        )
        source = Source(files, wanted, progress=progress, remark=remark)
        output = as_output(output)
        with contextlib.ExitStack() as stack:
            file: BinaryIO = stack.enter_context(new_file(output)) if isinstance(output, Path) else output
            rows = Rows(stack.enter_context(self._begin(file, output)), wanted)
            source.read(rows.player)
            if source.lacking and not rows.count:
                raise RecordingError(*source.lacking)
        return ExportedRows(
            count=rows.count,
            lacking=tuple(source.lacking),
            remarks=tuple(wanted.remarks(source.account, rows.total, rows.count)),
        )


@contextlib.contextmanager
def _parquet(file: BinaryIO, output: Destination) -> Iterator[Put]:
    rows = Parquet(file)
    try:
        yield rows.put
    finally:
        rows.close()  # otherwise pyarrow closes it, after the file is gone


@contextlib.contextmanager
def _json_lines(file: BinaryIO, output: Destination) -> Iterator[Put]:
    with compressed(file, output.suffix if isinstance(output, Path) else "") as out:

        def put(row: Row) -> None:
            out.write(json_line(row))

        yield put


jsonl = _RowsExport(_json_lines).write
parquet = _RowsExport(_parquet).write
