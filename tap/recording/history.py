"""What a recording holds of a master's data: RDBs and stretches of the stream, and how they join.

Every connection that was granted the same replication ID brings the same bytes at the same offsets, so one connection can
fill the holes of another. A chapter is one RDB and all of the stream that follows it without a hole. It is enough to
restore a server to any offset in the chapter, or to feed replicas.

The recording is read twice: first an Index notes where things are and keeps no bytes, then copying.py copies the parts
that are wanted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tap.bus import Told
from tap.recording.player import Player
from tap.replication.conversation import Conversation
from tap.replication.events import PartialResync
from tap.replication.succession import Succession

Read = Callable[[Player], object]  # plays the whole recording to a player, and closes it


@dataclass(frozen=True, slots=True)
class Rdb:
    """A whole RDB: bytes start <= i < end of what the master sent on a connection.

    offset: before the first byte of the stream that follows; offset and replid are None if the replica asked with SYNC.
    began, ended: nanoseconds. connection: its serial number in the capture. number: as in tap.bus.Told.
    """

    link: str
    connection: int
    start: int
    end: int
    replid: str | None
    offset: int | None
    began: int
    ended: int
    number: int = 0

    def is_of(self, link: str) -> bool:
        """link: a name, or NAME/CONNECTION."""
        return link in (self.link, f"{self.link}/{self.number}")

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a stream without a hole: bytes start <= i < end of what the master sent on a connection.

    offset: before its first byte. db: in force there; None if unknown, or if none had been selected. connection, number:
    as in Rdb. is_placed: offset and replid are known; otherwise they are 0 and "".
    """

    link: str
    connection: int
    start: int
    end: int
    replid: str
    offset: int
    db: int | None
    began: int
    ended: int
    number: int = 0
    is_placed: bool = True

    @property
    def place(self) -> str:
        """Its link and connection, as --link takes them."""
        return f"{self.link}/{self.number}"

    def is_of(self, link: str) -> bool:
        """link: a name, or NAME/CONNECTION."""
        return link in (self.link, self.place)

    @property
    def end_offset(self) -> int:
        return self.offset + self.end - self.start

    def part(self, begin: int, end: int) -> Stretch:
        """The part after offset *begin*, up to offset *end*."""
        first = self.start + begin - self.offset
        db = self.db if begin == self.offset else None
        return dataclasses.replace(self, start=first, end=first + end - begin, offset=begin, db=db)


@dataclass(frozen=True, slots=True)
class Chapter:
    """An RDB, and the stream after it up to the offset *end*. db: in force at the beginning of the stream."""

    rdb: Rdb
    replid: str
    offset: int
    db: int | None
    stretches: tuple[Stretch, ...]

    @property
    def end(self) -> int:
        return self.stretches[-1].end_offset if self.stretches else self.offset

    @property
    def ended(self) -> int:
        """When its last byte came, in nanoseconds. In a two-connection sync that byte may belong to the RDB."""
        return max([self.rdb.ended, *(one.ended for one in self.stretches)])

    @property
    def link(self) -> str:
        return self.stretches[-1].link if self.stretches else self.rdb.link

    @property
    def replids(self) -> set[str]:
        """The replication IDs under which its parts were granted."""
        return {self.replid, *(one.replid for one in self.stretches)}

    def until(self, offset: int) -> Chapter:
        """The chapter cut off at an offset, which must not be before its own."""
        kept = [one.part(one.offset, min(offset, one.end_offset)) for one in self.stretches if one.offset < offset]
        return dataclasses.replace(self, stretches=tuple(kept))


@dataclass(slots=True)
class _Seen:
    """When the parts of one conversation came, in nanoseconds."""

    connection: int
    link: str
    began: int
    rdb_began: int = 0
    rdb_ended: int = 0
    stream_began: int = 0
    stream_ended: int = 0


