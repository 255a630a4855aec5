"""`redis-tap export`: of a recording, the RDB, a directory that a server boots from, the stream, or its commands."""

from __future__ import annotations

import contextlib
import gzip
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, cast

import typer

from tap.capture.content import STDIN, is_pipe
from tap.capture.files import expand
from tap.cli.choosing import Begin, Dbs, End, Globs, Links, Names, dbs_of, moments, several
from tap.cli.ending import endings
from tap.cli.progress import progress
from tap.console.stderr import say
from tap.errors import ConfigError, RecordingError
from tap.export.aof import write_aof
from tap.export.atomic import check_new, new_file
from tap.export.resp import copy_commands
from tap.export.rows import Parquet, Row, Rows, json_line
from tap.paths import check_writable
from tap.recording import choice
from tap.recording.history import Index, copy_rdb, copy_stream, index
from tap.recording.missing import Account, Missing, Whole
from tap.recording.moments import Moment, nanoseconds
from tap.recording.reader import Player, read
from tap.recording.wanted import Wanted
from tap.replication.events import Side

NO_RDB = ", as in a recording that began behind the full resync, or was made with --without-rdb or --redact"
STDOUT = Path("-")
COPIED = 2**20  # bytes at a time

Form = Literal["rdb", "aof", "resp", "jsonl", "parquet"]


def export(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="pcapng or pcap, or directories of them.")],
    form: Annotated[
        Form,
        typer.Option(
            "--to",
            help="rdb: the snapshot. aof: a directory that a server boots from. resp: the stream's bytes. "
            "jsonl, parquet: its commands.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="PATH", help="Must not be there yet. - for stdout: rdb, resp and jsonl."),
    ],
    links: Links = None,
    dbs: Dbs = None,
    names: Names = None,
    globs: Globs = None,
    begin: Begin = None,
    end: End = None,
) -> None:
    """Restore to a point in time from a recording; or take out of it an RDB, the stream, or the commands as rows.

    --db, --command and --key are for jsonl and parquet, --from for resp as well, --until for all.

    What is written is there whole or not at all, and nothing is written over.
    """
    is_rows = form in ("jsonl", "parquet")
    if (dbs or names or globs) and not is_rows:
        raise ConfigError("--db, --command and --key are for jsonl and parquet: of the others no command may be missing")
    chosen = several("--link", links)
    first, last = moments(files, begin, end)
    wanted = Wanted(
        links=chosen,
        dbs=dbs_of(dbs),
        names=several("--command", names),
        globs=globs or (),
        begin=first,
        end=last,
    )
    job = _Job(files, output, form, wanted, first, last)
    for number in endings():
        signal.signal(number, signal.default_int_handler)  # which lets go of what is half written
    if output != STDOUT:
        check_new(output)
        check_writable(output)
    elif form in ("aof", "parquet"):
        raise ConfigError(f"--to {form} cannot go to stdout: name a {'directory' if form == 'aof' else 'file'}")
    if is_rows:
        _rows(job)
    else:
        if form != "resp" and job.begin is not None:
            raise ConfigError(f"--from is for resp, jsonl and parquet: with {form}, all from the RDB on belongs to it")
        if len(chosen) > 1:
            raise ConfigError(f"--to {form} is of one link: give --link once")
        if any(map(is_pipe, files)):
            raise ConfigError(f"--to {form} reads a recording more than once: keep what comes in a file first")
        try:
            _OF_ONE_LINK[form](job, chosen[0] if chosen else None)
        except RecordingError as error:
            raise RecordingError(*dict.fromkeys((*error.sentences, *job.lacking))) from None
        for remark in wanted.outside(job.account or Account()):
            say(remark)
    if job.lacking:
        raise RecordingError(*job.lacking)


@dataclass
class _Job:
    files: list[Path]
    output: Path
    form: Form
    wanted: Wanted
    begin: Moment | None
    end: Moment | None
    whole: Whole = field(default_factory=lambda: Whole((), None, 0))
    account: Account | None = None  # of the first reading

    def read(self, player: Player) -> None:
        """Play the whole recording to a player, and close it."""
        with _progress(self.files) as advance:
            for packet in read(self.files, player):
                advance(len(packet.data))
        if self.account is None:
            self.account = player.account
            for remark in self.account.remarks:
                say(remark)

    @property
    def lacking(self) -> list[str]:
        """What the answer lacks, in sentences."""
        return (
            [] if self.account is None else [*self.account.lines(self._concerns, self.wanted.joins), *self.wanted.lacks]
        )

    def _concerns(self, missing: Missing) -> bool:
        """What may hold commands; of an RDB's export also what may hold one that came later."""
        may_be_of_it = missing.may_hold_commands or (self.form == "rdb" and missing.side is Side.MASTER)
        return may_be_of_it and self.whole.precedes(missing) and self.wanted.may_lack(missing)

    def index(self, link: str | None) -> tuple[Index, int | None]:
        """What there is up to the end that was asked for, and that as an offset if it is one."""
        found = index(self.read, nanoseconds(self.end) if isinstance(self.end, datetime) else None)
        if self.lacking and not found.links:
            raise RecordingError(*self.lacking)
        return choice.of_link(found, link), self.end if isinstance(self.end, int) else None

    def nothing(
        self, title: str, link: str | None, lines: Callable[[Index], list[str]], none: str = "there is none at all"
    ) -> RecordingError:
        """What is there instead; none: what is said if nothing is."""
        return choice.listed(title, lines(choice.of_link(index(self.read), link)), none)

    @property
    def until(self) -> str:
        """For sentences."""
        if self.end is None:
            return ""
        return f" up to {f'offset {self.end}' if isinstance(self.end, int) else self.end.isoformat()}"


