"""Statistics of a recording's command streams, in bounded memory. Reads no files and renders nothing.

Rates over time are in traffic.py, the keys of most weight in frequent_keys.py, groups of keys in key_groups.py.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tap.bus import Told
from tap.key_groups import KeyGroup, KeyGroups, containers
from tap.recording.batch import Batch
from tap.recording.frequent_keys import DbKey, Frequent
from tap.recording.missing import Missing
from tap.recording.seen_commands import SeenCommands
from tap.recording.traffic import Busiest, TrafficCourse
from tap.replication import events
from tap.replication.events import Event, Role, as_text
from tap.replication.heads import OTHER, Head

KEY_SIZE = 256  # leading bytes that distinguish keys
MAX_NAMES = 1000
MAX_GROUPS = 20  # rows of the table of groups
MAX_HAPPENED = 20  # events of each kind that are kept, the newest ones

# Commands that a master sends of its own accord, or around clients' writes.
NOT_WRITES = frozenset({"PING", "REPLCONF", "SELECT", "MULTI", "EXEC"})

MARKED: tuple[type[Event], ...] = (
    events.FullResync,
    events.RecordingGap,
    events.Opaque,
    events.LinkClosed,
    events.ResyncRefused,
    events.PartialResync,
    events.FaultFired,
    events.AckAheadOfMaster,
    events.ReplicaTalkedBack,
)


def written(head: Head) -> list[DbKey]:
    """The keys that a command writes."""
    _, _, db, name, keys, places = head
    if name in NOT_WRITES:
        return []
    found = [(db, key) for key in keys]
    if places:
        found += [(other, key) for other, named in places for key in named]
    return found


# Returns the part of a batch that was asked for; None for another link or time. The bool: these commands are new.
Choose = Callable[[Batch, bool], Batch | None]


def everything(batch: Batch, is_new: bool) -> Batch | None:
    return batch


@dataclass(frozen=True, slots=True, order=True)
class Large:
    """One large command. offset: after it. key: its first one. Of equal sizes, the earlier command sorts as larger."""

    size: int
    number: int  # less for each that comes, so that no comparison goes beyond it
    time: float
    offset: int | None
    db: int | None
    name: str
    key: bytes | None


class LinkStats:
    """Statistics of one link over all its connections. Commands that a second connection repeats are counted once.

    begin, end: when the first and the last thing happened. repeated, repeated_bytes: commands that came again. groups:
    patterns of the groups in which keys are counted; none: groups are found.
    """

    def __init__(self, top: int, groups: Sequence[bytes] = ()) -> None:
        self.begin = 0.0
        self.end = 0.0
        self.commands = 0
        self.bytes = 0
        self.writes = 0
        self.repeated = 0
        self.repeated_bytes = 0
        self.by_name: dict[str, list[int]] = {}  # count, bytes
        self.writes_of = Frequent()
        self.bytes_of = Frequent()
        self._groups = KeyGroups(groups)
        self._has_patterns = bool(groups)
        self.course = TrafficCourse()
        self.busiest = Busiest()
        self.rdb_bytes = 0
        self.missing_bytes = 0
        self.unread_bytes = 0
        self.happened: dict[type[Event], int] = {}
        self._kept: dict[type[Event], deque[Told]] = {}
        self._top = top
        self._largest: list[Large] = []  # a heap
        self._larges = 0  # how many were ever put there

    # ---- numbers ----

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    @property
    def transactions(self) -> int:
        return self.by_name.get("EXEC", (0,))[0]

    def largest(self) -> list[Large]:
        return sorted(self._largest, reverse=True)

    def names(self) -> list[tuple[str, int, int]]:
        """(name, count, bytes), most bytes first."""
        return sorted(
            ((name, count, size) for name, (count, size) in self.by_name.items()), key=lambda row: (-row[2], row[0])
        )

    def groups(self) -> list[KeyGroup]:
        """The groups of keys, by bytes."""
        return self._groups.table(MAX_GROUPS)

    def kept(self) -> list[Told]:
        """The newest events of each kind, in order of time."""
        return sorted((told for kept in self._kept.values() for told in kept), key=lambda told: told.time)

    # ---- input ----

    def now(self, time: float) -> None:
        """Note that something happened at that time."""
        self.begin = min(self.begin, time) if self.begin else time
        self.end = max(self.end, time)

    def mark(self, told: Told) -> None:
        event = told.event
        kind = type(event)
        self.now(told.time)
        self.course.at(told.time).marks |= 1 << MARKED.index(kind)
        self.happened[kind] = self.happened.get(kind, 0) + 1
        self._kept.setdefault(kind, deque(maxlen=MAX_HAPPENED)).append(told)
        if isinstance(event, events.RecordingGap) and event.side is events.Side.MASTER:
            self.missing_bytes += event.bytes

    def again(self, batch: Batch) -> None:
        """Count commands that came before."""
        self.now(batch.time)
        self.repeated += len(batch.heads)
        self.repeated_bytes += sum(head[1] for head in batch.heads)

    def take(self, batch: Batch) -> None:
        """Count commands that are new."""
        self.now(batch.time)
        heads = batch.heads
        if not heads:
            return
        by_name, by_key = self.by_name, []
        # A pattern is compared with the whole key.
        by_whole_key: list[tuple[DbKey, int]] | None = [] if self._has_patterns else None
        least = self._largest[0].size if len(self._largest) == self._top else 0
        total = 0
        for end, size, db, name, keys, places in heads:
            total += size
            share = by_name.get(name)
            if share is None:
                share = by_name.setdefault(name if len(by_name) < MAX_NAMES else OTHER, [0, 0])
            share[0] += 1
            share[1] += size
            if size > least:
                least = self._large(batch, end, size, db, name, keys)
            if name in NOT_WRITES:
                continue
            self.writes += 1
            written = [(db, key) for key in keys]
            if places:
                written += [(other, key) for other, named in places for key in named]
            if by_whole_key is not None:
                by_whole_key += [(place, size // len(written)) for place in written]
            for at, key in written:
                by_key.append(((at, key[:KEY_SIZE]), size // len(written)))
        self.writes_of.add((key, 1) for key, _ in by_key)
        self.bytes_of.add(by_key)
        self._groups.add(by_key if by_whole_key is None else by_whole_key)
        self.commands += len(heads)
        self.bytes += total
        slot = self.course.at(batch.time)
        slot.bytes += total
        slot.commands += len(heads)
        self.busiest.add(batch.time, total, len(heads))

    def _large(self, batch: Batch, end: int, size: int, db: int | None, name: str, keys: tuple[bytes, ...]) -> int:
        """Put a command among the largest. Returns the size that the next one has to exceed."""
        offset = None if batch.base is None else batch.base + end
        key = keys[0][:KEY_SIZE] if keys else None
        self._larges += 1
        large = Large(size, -self._larges, batch.time, offset, db, name, key)
        if len(self._largest) < self._top:
            heapq.heappush(self._largest, large)
        else:
            heapq.heapreplace(self._largest, large)
        return self._largest[0].size if len(self._largest) == self._top else 0


class Stats:
    """All links by name. top: how many keys and commands to list for each. once: count a command only for the link that
    brought it first, not for every link that did. groups: see LinkStats.
    """

    def __init__(self, top: int = 10, *, once: bool = False, groups: Sequence[bytes] = ()) -> None:
        self.top = top
        self._groups = groups
        self.links: dict[str, LinkStats] = {}
        self._once = SeenCommands() if once else None
        self._onces: dict[str, SeenCommands] = {}  # by link

    @property
    def remarks(self) -> list[str]:
        """Sentences about commands that may be counted more than once in spite of *once*."""
        return [] if self._once is None else self._once.remarks()

    def take(self, batch: Batch, choose: Choose = everything) -> None:
        """Count a batch. choose: returns the part that was asked for."""
        once = self._once or self._onces.setdefault(batch.link, SeenCommands())
        if batch.replid is not None and batch.previous is not None and batch.base is not None:
            once.continues(batch.replid, batch.previous, batch.base)
        new = once.new(batch.replid, batch.base, batch.heads)
        if len(new) < len(batch.heads):
            known = {head[0] for head in new}
            again = choose(replace(batch, heads=[head for head in batch.heads if head[0] not in known]), False)
            if again is not None:
                self._link(batch.link).again(again)
            if not new:
                return
            batch = replace(batch, heads=new)
        chosen = choose(batch, True)
        if chosen is not None:
            self._link(batch.link).take(chosen)

    def told(self, told: Told) -> None:
        event = told.event
        if isinstance(event, MARKED) and not (isinstance(event, events.LinkClosed) and event.role is not Role.REPLICA):
            self._link(told.link).mark(told)
            return
        link = self.links.get(told.link)
        if link is not None:
            link.now(told.time)
            if isinstance(event, events.RdbFinished):
                link.rdb_bytes += event.bytes

    def lacks(self, missing: Missing) -> None:
        """Count bytes that could not be read."""
        self._link(missing.link).unread_bytes += missing.bytes - missing.lost_bytes

    def _link(self, name: str) -> LinkStats:
        link = self.links.get(name)
        if link is None:
            link = self.links[name] = LinkStats(self.top, self._groups)
        return link

    # ---- as JSON ----

    def as_dict(self) -> dict[str, Any]:
        """Snake_case names, times in seconds since the epoch, byte strings as events.as_text() writes them."""
        return {"links": [self._as_dict(name, link) for name, link in self.links.items()]}

    def _as_dict(self, name: str, link: LinkStats) -> dict[str, Any]:
        busiest, seconds = link.busiest, link.seconds
        return {
            "link": name,
            "from": link.begin,
            "until": link.end,
            "seconds": seconds,
            "commands": link.commands,
            "bytes": link.bytes,
            "writes": link.writes,
            "transactions": link.transactions,
            "commands_per_second": link.commands / seconds if seconds else None,
            "bytes_per_second": link.bytes / seconds if seconds else None,
            "busiest_second": {
                "commands": {"count": busiest.commands, "time": busiest.commands_at},
                "bytes": {"count": busiest.bytes, "time": busiest.bytes_at},
            },
            "repeated": {"commands": link.repeated, "bytes": link.repeated_bytes},
            "full_resyncs": link.happened.get(events.FullResync, 0),
            "partial_resyncs": link.happened.get(events.PartialResync, 0),
            "rdb_bytes": link.rdb_bytes,
            "missing_bytes": link.missing_bytes,
            "unread_bytes": link.unread_bytes,
            "by_name": {name: {"count": count, "bytes": size} for name, count, size in link.names()},
            "groups": _groups(link.groups()),
            "keys_by_writes": self._keys(link.writes_of, "writes"),
            "keys_by_bytes": self._keys(link.bytes_of, "bytes"),
            "largest": [
                {
                    "time": one.time,
                    "offset": one.offset,
                    "db": one.db,
                    "name": one.name,
                    "key": None if one.key is None else as_text(one.key),
                    "bytes": one.size,
                }
                for one in link.largest()
            ],
            "course": {
                "from": link.course.begin,
                "slot_seconds": link.course.seconds,
                "bytes": [slot.bytes for slot in link.course.slots],
                "commands": [slot.commands for slot in link.course.slots],
            },
            "events": [told.as_dict() for told in link.kept()],
        }

    def _keys(self, frequent: Frequent, unit: str) -> list[dict[str, Any]]:
        top = frequent.top(self.top)
        return [
            {"db": db, "key": as_text(key), unit: weight, f"{unit}_missed": missed} for (db, key), weight, missed in top
        ]


def _groups(rows: Sequence[KeyGroup]) -> list[dict[str, Any]]:
    return [
        {
            "pattern": None if row.pattern is None else as_text(row.pattern),
            "within": None if container is None else as_text(container),
            "writes": row.writes,
            "bytes": row.size,
            "at_least": row.at_least,
        }
        for row, container in zip(rows, containers(rows), strict=True)
    ]
