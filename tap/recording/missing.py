"""What an answer from a recording lacks: the one place that knows, and the sentences that say so.

A reading cannot tell of bytes that the capture lacks, or that it holds and nobody understands, or of files that cannot be
read. A Player keeps an account of all these. Each consumer asks the account what concerns its own question. A gap after
--until, or on another link, takes nothing from the answer. A filter for commands or keys makes no gap harmless: what is
missing might have matched. What concerns the answer is told in a line on stderr, and by exit code 2.

Connections of one history bring the same bytes at the same offsets. A consumer that joins them (exports, replays) lacks
only what none of them has. One that tells each connection by itself (show) lacks what any of them lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from tap.capture.problems import Problems
from tap.recording.spans import Spans
from tap.replication.events import PartialResync, Side
from tap.replication.succession import Succession

SHOWN = 5  # stretches that are told one by one
MAX_PROBLEMS = 100  # lines on files that are told
MAX_KEPT = 10_000  # stretches of which all is known; of more only their number and bytes

Cause = Literal["gap", "unread", "rdb_omitted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Bytes start <= i < end of *side* on a connection, of which nothing can be told.

    cause: "gap", where the capture lacks them; "unread", where it has them and they are not understood; "rdb_omitted", an
    RDB that was left out of the recording on purpose. A gap in a stream reaches from the end of the last whole command
    before it to the next command that is read: lost_bytes of it are not in the capture.
    link, connection: as of tap.bus.Told. is_rdb: they are of an RDB.
    replid, from_offset, to_offset: their history, and the replication offsets before and after them; None where that is
    unknown, and where they are of no stream.
    since, until: seconds since the epoch, when the last bytes before them came, and when reading went on or ended.
    reason: why they are not understood; "" for a gap.
    """

    cause: Cause
    link: str
    connection: int
    side: Side
    start: int
    end: int
    lost_bytes: int
    is_rdb: bool
    replid: str | None
    from_offset: int | None
    to_offset: int | None
    since: float
    until: float
    reason: str

    @property
    def bytes(self) -> int:
        return self.end - self.start

    @property
    def may_hold_commands(self) -> bool:
        return self.side is Side.MASTER and not self.is_rdb

    def follows(self, other: Missing) -> bool:
        """Whether it is a gap like the other one, and begins where that ends."""
        return self.start == other.end and self.cause == other.cause == "gap" and self.is_rdb == other.is_rdb

    def extended(self, by: Missing) -> Missing:
        """With one that follows."""
        return replace(
            self,
            end=by.end,
            lost_bytes=self.lost_bytes + by.lost_bytes,
            replid=self.replid or by.replid,
            to_offset=by.to_offset,
            until=by.until,
        )

    def __str__(self) -> str:
        """A sentence for people."""
        whose = "of an RDB" if self.is_rdb else f"from the {self.side.value}"
        where = f"bytes {self.start} to {self.end}"
        if self.is_rdb:
            where += f" from the {self.side.value}"
        elif self.from_offset is not None:
            whose = "of the stream"
            where = f"from offset {self.from_offset} on"
            if self.to_offset is not None:
                where = f"offsets {self.from_offset} to {self.to_offset}"
                whose = whose if self.to_offset - self.from_offset == self.bytes else f"from the {self.side.value}"
        if self.cause == "unread":
            what, where = "cannot be read", f"{where}: {self.reason}"
        elif self.cause == "rdb_omitted":
            what = "were left out of the recording"
        elif self.lost_bytes == self.bytes:
            what = "is missing" if self.bytes == 1 else "are missing"
        else:
            what = f"cannot be read, as {self.lost_bytes} of them are missing"
        came = datetime.fromtimestamp(self.since).astimezone().isoformat(timespec="milliseconds")
        size = "1 byte" if self.bytes == 1 else f"{self.bytes} bytes"
        return f"{self.link}/{self.connection}: {size} {whose} {what}, {where} (after {came})"


Concerns = Callable[[Missing], bool]
Joins = Callable[[str, int], bool]  # given the name of a link and the number of a connection


def everything(missing: Missing) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Whole:
    """Where an answer stops being known to be whole: behind an offset of these histories, which came at that time.

    time: nanoseconds.
    """

    replids: Collection[str | None]
    offset: int | None
    time: int

    def precedes(self, missing: Missing) -> bool:
        """Whether some of what is missing may have come later."""
        end = missing.to_offset
        if end is not None and self.offset is not None and missing.replid in self.replids:
            return end > self.offset
        return (missing.until if end is None else missing.since) >= self.time / 1e9


