"""`redis-tap export`: from a recording, the RDB, a directory that a server boots from, the stream, or its commands."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import typer

from tap import export as export_to
from tap.capture.content import STDIN
from tap.capture.files import expand
from tap.cli.choosing import Begin, Dbs, End, Globs, Links, Names, dbs_of, moments, several
from tap.cli.ending import endings
from tap.cli.progress import progress
from tap.console.stderr import say
from tap.errors import ConfigError, RecordingError
from tap.export import Exported
from tap.recording import choice
from tap.recording.moments import Moment

STDOUT = Path("-")

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
        typer.Option("-o", "--output", metavar="PATH", help="Must not exist yet. - for stdout: rdb, resp and jsonl."),
    ],
    links: Links = None,
    dbs: Dbs = None,
    names: Names = None,
    globs: Globs = None,
    begin: Begin = None,
    end: End = None,
) -> None:
    """Restore to a point in time from a recording; or extract an RDB, the stream, or the commands as rows.

    --db, --command and --key are for jsonl and parquet, --from for resp as well, --until for all.

    The output is written completely or not at all, and never overwritten.
    """
    of_one_link = _OF_ONE_LINK.get(form)
    if (dbs or names or globs) and of_one_link is not None:
        raise ConfigError(f"--db, --command and --key are for {_ROW_FORMS}: the other forms need every command")
    chosen = several("--link", links)
    first, last = moments(files, begin, end)
    for number in endings():
        signal.signal(number, signal.default_int_handler)  # so that a half-written output is removed
    if output == STDOUT and form in ("aof", "parquet"):
        raise ConfigError(f"--to {form} cannot go to stdout: name a {'directory' if form == 'aof' else 'file'}")
    job = _Arguments(files, output, first, last)
    done: Exported
    if of_one_link is None:
        done = _rows(job, form, chosen, dbs_of(dbs), several("--command", names), globs or ())
    else:
        if form != "resp" and first is not None:
            raise ConfigError(f"--from is for resp, {_ROW_FORMS}: {form} always begins with the RDB")
        if len(chosen) > 1:
            raise ConfigError(f"--to {form} exports one link: give --link once")
        done = of_one_link(job, chosen[0] if chosen else None)
    say(*done.remarks)
    if done.lacking:
        raise RecordingError(*done.lacking)


@dataclass(frozen=True, slots=True)
class _Arguments:
    """The arguments of all forms."""

    files: list[Path]
    output: Path
    begin: Moment | None
    end: Moment | None

    @property
    def destination(self) -> Path | BinaryIO:
        return sys.stdout.buffer if self.output == STDOUT else self.output

    def progress(self) -> AbstractContextManager[Callable[[int], None]]:
        paths = [] if STDIN in self.files else [one for path in self.files for one in expand(path)]
        size = sum(path.stat().st_size for path in paths if path.is_file())
        return progress(size, is_compressed=any(path.suffix in (".zst", ".gz") for path in paths))


def _rdb(job: _Arguments, link: str | None) -> Exported:
    done = export_to.rdb(job.files, job.destination, link=link, until=job.end, progress=job.progress, remark=say)
    say(f"{choice.rdb_text(done.rdb)}")
    return done


def _aof(job: _Arguments, link: str | None) -> Exported:
    done = export_to.aof(job.files, job.output, link=link, until=job.end, progress=job.progress, remark=say)
    written = done.written
    say(f"{job.output}: base is {choice.rdb_text(done.base)}")
    at = "" if written.time is None else f", which came {choice.moment_text(written.time)}"
    say(f"{job.output}: {written.commands} commands after it, up to offset {written.offset}{at}")
    whole = job.output.absolute()
    words = ["redis-server", "--appendonly", "yes", "--dir", str(whole.parent), "--appenddirname", whole.name]
    say(f"boot from it, or better a copy, with: {shlex.join(words)}")
    return done


def _resp(job: _Arguments, link: str | None) -> Exported:
    done = export_to.resp(
        job.files, job.destination, link=link, from_=job.begin, until=job.end, progress=job.progress, remark=say
    )
    copied = done.copied
    if done.replid is not None:
        where = f"after offset {copied.offset}, up to {copied.end_offset}, of replication ID {done.replid}"
    else:
        where = "from the first whole one on, without offsets, as the start of the stream was not captured"
    say(f"{copied.commands} commands {where}")
    if copied.without_db:
        say(
            f"the db of the first {copied.without_db} of them is not known, as no SELECT stands before them; "
            "redis-tap replay --to sends them with --assume-db N"
        )
    if done.unplaced:
        say(f"left out, as its offsets are not known: {'; '.join(done.unplaced)}")
    return done


_OF_ONE_LINK: dict[str, Callable[[_Arguments, str | None], Exported]] = {"rdb": _rdb, "aof": _aof, "resp": _resp}
_OF_ROWS = {"jsonl": export_to.jsonl, "parquet": export_to.parquet}
_ROW_FORMS = " and ".join(_OF_ROWS)


def _rows(
    job: _Arguments,
    form: str,
    links: Collection[str],
    dbs: Collection[int],
    commands: Collection[str],
    keys: Collection[str],
) -> Exported:
    done = _OF_ROWS[form](
        job.files,
        job.destination,
        link=links,
        db=dbs,
        command=commands,
        key=keys,
        from_=job.begin,
        until=job.end,
        progress=job.progress,
        remark=say,
    )
    sys.stdout.flush()
    say(f"{done.count} {'command' if done.count == 1 else 'commands'}")
    return done
