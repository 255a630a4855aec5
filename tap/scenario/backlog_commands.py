"""The master's stream as its backlog holds it, split into commands without the tap's own reader.

Only for servers of our own: reading the backlog gives the master one more replica for a moment.
"""

from __future__ import annotations

import asyncio
import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tap.servers.backlog import backlog
from tap.servers.client import Client

READ_SECONDS = 10.0
MAX_BYTES = 2**30  # of a backlog


@dataclass(frozen=True, slots=True)
class Executed:
    """What a replica had executed when it had applied the stream up to that offset. process: the server's run_id."""

    offset: int
    executed: Counter[str]
    process: str


@dataclass(slots=True)
class BacklogCommands:
    """Commands of a stream, oldest first. begin: the replication offset before the first one.

    names: upper-case. ends: the offset after each. open: whether more of its transaction follows each, so that no replica
    stops there. replid: the history. before: an earlier replication ID, under which the offsets up to *until* are valid,
    too.
    """

    begin: int
    replid: str = ""
    before: str = ""
    until: int = -1
    names: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    open: list[bool] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.ends[-1] if self.ends else self.begin

    def is_of(self, replid: str | None, offset: int) -> bool:
        """Whether the record covers that offset of that history."""
        known = replid == self.replid or (replid == self.before and offset <= self.until)
        return known and self.begin <= offset <= self.end

    def is_end(self, offset: int) -> bool:
        """Whether a command ends there."""
        return offset == self.begin or (self._at(offset) < len(self.ends) and self.ends[self._at(offset)] == offset)

    def between(self, begin: int, end: int) -> list[str]:
        """The names of the complete commands after one offset, up to another."""
        return self.names[self._count_until(begin) : self._count_until(end)]

    def stop_before(self, offset: int) -> int:
        """Where a replica stands that got all bytes up to this offset: after the last complete command or transaction."""
        for number in range(self._count_until(offset) - 1, -1, -1):
            if not self.open[number]:
                return self.ends[number]
        return self.begin

    def _at(self, offset: int) -> int:
        return bisect.bisect_left(self.ends, offset)

    def _count_until(self, offset: int) -> int:
        return bisect.bisect_right(self.ends, offset)

    def add(self, data: bytes) -> None:
        """Add bytes of the stream, complete commands. Raises ValueError for anything else."""
        is_open = bool(self.open) and self.open[-1]
        base = self.end
        for name, end in commands(data):
            if name == "MULTI":
                is_open = True
            elif name in ("EXEC", "DISCARD"):
                is_open = False
            self.names.append(name)
            self.ends.append(base + end)
            self.open.append(is_open)


def commands(data: bytes) -> Iterator[tuple[str, int]]:
    """The upper-case name of each RESP array of bulk strings, and where it ends. Raises ValueError for anything else."""
    at = 0
    while at < len(data):
        words, at = _number(data, at, b"*")
        name = b""
        for word in range(words):
            size, at = _number(data, at, b"$")
            if not word:
                name = data[at : at + size]
            at += size + 2
            if at > len(data):
                raise ValueError("the last command is not whole")
        yield name.decode("latin-1").upper(), at


def _number(data: bytes, at: int, mark: bytes) -> tuple[int, int]:
    end = data.find(b"\r\n", at)
    if end < 0 or data[at : at + 1] != mark:
        raise ValueError(f"no {mark.decode()} at byte {at}")
    return int(data[at + 1 : end]), end + 2


async def read(client: Client, known: Mapping[str, Iterable[int]]) -> BacklogCommands | None:
    """What the server's backlog holds from the first of the known offsets in it; None when it holds none of them.

    known: offsets at which a command ends, by replication ID. Raises FAILURES, EOFError, ValueError and TimeoutError.
    """
    info = await client.replication()
    first, end = info.repl_backlog_first_byte_offset or 0, info.master_repl_offset
    replid, before, until = info.master_replid, info.master_replid2 or "", (info.second_repl_offset or 0) - 1
    offsets = [*known.get(replid, ()), *(offset for offset in known.get(before, ()) if offset <= until)]
    begin = min((offset for offset in offsets if first - 1 <= offset <= end), default=None)
    if begin is None or not info.repl_backlog_active:
        return None
    if end - begin > MAX_BYTES:
        raise ValueError(f"{client.name} has {end - begin} bytes in its backlog, which are too many to read")
    record = BacklogCommands(begin, replid, before, until)
    async with asyncio.timeout(READ_SECONDS):
        record.add(await backlog(client, replid, begin, end))
    return record
