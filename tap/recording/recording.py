"""A recording, or any capture of replication links, for programs: its links, its events, its commands."""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tap.bus import Told
from tap.capture.files import check
from tap.recording.comments import check_format
from tap.recording.filters import Filters, keys, several
from tap.recording.link import Link
from tap.recording.missing import Account, Concerns, Joins, Missing, everything
from tap.recording.moments import Moment
from tap.recording.player import Player
from tap.recording.reader import read
from tap.recording.seen_commands import SeenCommands
from tap.replication import events
from tap.verdict.loops import judging

_Given = TypeVar("_Given")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a stream.

    time: seconds since the epoch. link, connection: as in tap.bus.Told. event: the command, and where it stands.
    """

    time: float
    link: str
    connection: int
    event: events.Command

    @property
    def offset(self) -> int | None:
        """The replication offset after its last byte, None if that is not known."""
        return self.event.offset

    @property
    def db(self) -> int | None:
        """The db it was executed in; None while no SELECT has been seen."""
        return self.event.db

    @property
    def name(self) -> str:
        """In upper case."""
        return self.event.name

    @property
    def args(self) -> tuple[bytes, ...]:
        """The arguments; of a command above 1 MB (event.omitted_bytes), those that are whole in its first 64 KB."""
        return self.event.args

    @property
    def keys(self) -> list[bytes]:
        """The arguments that are keys."""
        return keys(self.event)


class Recording:
    """Each iteration reads the files again, in little memory whatever their size; a pipe can be read only once.

    Leaving the context, or close(), ends running iterations. Everything readable is reported, whatever else is not.
    problems, missing and remarks say what the most recently begun iteration could not report; they are complete once
    that iteration has ended.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._account = Account()
        self._concerns: Concerns = everything
        self._joins: Joins | None = None
        self._paths = tuple(paths)
        self._running: weakref.WeakSet[Generator[Any, None, None]] = weakref.WeakSet()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def problems(self) -> list[str]:
        """What could not be read in the files, a line each."""
        return self._account.problems

    @property
    def missing(self) -> list[Missing]:
        """Bytes missing from the answer to what was asked: gaps, and bytes that cannot be understood.

        Empty if the answer is complete. Beyond 10,000 stretches only the first ones are listed.
        """
        return self._account.lacking(self._concerns, self._joins)

    @property
    def remarks(self) -> list[str]:
        """Other things worth knowing about the recording, a line each; none makes an answer incomplete."""
        return self._account.remarks

    def close(self) -> None:
        """May be called twice."""
        for iteration in list(self._running):
            iteration.close()

    def events(
        self,
        *,
        commands: bool = False,
        rdb_keys: bool = False,
        link: str | Collection[str] = (),
        from_: Moment | None = None,
        until: Moment | None = None,
    ) -> Iterator[Told]:
        """The events that were reported live, as a subscriber to the tap's bus receives them.

        commands: include every command of the streams. rdb_keys: include every key of RDBs. link: only this link or these
        links, each a name or NAME/CONNECTION. from_, until: a time or a replication offset, both inclusive.
        """
        wanted = Filters(links=several(link), begin=from_, end=until)
        told = self._events(
            lambda missing: wanted.may_lack(missing) and (missing.cause != "rdb_omitted" or rdb_keys),
            every_command=commands,
            every_key=rdb_keys,
        )
        return self._run(one for one in told if wanted.has(one))

    def commands(
        self,
        *,
        link: str | Collection[str] = (),
        db: int | Collection[int] = (),
        command: str | Collection[str] = (),
        key: str | bytes | Collection[str | bytes] = (),
        from_: Moment | None = None,
        until: Moment | None = None,
        once: bool = False,
    ) -> Iterator[Command]:
        """The commands of the streams that match all filters.

        db: executed in one of these dbs, or reaching it. command: names, in any case. key: patterns as for KEYS, one of
        which has to match a key. once: report a command that several connections brought only where it came first. link,
        from_, until: as for events().
        """
        wanted = Filters(
            links=several(link),
            dbs=several(db),
            names=several(command),
            globs=several(key),
            begin=from_,
            end=until,
        )
        first = SeenCommands() if once else None
        told = self._events(
            lambda missing: missing.may_hold_commands and wanted.may_lack(missing),
            wanted.joins if once else None,
            every_command=True,
        )
        return self._run(
            Command(one.time, one.link, one.connection, one.event)
            for one in told
            if wanted.has(one) & (first is None or first.first(one, counts=wanted.has_link(one)))
            and isinstance(one.event, events.Command)
        )

    @property
    def links(self) -> list[Link]:
        """Every connection that replicates, or that a tap recorded, by number. Reads the recording to its end."""
        found: list[Link] = []
        for _ in self._events(lambda missing: missing.cause != "rdb_omitted", ended=found.append):
            pass
        return sorted(found, key=lambda link: link.connection)

    def _events(self, concerns: Concerns, joins: Joins | None = None, **options: Any) -> Iterator[Told]:
        """concerns: which missing stretches make the answer incomplete. joins: see Account.lacking()."""
        heard: list[Told] = []
        player = Player(judging(heard.append), **options)
        self._account, self._concerns, self._joins = player.account, concerns, joins
        for _ in read(self._paths, player):
            if heard:
                yield from heard
                heard.clear()
        yield from heard

    def _run(self, iteration: Generator[_Given, None, None]) -> Iterator[_Given]:
        self._running.add(iteration)
        return iteration


def open(  # noqa: A001
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> Recording:
    """The recording in a file, in the files of a directory, or in several of both, read in order of time; "-" is stdin.

    The files are pcapng or pcap, uncompressed or compressed with zstd or gzip; see tap/capture/files.py. Raises
    RecordingError for a path that does not exist, may not be read, or holds no capture. Recording.problems reports damage
    further into a file.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    found = [Path(path) for path in given]
    for path in found:
        check(path, check_format)
    return Recording(found)