@dataclass(slots=True)
class Account:
    """What one reading of a recording could not bring; complete at its end.

    problems: what of the files could not be read, a line each. missing: the stretches, in the order of their ends.
    uncounted: how many more there were. first, last: nanoseconds, when the first and the last packet came; 0 where none
    did.
    """

    problems: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    uncounted: int = 0
    first: int = 0
    last: int = 0
    _remarks: Problems = field(default_factory=Problems)
    _remarked: set[str] = field(default_factory=set)
    _read: dict[str, dict[tuple[str, int], Spans]] = field(default_factory=dict)  # by replication ID, of connections
    _succession: Succession = field(default_factory=Succession)
    _last: dict[tuple[str, int, Side], int] = field(default_factory=dict)  # of each side, where in missing

    # ---- while it is read ----

    def lacks(self, missing: Missing) -> None:
        """A stretch of a connection, in the order of their ends."""
        side = missing.link, missing.connection, missing.side
        last = self.missing[self._last[side]] if side in self._last else None
        if last is not None and missing.follows(last):
            self.missing[self._last[side]] = last.extended(missing)
        elif len(self.missing) < MAX_KEPT:
            self._last[side] = len(self.missing)
            self.missing.append(missing)
        else:
            self.uncounted += 1

    def read(self, link: str, connection: int, replid: str, begin: int, end: int) -> None:
        """A connection has brought these offsets of a history."""
        spans = self._read.setdefault(replid, {}).setdefault((link, connection), Spans())
        if begin < end and len(spans.begins) < MAX_KEPT:
            spans.add(begin, end)

    def resynced(self, event: PartialResync) -> None:
        """An ID may go on from another one."""
        self._succession.heard(event)

    def remark(self, text: str, kind: str = "remarks") -> None:
        """Say it once. kind: of which the first few are said, and how many more there are; see Problems.add()."""
        if text not in self._remarked:
            if len(self._remarked) < MAX_KEPT:
                self._remarked.add(text)
            self._remarks.add(kind, text)

    # ---- afterwards ----

    @property
    def remarks(self) -> list[str]:
        """Sentences that make no answer incomplete, and should be known."""
        return list(self._remarks)

    def lacking(
        self, concerns: Concerns = everything, joins: Joins | None = None, *, by_link: bool = False
    ) -> list[Missing]:
        """The stretches that concern an answer.

        joins: for an answer that joins connections of one history: whether it takes a connection of a link. What one of
        them lacks and another has is then not lacking. by_link: those of each link alone are joined.
        """
        found = [one for one in self.missing if concerns(one)]
        if joins is None:
            return found
        read = self._joined(joins, by_link)
        joined: dict[tuple[frozenset[str], str], Spans] = {}
        lacking = []
        for one in found:
            begin, end = one.from_offset, one.to_offset
            if one.replid is not None and begin is not None and end is not None:
                key = self._succession.same_until(one.replid, end), one.link if by_link else ""
                if key not in joined:
                    joined[key] = Spans().update(read[replid, key[1]] for replid in key[0] if (replid, key[1]) in read)
                if joined[key].has(begin, end):
                    continue
            lacking.append(one)
        return lacking

    def offsets(self, joins: Joins) -> tuple[int, int] | None:
        """Before the first and after the last byte that connections of these links brought; None where none is known."""
        found = [spans for spans in self._joined(joins, False).values() if spans.begins]
        if not found:
            return None
        return min(spans.begins[0] for spans in found), max(spans.ends[-1] for spans in found)

    def _joined(self, joins: Joins, by_link: bool) -> dict[tuple[str, str], Spans]:
        """What the connections that are joined have brought, by replication ID, and by link or under ""."""
        joined: dict[tuple[str, str], Spans] = {}
        for replid, brought in self._read.items():
            for (link, connection), spans in brought.items():
                if joins(link, connection):
                    joined.setdefault((replid, link if by_link else ""), Spans()).update([spans])
        return joined

    def lines(self, concerns: Concerns = everything, joins: Joins | None = None, *, by_link: bool = False) -> list[str]:
        """What makes an answer incomplete, in sentences; none if nothing does. See lacking()."""
        problems = self.problems
        if len(problems) > MAX_PROBLEMS:
            problems = [*problems[:MAX_PROBLEMS], f"and {len(problems) - MAX_PROBLEMS} more such lines on other files"]
        return [*problems, *sentences(self.lacking(concerns, joins, by_link=by_link), self.uncounted)]


def sentences(missing: list[Missing], uncounted: int = 0) -> list[str]:
    """The first stretches one by one, and how many more there are."""
    lines = [str(one) for one in missing[:SHOWN]]
    more = missing[SHOWN:]
    if more or uncounted:
        size = f"{'more than ' if uncounted else ''}{sum(one.bytes for one in more)} bytes"
        lines.append(f"and {len(more) + uncounted} more such stretches, of {size} in all")
    return lines
