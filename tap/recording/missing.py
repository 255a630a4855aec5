"""What an answer from a recording lacks: the one place that knows, and the sentences that say so.

A reading cannot report bytes that the capture lacks, bytes that cannot be understood, or files that cannot be read. A
Player keeps an account of all these, and each consumer asks the account what concerns its own question. A gap after
--until, or on another link, takes nothing from the answer. A filter for commands or keys makes no gap harmless: the
missing bytes might have matched. If the answer is incomplete, lines on stderr and exit code 2 say so.

Connections of one history bring the same bytes at the same offsets. A consumer that joins them (exports, replays) lacks
only bytes that all of them lack. One that reports each connection separately (show) lacks bytes that any of them lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from tap.capture.problems import Problems
from tap.recording.offset_spans import Spans
from tap.replication.events import PartialResync, Side
from tap.replication.succession import Succession

SHOWN = 5  # stretches reported one by one
MAX_PROBLEMS = 100  # lines reported about files
MAX_KEPT = 10_000  # stretches kept in full; further ones are only counted

Cause = Literal["gap", "unread", "rdb_omitted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Bytes start <= i < end of *side* on a connection that cannot be reported.

    cause: "gap", the capture lacks them; "unread", it has them, but they cannot be understood; "rdb_omitted", an RDB that
    was left out of the recording on purpose. A gap in a stream reaches from the end of the last whole command before it
    to the next command that could be read; lost_bytes of it are not in the capture.
    link, connection: as in tap.bus.Told. is_rdb: the bytes belong to an RDB.
    replid, from_offset, to_offset: their history, and the replication offsets before and after them; None where unknown,
    and outside a stream.
    since, until: seconds since the epoch; when the last bytes before them came, and when reading went on or ended.
    reason: why they cannot be understood; "" for a gap.
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
        """Whether both are gaps of the same kind, and this one begins where *other* ends."""
        return self.start == other.end and self.cause == other.cause == "gap" and self.is_rdb == other.is_rdb

    def extended(self, by: Missing) -> Missing:
        """This gap and one that follows it, as one."""
        return replace(
            self,
            end=by.end,
            lost_bytes=self.lost_bytes + by.lost_bytes,
            replid=self.replid or by.replid,
            to_offset=by.to_offset,
            until=by.until,
        )

    def __str__(self) -> str:
        """One line, for people."""
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
    """The point up to which an answer is known to be whole: an offset in these histories, and when it came.

    time: nanoseconds.
    """

    replids: Collection[str | None]
    offset: int | None
    time: int

    def precedes(self, missing: Missing) -> bool:
        """Whether some of the missing bytes may have come later."""
        end = missing.to_offset
        if end is not None and self.offset is not None and missing.replid in self.replids:
            return end > self.offset
        return (missing.until if end is None else missing.since) >= self.time / 1e9


@dataclass(slots=True)
class Account:
    """What one reading of a recording could not report; complete once the reading has ended.

    problems: what could not be read in the files, a line each. missing: the stretches, in the order of their ends.
    uncounted: how many more there were. first, last: times of the first and the last packet in nanoseconds; 0 without
    any.
    """

    problems: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    uncounted: int = 0
    first: int = 0
    last: int = 0
    _remarks: Problems = field(default_factory=Problems)
    _remarked: set[str] = field(default_factory=set)
    _read: dict[str, dict[tuple[str, int], Spans]] = field(default_factory=dict)  # by replication ID, then by connection
    _succession: Succession = field(default_factory=Succession)
    _last: dict[tuple[str, int, Side], int] = field(default_factory=dict)  # index in *missing* of each side's last one

    # ---- while reading ----

    def lacks(self, missing: Missing) -> None:
        """Add a stretch; to be called in the order of their ends."""
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
        """Note a partial resync, which may say that one replication ID continues another."""
        self._succession.heard(event)

    def remark(self, text: str, kind: str = "remarks") -> None:
        """Add a remark, once. kind: only the first few of each kind are shown in full; see Problems.add()."""
        if text not in self._remarked:
            if len(self._remarked) < MAX_KEPT:
                self._remarked.add(text)
            self._remarks.add(kind, text)

    # ---- after reading ----

    @property
    def remarks(self) -> list[str]:
        """Sentences worth knowing that make no answer incomplete."""
        return list(self._remarks)

    def lacking(
        self, concerns: Concerns = everything, joins: Joins | None = None, *, by_link: bool = False
    ) -> list[Missing]:
        """The stretches that concern an answer.

        joins: for an answer that joins connections of one history: whether it uses a given connection of a link. A
        stretch that another joined connection has is then not lacking. by_link: join only connections of the same link.
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
        """The offsets before the first and after the last byte that the joined connections brought; None if unknown."""
        found = [spans for spans in self._joined(joins, False).values() if spans.begins]
        if not found:
            return None
        return min(spans.begins[0] for spans in found), max(spans.ends[-1] for spans in found)

    def _joined(self, joins: Joins, by_link: bool) -> dict[tuple[str, str], Spans]:
        """The offsets that the joined connections brought, by replication ID and by link (or "" for all links)."""
        joined: dict[tuple[str, str], Spans] = {}
        for replid, brought in self._read.items():
            for (link, connection), spans in brought.items():
                if joins(link, connection):
                    joined.setdefault((replid, link if by_link else ""), Spans()).update([spans])
        return joined

    def lines(self, concerns: Concerns = everything, joins: Joins | None = None, *, by_link: bool = False) -> list[str]:
        """What makes an answer incomplete, in sentences; empty if nothing does. See lacking()."""
        problems = self.problems
        if len(problems) > MAX_PROBLEMS:
            problems = [*problems[:MAX_PROBLEMS], f"and {len(problems) - MAX_PROBLEMS} more such lines on other files"]
        return [*problems, *sentences(self.lacking(concerns, joins, by_link=by_link), self.uncounted)]


def sentences(missing: list[Missing], uncounted: int = 0) -> list[str]:
    """A line for each of the first stretches, and one that counts the rest."""
    lines = [str(one) for one in missing[:SHOWN]]
    more = missing[SHOWN:]
    if more or uncounted:
        size = f"{'more than ' if uncounted else ''}{sum(one.bytes for one in more)} bytes"
        lines.append(f"and {len(more) + uncounted} more such stretches, of {size} in all")
    return lines
