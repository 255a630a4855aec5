"""Look again at the keys that differ between two live servers: a write in flight is no difference.

The two snapshots are of two moments. So each key that differs is read again, in an order that decides: it is watched at A
(WATCH) and read there; then it is read at B, once that has applied the stream up to A's offset; then, once A has the
offset of B, an EXEC at A says whether A changed the key meanwhile. If it did not, A had that value at the very offset at
which B was read: another value there is a difference. If it did, the reading decides nothing unless both sides agree, and
is repeated, with fewer keys at a time. Comparing two readings of A would not do: a key may be deleted, made and deleted
again in between.

Offsets order the readings if both servers are of one history (master and replica in either order, or two replicas of one
master). Between servers that do not replicate from each other nothing waits, and a key differs if it does while A does
not change it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from types import TracebackType

from tap.operate.comparison.details import Elements, counted
from tap.operate.comparison.difference import Difference, DiffRules, Entry, Key
from tap.operate.comparison.dumped import Dump, Dumps, digested, read
from tap.rdb.handler import HandlerReader
from tap.servers.client import Client
from tap.servers.failures import ANSWER_SECONDS, InvalidReply
from tap.servers.info import ReplicationSection

BATCH = 100  # keys at a time
PARTS = 8  # that a batch is split into when one of its keys has changed
ATTEMPTS = 10  # with one key
REACH_SECONDS = 10.0  # for a server to reach an offset, after which its keys are undecided
POLL_SECONDS = 0.005
HELD_BYTES = 16 * 2**20  # of values, to count the elements that differ
INEXACT_MS = 2  # by which an expiry that is computed from the time left may be off


@dataclass(slots=True)
class Looked:
    """differences: those that are certain. vanished: keys that agree. undecided: keys that changed during every reading,
    or whose server did not reach the offset.
    """

    differences: list[Difference] = field(default_factory=list)
    vanished: int = 0
    undecided: list[Difference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Reading:
    """dumps: of some keys, as many as HELD_BYTES allow."""

    entries: dict[Key, Entry]
    dumps: dict[Key, Dump]


class _WatchedKeys:
    """Watches keys on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def begin(self, keys: Sequence[bytes]) -> None:
        """One command for each key: in a Cluster, keys of one command would have to be of one slot."""
        # All in one write: asyncio makes a system call for each. Of 300,000 keys that cost a quarter of the whole time.
        self._writer.write(b"".join(b"*2\r\n$5\r\nWATCH\r\n$%d\r\n%b\r\n" % (len(key), key) for key in keys))
        async with asyncio.timeout(ANSWER_SECONDS):
            for _ in keys:
                await self._ok(b"+OK")

    async def end(self) -> bool:
        """Whether none of the keys has changed since begin()."""
        self._writer.write(b"MULTI\r\nEXEC\r\n")
        async with asyncio.timeout(ANSWER_SECONDS):
            await self._ok(b"+OK")
            return await self._ok(b"*0", b"*-1") == b"*0"

    async def _ok(self, *wanted: bytes) -> bytes:
        line = (await self._reader.readline()).strip()
        if line not in wanted:
            said = line.decode("utf-8", "backslashreplace").lstrip("-")
            raise InvalidReply(f"to WATCH, MULTI or EXEC it answers {said[:100] or 'nothing'}")
        return line


