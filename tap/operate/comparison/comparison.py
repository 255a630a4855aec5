"""Are two data sets equal; if not, which keys differ, and how. The room's __init__.py lists the steps.

Memory does not depend on the size of the data; some 80 bytes of disk for each key do. Only counting the elements that
differ holds values, of as many elements as details.py says.

What talks to servers is imported where it is first needed: redis-py takes 0.15 s of a processor to import, and that would
delay the servers' snapshots. Where nothing differs, this process never needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tap.capture.content import Damaged
from tap.errors import ConfigError, EnvironmentFailure, words
from tap.operate.comparison import reader_processes
from tap.operate.comparison.data_sets import AppendOnly, DataSet, Live, RdbFile, Recorded, chunks_of, parse
from tap.operate.comparison.details import Elements, counted
from tap.operate.comparison.difference import HOWS, Difference, DiffRules, Found, How, Key, differences
from tap.operate.comparison.job import Filter, Job, SideSnapshot
from tap.operate.comparison.reader_processes import Progress
from tap.operate.comparison.spill import Spilled, unmatched
from tap.rdb.handler import HandlerReader
from tap.rdb.parser import Parser
from tap.recording.moments import text
from tap.url import Url

if TYPE_CHECKING:
    from tap.operate.comparison.second_look import Looked

CLOSE_MS = 1000
HELD = 1000  # differences that are held until the end: sorted, and with the number of elements that differ

Advance = Callable[[str, Progress], None]  # "a" or "b", and how far that side is


@dataclass(frozen=True, slots=True)
class Means:
    """link, server: as of diff()."""

    link: str | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True)
class ComparedSide:
    """name: as given, without a password. keys: that were compared."""

    name: str
    keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a comparison found.

    differing: keys that differ, and by_how: how many in which way, in the order of HOWS. vanished: keys that differed
    between two snapshots of live servers, and not when they were looked at again. expired: keys that only one side still
    has after their expiry; they do not count. close_expiries: keys that differ in their expiry alone, by CLOSE_MS or
    less. lacking: sentences about what could not be compared.
    """

    a: ComparedSide
    b: ComparedSide
    differing: int
    by_how: Mapping[How, int]
    vanished: int
    expired: int
    close_expiries: int
    lacking: tuple[str, ...]

    @property
    def equal(self) -> bool | None:
        """None if nothing differs as far as could be compared, and something could not be."""
        return False if self.differing else None if self.lacking else True


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    db: int | Collection[int] = (),
    key: str | bytes | Collection[str | bytes] = (),
    ignore_expiry: bool = False,
    expiry_within: float = 0.0,
    scan: bool = False,
    link: str | None = None,
    server: str | None = None,
    limit: int | None = None,
    found: Callable[[Difference], None] = lambda difference: None,
    advance: Advance = lambda side, progress: None,
) -> Compared:
    """Compare two data sets, as data_sets.py says how to write them.

    db, key: only these dbs, only keys that match one of these patterns, as KEYS takes them. expiry_within: seconds by
    which expiries of keys may differ; those of a hash's fields may not. ignore_expiry: neither counts. scan: read servers
    by SCAN and DUMP. link: of a recording that has several. server: the program that restores append-only files and
    recordings; the one on PATH or in a wheel if not given. found: called with each difference, but not more than *limit*;
    sorted by db and key if there are at most HELD of them. advance: called while the two sides are read.

    Raises ConfigError, RecordingError or RdbError for a side that cannot be read to its end, EnvironmentFailure for a
    server that fails or a disk that is full.
    """
    rules = DiffRules(ignore_expiry=ignore_expiry, within_ms=round(expiry_within * 1000))
    sources = {"a": parse(os.fspath(a)), "b": parse(os.fspath(b))}
    only = Filter(_several(db), tuple(os.fsencode(one) for one in _several_keys(key)))
    with _directory() as directory:
        return _Comparison(sources, only, rules, scan, directory, limit, found, Means(link, server)).run(advance)


def _several(db: int | Collection[int]) -> tuple[int, ...]:
    return (db,) if isinstance(db, int) else tuple(db)


def _several_keys(key: str | bytes | Collection[str | bytes]) -> tuple[str | bytes, ...]:
    return (key,) if isinstance(key, str | bytes) else tuple(key)


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    try:
        with tempfile.TemporaryDirectory(prefix="redis-tap-diff-") as name:
            yield Path(name)
    except OSError as error:
        if error.filename is None:
            raise
        raise EnvironmentFailure(f"{error.filename}: {words(error)}; TMPDIR says where to keep temporary files") from None