def _progress(files: list[Path]) -> AbstractContextManager[Callable[[int], None]]:
    paths = [] if STDIN in files else [one for path in files for one in expand(path)]
    size = sum(path.stat().st_size for path in paths if path.is_file())
    return progress(size, is_compressed=any(path.suffix in (".zst", ".gz") for path in paths))


@contextlib.contextmanager
def _opened(output: Path) -> Iterator[BinaryIO]:
    """Where to write what stands at any place of it; stdout gets it when it is whole."""
    if output != STDOUT:
        with new_file(output) as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout.buffer, COPIED)
        sys.stdout.buffer.flush()


# ---- what is of one link ----


def _rdb(job: _Job, link: str | None) -> None:
    found, offset = job.index(link)
    rdb = choice.rdb_until(found, offset)
    if rdb is None:
        raise job.nothing(f"no whole RDB{job.until}", link, choice.rdb_lines, f"there is none at all{NO_RDB}")
    job.whole = Whole((rdb.replid,), rdb.offset, rdb.ended)
    with _opened(job.output) as file:
        copy_rdb(job.read, rdb, file)
    say(f"{choice.rdb_text(rdb)}")


def _aof(job: _Job, link: str | None) -> None:
    found, offset = job.index(link)
    chapter = choice.chapter_until(found, offset)
    if chapter is None:
        title = f"nothing that leads{job.until or ' to its end'} without a hole"
        raise job.nothing(title, link, choice.chapter_lines, f"there is no whole RDB at all{NO_RDB}")
    job.whole = Whole(chapter.replids, chapter.end, chapter.ended)
    written = write_aof(job.read, chapter, job.output)
    say(f"{job.output}: base is {choice.rdb_text(chapter.rdb)}")
    at = "" if written.time is None else f", which came {choice.moment_text(written.time)}"
    say(f"{job.output}: {written.commands} commands behind it, up to offset {written.offset}{at}")
    whole = job.output.absolute()
    words = ["redis-server", "--appendonly", "yes", "--dir", str(whole.parent), "--appenddirname", whole.name]
    say(f"boot from it, or better a copy, with: {shlex.join(words)}")


def _resp(job: _Job, link: str | None) -> None:
    found, end = job.index(link)
    begin = job.begin if isinstance(job.begin, int) else None
    streams = choice.streams_between(found, begin, end)
    before = Index()
    if isinstance(job.begin, datetime):
        since = nanoseconds(job.begin)
        streams = [stream for stream in streams if stream[-1].ended >= since]
        before = index(job.read, since - 1)
    if len(streams) != 1:
        what = "no stream that has all of that" if not streams else "several streams: choose by --from, --until or --link"
        raise job.nothing(what, link, choice.stream_lines)
    (stream,) = streams
    if isinstance(job.begin, datetime):
        known = {(one.connection, one.start): one.end_offset for one in [*before.stretches, *before.unplaced]}
        begin = 1 + max((known.get(key, 0) for key in ((one.connection, one.start) for one in stream)), default=0)
    with _opened(job.output) as file:
        with tempfile.TemporaryFile(dir=None if job.output == STDOUT else job.output.parent) as whole:
            copy_stream(job.read, stream, whole)
            copied = copy_commands(whole, file, stream[0].offset, begin, stream[0].db)
    if stream[0].is_placed:
        where = f"behind offset {copied.offset} up to {copied.end_offset} of replication ID {stream[-1].replid}"
    else:
        where = "from the first whole one on, whose offsets are not known: the stream was met in the middle"
    say(f"{copied.commands} commands {where}")
    if copied.without_db:
        say(
            f"the db of the first {copied.without_db} of them is not known, as no SELECT stands before them; "
            "redis-tap replay --to sends them with --assume-db N"
        )
    if stream[0].is_placed and found.unplaced:
        say(f"left out, as its offsets are not known: {'; '.join(choice.unplaced_lines(found))}")


_OF_ONE_LINK: dict[str, Callable[[_Job, str | None], None]] = {"rdb": _rdb, "aof": _aof, "resp": _resp}


# ---- rows ----


def _rows(job: _Job) -> None:
    with contextlib.ExitStack() as stack:
        file: BinaryIO = sys.stdout.buffer if job.output == STDOUT else stack.enter_context(new_file(job.output))
        put = stack.enter_context(_parquet(file) if job.form == "parquet" else _json_lines(file, job.output))
        rows = Rows(put, job.wanted)
        job.read(rows.player)
        if job.lacking and not rows.count:
            raise RecordingError(*job.lacking)
    sys.stdout.flush()
    say(f"{rows.count} {'command' if rows.count == 1 else 'commands'}")
    for remark in job.wanted.remarks(rows.player.account, rows.total, rows.count):
        say(remark)


@contextlib.contextmanager
def _parquet(file: BinaryIO) -> Iterator[Callable[[Row], None]]:
    parquet = Parquet(file)
    try:
        yield parquet.put
    finally:
        parquet.close()  # else pyarrow does, when the file is gone


@contextlib.contextmanager
def _json_lines(file: BinaryIO, path: Path) -> Iterator[Callable[[Row], None]]:
    with _compressed(file, path) as out:

        def put(row: Row) -> None:
            out.write(json_line(row))

        yield put


@contextlib.contextmanager
def _compressed(file: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """As the name says."""
    if path.suffix == ".gz":
        with gzip.GzipFile("", "wb", fileobj=file) as out:
            yield cast(BinaryIO, out)
    elif path.suffix == ".zst":
        import zstandard

        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as out:
            yield out
    else:
        yield file