class SecondLook:
    """A context. behind: a clause that says which server was how far behind when waiting for it was given up, or ""."""

    def __init__(self, a: Client, b: Client, key: bytes, rules: DiffRules) -> None:
        """key: of the hash."""
        self.behind = ""
        self._a, self._b = a, b
        self._dumps = {a: Dumps(a), b: Dumps(b)}
        self._key = key
        self._given_rules = rules

    async def __aenter__(self) -> SecondLook:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self._dumps.values():
            await one.__aexit__(kind, error, trace)

    async def look(self, found: Sequence[Difference], *, details: bool = True) -> Looked:
        """Read these keys again. details: count the elements that differ. Raises FAILURES."""
        looked = Looked()
        for difference in found:
            if difference.db < 0:  # a library of functions, which DUMP does not know
                looked.differences.append(difference)
        keyed = sorted((one for one in found if one.db >= 0), key=lambda one: (one.db, one.key))
        for db, group in groupby(keyed, lambda one: one.db):
            these = list(group)
            async with self._a.streams(db) as streams:
                watch = _WatchedKeys(*streams)
                for begin in range(0, len(these), BATCH):
                    some = {(db, one.key): one for one in these[begin : begin + BATCH]}
                    await self._batch(watch, db, some, looked, details)
        return looked

    async def _batch(
        self, watch: _WatchedKeys, db: int, left: dict[Key, Difference], looked: Looked, details: bool, attempt: int = 0
    ) -> None:
        """Decide these keys together, or else in parts, and each alone again and again."""
        await watch.begin([key for _, key in left])
        mine = await self._read(self._a, db, left)
        in_order = await self._reached(self._b, self._a)
        theirs = await self._read(self._b, db, left)
        in_order = in_order and await self._reached(self._a, self._b)
        is_certain = await watch.end() and in_order
        for key in list(left):
            judged = self._rules.judge(key, mine.entries.get(key), theirs.entries.get(key))
            if judged is None:
                looked.vanished += 1
            elif is_certain:
                if details:
                    judged = detailed(judged, mine.dumps.get(key), theirs.dumps.get(key))
                looked.differences.append(judged)
            else:
                continue
            del left[key]
        if not left:
            return
        if len(left) == 1:
            if attempt == ATTEMPTS:
                looked.undecided += left.values()
                return
            await asyncio.sleep(POLL_SECONDS * attempt)
            await self._batch(watch, db, left, looked, details, attempt + 1)
            return
        keys = list(left)
        size = max(1, len(keys) // PARTS)
        for begin in range(0, len(keys), size):
            await self._batch(watch, db, {key: left[key] for key in keys[begin : begin + size]}, looked, details)

    @property
    def _rules(self) -> DiffRules:
        rules = self._given_rules
        if all(one.is_exact for one in self._dumps.values()):
            return rules
        return dataclasses.replace(rules, within_ms=max(rules.within_ms, INEXACT_MS))

    async def _read(self, client: Client, db: int, keys: dict[Key, Difference]) -> _Reading:
        reading = _Reading({}, {})
        held = 0
        async for dumps in self._dumps[client].groups(db, [key for _, key in keys]):
            reading.entries.update(digested(dumps, self._key, expiries=not self._given_rules.ignore_expiry))
            held += sum(len(one.payload) for one in dumps)
            if held <= HELD_BYTES:
                reading.dumps.update(((one.db, one.key), one) for one in dumps)
        return reading

    async def _reached(self, client: Client, other: Client) -> bool:
        """Wait until one server has applied what the other one has now. False if it does not within the limit."""
        theirs = await other.replication()
        wanted = _applied(theirs)
        give_up = time.monotonic() + REACH_SECONDS
        while True:
            mine = await client.replication()
            if mine.master_replid != theirs.master_replid:
                return True  # no history in common orders the readings
            missing = wanted - _applied(mine)
            if missing <= 0:
                return True
            if time.monotonic() > give_up or self.behind:
                self.behind = f"{client.name} was {missing} bytes behind {other.name}"
                return False
            await asyncio.sleep(POLL_SECONDS)


def _applied(said: ReplicationSection) -> int:
    """The offset up to which a server has applied its stream."""
    return said.master_repl_offset if said.slave_repl_offset is None else said.slave_repl_offset


def detailed(difference: Difference, a: Dump | None, b: Dump | None) -> Difference:
    """The difference with the number of elements that differ, as far as two dumps say."""
    if a is None or b is None or not difference.has_elements:
        return difference
    key = difference.db, difference.key
    found = []
    for dump in (a, b):
        elements = Elements({key})
        read([dump], HandlerReader(elements, elements.only))
        found.append(elements.by_key.get(key))
    return counted(difference, *found)