class _Comparison:
    def __init__(
        self,
        sources: Mapping[str, DataSet],
        only: Filter,
        rules: DiffRules,
        scan: bool,
        directory: Path,
        limit: int | None,
        found: Callable[[Difference], None],
        means: Means,
    ) -> None:
        self._means = means
        self._restored: dict[str, Url] = {}
        self._moments: dict[str, int] = {}  # of sides whose data are older than their snapshot; ms
        self._sources = sources
        self._only = only
        self._rules = rules
        self._scan = scan
        self._directory = directory
        self._limit = limit
        self._found = found
        self._key = os.urandom(16)
        self._held: list[Difference] = []
        self._passed_on = 0
        self._by_how: Counter[How] = Counter()
        self._expired = 0
        self._close_expiries = 0
        self._vanished = 0
        self._undecided = 0
        self._lacking: list[str] = []

    def run(self, advance: Advance) -> Compared:
        with contextlib.ExitStack() as restored:
            return self._run(advance, restored)

    def _run(self, advance: Advance, restored: contextlib.ExitStack) -> Compared:
        restoring = any(isinstance(source, AppendOnly | Recorded) for source in self._sources.values())
        for source in self._sources.values():
            if isinstance(source, Live):
                if source.url.db is not None:
                    raise ConfigError(
                        f"{source.url.address}: a server is compared as a whole; --db {source.url.db} in place of the db "
                        "in its URL compares this db of both sides"
                    )
                if restoring:
                    _check(source.url)
        for side, source in self._sources.items():
            if isinstance(source, AppendOnly | Recorded):
                self._restore(side, source, restored, advance)
        jobs = {side: self._job(side, source) for side, source in self._sources.items()}
        snapshots = dict(zip(jobs, self._read(jobs, advance), strict=True))
        moments = {side: 1000 * one.created for side, one in snapshots.items() if one.created is not None}
        moments |= self._moments
        if moments:
            self._rules = dataclasses.replace(self._rules, moment=max(moments.values()))
        mine, theirs = (Spilled(job.directory, snapshots[side].sums) for side, job in jobs.items())
        found = chain.from_iterable(differences(*records, self._rules) for records in unmatched(mine, theirs))
        live = [source.url for source in self._sources.values() if isinstance(source, Live)]
        if len(live) == len(jobs):
            first = next(found, None)
            if first is not None:
                asyncio.run(self._look_again(live[0], live[1], chain((first,), found)))
        else:
            for one in found:
                self._expired += one.expired
                for difference in one.differences:
                    self._take(difference)
            self._count_elements()
        for difference in sorted(self._held, key=lambda one: (one.db, one.key))[: self._limit]:
            self._found(difference)
        self._lack(jobs, snapshots)
        return Compared(
            a=ComparedSide(jobs["a"].name, snapshots["a"].keys),
            b=ComparedSide(jobs["b"].name, snapshots["b"].keys),
            differing=sum(self._by_how.values()) - self._by_how["not_comparable"],
            by_how={how: self._by_how[how] for how in HOWS if self._by_how[how]},
            vanished=self._vanished,
            expired=self._expired,
            close_expiries=self._close_expiries,
            lacking=tuple(self._lacking),
        )

    # ---- reading ----

    def _job(self, side: str, source: DataSet) -> Job:
        place, name = self._place(side, source)
        directory = self._directory / side
        directory.mkdir()
        return Job(
            name=name,
            place=place,
            directory=directory,
            key=self._key,
            filter=self._only,
            scan=self._scan and isinstance(source, Live),
            expiries=not self._rules.ignore_expiry,
            functions=not self._scan and self._only == Filter(),
        )

    def _place(self, side: str, source: DataSet) -> tuple[Path | Url, str]:
        if isinstance(source, Live):
            return source.url, str(source.url.address)
        return (source.path if isinstance(source, RdbFile) else self._restored[side]), _named(source)

    def _restore(
        self, side: str, source: AppendOnly | Recorded, restored: contextlib.ExitStack, advance: Advance
    ) -> None:
        """Start a server that holds the data, until the comparison has ended."""
        from tap import export  # these imports take longer than a small comparison
        from tap.operate.comparison.restored import Restored

        if isinstance(source, Recorded):
            directory = self._directory / f"{side}-aof"
            written = export.aof(source.path, directory, link=self._means.link, until=source.moment)
            self._lacking += (f"{_named(source)}: {one}" for one in written.lacking)
            at = written.base.ended if written.written.time is None else written.written.time
            self._moments[side] = at // 1_000_000
            whole = parse(str(directory))
            assert isinstance(whole, AppendOnly)
            files = whole.files
        else:
            files = source.files
            self._moments[side] = max((round(1000 * path.stat().st_mtime) for path in files), default=0)
        total = sum(path.stat().st_size for path in files)
        sent = 0

        def report(size: int) -> None:
            nonlocal sent
            sent += size
            advance(side, Progress(sent, max(sent, total), 0))

        one = restored.enter_context(Restored(_named(source), files, self._means.server, report))
        self._lacking += one.lacking
        self._restored[side] = one.url

    def _read(self, jobs: Mapping[str, Job], advance: Advance) -> list[SideSnapshot]:
        sides = list(jobs)
        return reader_processes.read(list(jobs.values()), lambda number, progress: advance(sides[number], progress))

    # ---- differences ----

    def _take(self, difference: Difference) -> None:
        """Count a difference that is certain, and pass it on, or hold it for the end."""
        self._by_how[difference.how] += 1
        self._close_expiries += (
            difference.how == "expiry"
            and DiffRules(within_ms=CLOSE_MS).judge((difference.db, difference.key), difference.a, difference.b) is None
        )
        if len(self._held) < HELD:
            self._held.append(difference)
        elif self._limit is None or HELD + self._passed_on < self._limit:
            self._passed_on += 1
            self._found(difference)

    async def _look_again(self, a: Url, b: Url, found: Iterator[Found]) -> None:
        from tap.operate.comparison.second_look import SecondLook
        from tap.servers.client import Client
        from tap.servers.failures import FAILURES, said_by

        async with Client(a) as one, Client(b) as other:
            try:
                async with SecondLook(one, other, self._key, self._rules) as second:
                    for share in found:
                        self._expired += share.expired
                        looked = await second.look(share.differences, details=len(self._held) < HELD)
                        self._judge(looked)
            except FAILURES as error:
                raise EnvironmentFailure(
                    f"keys that differ could not be looked at again, at {one.name} or {other.name}: {said_by(error)}"
                ) from None
            if self._undecided:
                keys = "1 key" if self._undecided == 1 else f"{self._undecided} keys"
                late = f", or not replicated in time: {second.behind}" if second.behind else ""
                self._lacking.append(
                    f"{keys} differed and could not be decided: written again during every reading{late}"
                )

    def _judge(self, looked: Looked) -> None:
        self._vanished += looked.vanished
        self._undecided += len(looked.undecided)
        for difference in looked.differences:
            self._take(difference)

    def _count_elements(self) -> None:
        """Read files once more for the elements of the values that differ."""
        wanted = {(one.db, one.key) for one in self._held if one.has_elements}
        if not wanted:
            return
        if any(isinstance(source, Live) for source in self._sources.values()):
            return  # its values may have changed since
        by_side = []
        for side, source in self._sources.items():
            elements = Elements(wanted)
            reader = HandlerReader(elements, elements.only)
            if isinstance(source, RdbFile):
                _read_file(source.path, reader)
            else:
                asyncio.run(_read_values(self._restored[side], wanted, reader))
            by_side.append(elements.by_key)
        a, b = by_side
        self._held = [counted(one, a.get((one.db, one.key)), b.get((one.db, one.key))) for one in self._held]

    def _lack(self, jobs: Mapping[str, Job], snapshots: Mapping[str, SideSnapshot]) -> None:
        if number := self._by_how["not_comparable"]:
            self._lacking.append(
                f"{number} values of modules are not comparable: the two sides saved them in different versions"
            )
        for side, one in snapshots.items():
            if one.after not in (b"", b"\0"):
                self._lacking.append(
                    f"{jobs[side].name}: bytes follow the RDB, and are not compared; if they are commands, name the "
                    "file so that it ends in .aof"
                )


def _check(url: Url) -> None:
    """Refuse options that a client does not know before a server is started that loads the other side."""
    from tap.servers.client import Client

    Client(url)


def _named(source: RdbFile | AppendOnly | Recorded) -> str:
    moment = source.moment if isinstance(source, Recorded) else None
    return f"{source.path}" if moment is None else f"{source.path}@{text(moment)}"


def _read_file(path: Path, reader: HandlerReader) -> None:
    parser = Parser(reader, values=True, checks=False)
    with contextlib.suppress(Damaged):
        for chunk in chunks_of(path):
            parser.feed(chunk)
            if parser.finished or parser.problem is not None:
                return


async def _read_values(url: Url, wanted: Collection[Key], reader: HandlerReader) -> None:
    """Those of a server of our own, where they do not change."""
    from tap.operate.comparison.dumped import Dumps, read
    from tap.servers.client import Client
    from tap.servers.failures import FAILURES

    async with Client(url) as client:
        with contextlib.suppress(*FAILURES):  # the number of elements stays unknown
            async with Dumps(client) as dumps:
                for db, name in wanted:
                    read(await dumps.read(db, [name]), reader)