@dataclass(slots=True)
class Index:
    """A ByteObserver that notes where things are. rdbs, stretches: in the order of their ends.

    unplaced: stretches whose history or offset is unknown, because the start of the stream was not captured. They cannot
    be joined to others.
    """

    rdbs: list[Rdb] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    unplaced: list[Stretch] = field(default_factory=list)
    _seen: dict[Conversation, _Seen] = field(default_factory=dict)
    _succession: Succession = field(default_factory=Succession)

    # ---- while the recording is played ----

    def hear(self, told: Told) -> None:
        if isinstance(told.event, PartialResync):
            self._succession.heard(told.event)

    def received(self, connection: int, link: str, conversation: Conversation, data: bytes, time: int) -> None:
        seen = self._seen.get(conversation)
        if seen is None:
            seen = self._seen[conversation] = _Seen(connection, link, time)
        if conversation.rdb is not None:
            seen.rdb_began = seen.rdb_began or time
            if conversation.rdb_end is None or conversation.from_master - len(data) < conversation.rdb_end:
                seen.rdb_ended = time
        if conversation.stream is not None:
            seen.stream_began = seen.stream_began or time
            seen.stream_ended = time

    def ended(self, conversation: Conversation) -> None:
        seen = self._seen.pop(conversation, None)
        if seen is None:
            return
        rdb, start, end = conversation.rdb, conversation.rdb_start, conversation.rdb_end
        whole = rdb is not None and start is not None and end == start + rdb.received and not rdb.lacks
        if whole and conversation.rdb_filter is None:  # else it was left out or cut, or never was all of the data
            assert rdb is not None
            assert start is not None
            self.rdbs.append(
                Rdb(
                    seen.link,
                    seen.connection,
                    start,
                    start + rdb.rdb_bytes,
                    conversation.replid,
                    conversation.base,
                    seen.rdb_began,
                    seen.rdb_ended,
                    conversation.connection,
                )
            )
        stream = conversation.stream
        if stream is not None:
            begin, end = stream.begins_at, stream.understood_to
            is_placed = stream.replid is not None and stream.granted is not None
            if not (begin < end or is_placed):
                return
            (self.stretches if is_placed else self.unplaced).append(
                Stretch(
                    seen.link,
                    seen.connection,
                    begin,
                    end,
                    (stream.replid or "") if is_placed else "",
                    (stream.granted or 0) if is_placed else 0,
                    stream.first_db,
                    seen.stream_began or seen.began,
                    seen.stream_ended or seen.began,
                    conversation.connection,
                    is_placed,
                )
            )

    # ---- how it joins ----

    @property
    def links(self) -> list[str]:
        """The names of links that have something; those with only unplaced stretches count if there are no others."""
        return list(dict.fromkeys(one.link for one in self._all or self.unplaced))

    def of(self, link: str) -> Index:
        """The part of the index on one link, or on one connection of it, given as NAME/CONNECTION."""
        return Index(
            [rdb for rdb in self.rdbs if rdb.is_of(link)],
            [stretch for stretch in self.stretches if stretch.is_of(link)],
            [stretch for stretch in self.unplaced if stretch.is_of(link)],
            _succession=self._succession,
        )

    @property
    def _all(self) -> list[Rdb | Stretch]:
        return [*self.rdbs, *self.stretches]

    def chapters(self) -> list[Chapter]:
        """All chapters, in the order of their ends; of those that end together, the one with the latest RDB last."""
        found = []
        for replid in self._leaves():
            stretches, rdbs = self._lineage(replid)
            for rdb in rdbs:
                assert rdb.offset is not None
                followed = tuple(_follow(stretches, rdb.offset))
                # The db of the RDB's own stream; another replica's stream may have had a different one at that offset.
                dbs = (one.db for one in stretches if one.offset == rdb.offset and one.db is not None)
                found.append(Chapter(rdb, replid, rdb.offset, next(dbs, None), followed))
        return sorted(found, key=lambda chapter: (chapter.ended, chapter.end, chapter.offset))

    def streams(self) -> list[tuple[Stretch, ...]]:
        """All streams, each without a hole and as long as possible, in the order of their ends."""
        found = []
        for replid in self._leaves():
            stretches, _ = self._lineage(replid)
            while stretches:
                followed = tuple(_follow(stretches, min(stretch.offset for stretch in stretches)))
                end = followed[-1].end_offset if followed else min(stretch.end_offset for stretch in stretches)
                if followed:
                    found.append(followed)
                stretches = [stretch for stretch in stretches if stretch.end_offset > end]
        return sorted(found, key=lambda followed: followed[-1].ended)

    def _leaves(self) -> Iterator[str]:
        """Replication IDs that no other one continues."""
        replids = dict.fromkeys(one.replid for one in self._all if one.replid is not None)
        continued = {self._succession.parent(replid) for replid in replids}
        yield from (replid for replid in replids if replid not in continued)

    def _lineage(self, replid: str) -> tuple[list[Stretch], list[Rdb]]:
        """The stretches and RDBs of a history and of its ancestors, up to where each was left."""
        stretches: list[Stretch] = []
        rdbs: list[Rdb] = []
        for same, limit in self._succession.lineage(replid):
            for stretch in self.stretches:
                if stretch.replid == same and (limit is None or stretch.offset <= limit):
                    cut = limit is not None and stretch.end_offset > limit
                    stretches.append(stretch.part(stretch.offset, limit) if cut and limit is not None else stretch)
            rdbs += [
                rdb
                for rdb in self.rdbs
                if rdb.replid == same and rdb.offset is not None and (limit is None or rdb.offset <= limit)
            ]
        return stretches, rdbs


def _follow(stretches: Sequence[Stretch], offset: int) -> Iterator[Stretch]:
    """The consecutive parts from an offset on, each as long as possible."""
    while True:
        fitting = [one for one in stretches if one.offset <= offset < one.end_offset]
        if not fitting:
            return
        longest = max(fitting, key=lambda one: one.end_offset)
        yield longest.part(offset, longest.end_offset)
        offset = longest.end_offset


def index(read: Read, until: int | None = None) -> Index:
    """Find what a recording holds. until: nanoseconds; anything later is ignored."""
    found = Index()
    read(Player(found.hear, watch=found, until=until))
    return found
