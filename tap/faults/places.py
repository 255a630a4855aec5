"""Faults with at=: finds the byte of their place from what the conversation has read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tap.faults.at import At
from tap.faults.kind import Watch
from tap.faults.work import FaultedConnection, Work
from tap.rdb.keys import Key
from tap.replication.conversation import Conversation
from tap.replication.events import Channel, Side
from tap.replication.payload import Payload
from tap.replication.phase import Phase
from tap.replication.stream import Stream

PASSED = -1  # the position of a place before the connection's first byte


class Places:
    """waiting: the faults of one connection whose place is not known yet."""

    def __init__(self, link: FaultedConnection) -> None:
        self._link = link
        self.waiting: list[Work]
        self._keys = 0  # keys of the RDB that have passed

    def refresh(self, works: Sequence[Work]) -> None:
        self.waiting = [work for work in works if work.when.at is not None and not work.is_placed]

    def mark(self) -> None:
        """Mark the places that have become known."""
        lanes, conversation = self._link.lanes, self._link.conversation
        stream = conversation.stream
        if stream is not None:
            landed = stream.take_landed()
            for work in self.waiting:
                if work.seeks in landed and work.seeks is not None:
                    work.is_placed = True
                    work.act_at(Side.MASTER, landed[work.seeks])
        for work in self.waiting:
            at = work.when.at
            if work.is_placed or work.seeks is not None or at is None or not work.is_on_channel():
                continue
            found = find(work, at, conversation, lanes[Side.MASTER].out)
            if found is None:
                continue
            side, position = found
            has_passed = position < lanes[side].out
            if stream is not None and not has_passed and not is_at_edge(work, stream, position):
                work.seeks = position, work.when.edge == "transaction"
                stream.seek(position, outside=work.when.edge == "transaction")
                continue
            work.is_placed = True
            if not has_passed:
                work.act_at(side, position)
        self.waiting = [work for work in self.waiting if not work.is_placed]

    def keys(self, keys: Sequence[Key], rdb_start: int) -> None:
        """These keys of the RDB have passed."""
        before = self._keys
        self._keys += len(keys)
        for work in self.waiting:
            at = work.when.at
            if work.is_placed or at is None or not work.is_on_channel():
                continue
            position = find_after_key(work, at, self._link.conversation, keys, before, rdb_start)
            if position is not None:
                work.is_placed = True
                work.act_at(Side.MASTER, position)


def find(work: Work, at: At, conversation: Conversation, out: int) -> tuple[Side, int] | None:
    """Position of the fault's place; None while it is unknown. out: the first undecided of the master's bytes."""
    stream = conversation.stream
    if at.place == "connect":
        return Side.REPLICA, 0
    if at.place == "handshake":
        return (Side.REPLICA, 0) if conversation.from_replica else None
    if at.place == "waiting":
        return None if conversation.waiting_from is None else (Side.MASTER, conversation.waiting_from)
    if at.place == "rdb":
        if conversation.rdb_channel is None:
            return _find_in_rdb(work, at, conversation)
        # The RDB is on the other connection. With channel=main the fault acts here when that one reaches the place.
        is_meant = (
            work.fault.scope.channel is Channel.MAIN
            and work.watches is not Watch.HEADER
            and conversation.phase is not Phase.STREAM
        )
        return (Side.MASTER, out) if is_meant and _has_come_to(work, at, conversation.rdb_channel) else None
    if at.place == "loading":
        if conversation.rdb_end is not None:
            return Side.MASTER, conversation.rdb_end
        if conversation.rdb_channel is not None and conversation.phase is Phase.LOADING:
            return Side.MASTER, out
        return None
    if stream is None:
        return None
    position = int(work.amount)
    if at.unit == "relative":
        position += work.origin
    elif at.unit == "absolute":
        if not stream.is_placed:
            return None
        found = stream.position_at(position)
        return Side.MASTER, PASSED if found is None else found
    return Side.MASTER, stream.position_after(position) if position >= 0 else PASSED


def _find_in_rdb(work: Work, at: At, conversation: Conversation) -> tuple[Side, int] | None:
    start, rdb = conversation.rdb_start, conversation.rdb
    if start is None or rdb is None or at.unit == "key":
        return None
    if at.unit == "":
        return Side.MASTER, start
    if at.unit == "percent":
        if rdb.size is not None:
            return Side.MASTER, start + int(rdb.size * work.amount / 100)
        end = conversation.rdb_end
        return None if end is None else (Side.MASTER, end)  # for an RDB without keys; see find_after_key()
    if work.amount >= 0:
        return Side.MASTER, start + int(work.amount)
    if rdb.size is not None:
        return Side.MASTER, max(start, start + rdb.size + int(work.amount))
    return None


def _has_come_to(work: Work, at: At, conversation: Conversation) -> bool:
    """Whether this conversation's RDB has been read up to the place."""
    found = _find_in_rdb(work, at, conversation)
    if found is not None:
        _, position = found
        return position <= conversation.from_master
    rdb = conversation.rdb
    wanted = None if rdb is None else _wanted_key(work, at, rdb)
    return rdb is not None and wanted is not None and wanted <= rdb.summary.keys


def _wanted_key(work: Work, at: At, rdb: Payload) -> int | None:
    """The number of the key at the place: given, or computed from the number of keys that a diskless RDB announces."""
    if at.unit == "key":
        return int(work.amount)
    if at.unit == "percent" and rdb.size is None and rdb.summary.announced:
        return max(1, math.ceil(rdb.summary.announced * work.amount / 100))
    return None


def find_after_key(
    work: Work, at: At, conversation: Conversation, keys: Sequence[Key], before: int, rdb_start: int
) -> int | None:
    """The position after the key at the place; None if that key is not among *keys*.

    before: the number of keys that came before these.
    """
    wanted = None if conversation.rdb is None else _wanted_key(work, at, conversation.rdb)
    if wanted is None or not before < wanted <= before + len(keys):
        return None
    key = keys[wanted - before - 1]
    return rdb_start + key.position + key.serialized_bytes


def is_at_edge(work: Work, stream: Stream, position: int) -> bool:
    """Whether the fault may act there: with edge=, only where a command or a transaction ends, by what has been read."""
    edge = work.when.edge
    if edge not in ("command", "transaction"):
        return True
    return stream.is_at_end(position, outside=edge == "transaction")
