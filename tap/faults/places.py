"""Places on a connection: at which byte they are, and where a byte is, by what the conversation has read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tap.faults.values import At
from tap.faults.what import Truncate
from tap.faults.work import Work
from tap.rdb.keys import Key
from tap.replication.conversation import Conversation
from tap.replication.events import Channel, Side
from tap.replication.payload import Payload
from tap.replication.phase import Phase
from tap.replication.stream import Stream

PASSED = -1  # the position of what lies before the connection's first byte


def find(work: Work, at: At, conversation: Conversation, out: int) -> tuple[Side, int] | None:
    """Where the fault's place is, None while that is not known. out: of the master's bytes, the first to be decided."""
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
        # No byte of the RDB is on this connection, which channel=main asks for; the other one is at one of them.
        is_meant = (
            work.fault.scope.channel is Channel.MAIN
            and not isinstance(work.fault.what, Truncate)
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
        return None if end is None else (Side.MASTER, end)  # of an RDB without keys; see find_behind_key()
    if work.amount >= 0:
        return Side.MASTER, start + int(work.amount)
    if rdb.size is not None:
        return Side.MASTER, max(start, start + rdb.size + int(work.amount))
    return None


def _has_come_to(work: Work, at: At, conversation: Conversation) -> bool:
    """Whether so much of its RDB has been read."""
    found = _find_in_rdb(work, at, conversation)
    if found is not None:
        _, position = found
        return position <= conversation.from_master
    rdb = conversation.rdb
    wanted = None if rdb is None else _wanted_key(work, at, rdb)
    return rdb is not None and wanted is not None and wanted <= rdb.summary.keys


def _wanted_key(work: Work, at: At, rdb: Payload) -> int | None:
    """The key that the place counts: by number, or as a share of those that a diskless RDB announces."""
    if at.unit == "key":
        return int(work.amount)
    if at.unit == "percent" and rdb.size is None and rdb.summary.announced:
        return max(1, math.ceil(rdb.summary.announced * work.amount / 100))
    return None


def find_behind_key(
    work: Work, at: At, conversation: Conversation, keys: Sequence[Key], before: int, rdb_start: int
) -> int | None:
    """The position behind the key that the place counts; None if it is not among these. before: so many keys came
    before them.
    """
    wanted = None if conversation.rdb is None else _wanted_key(work, at, conversation.rdb)
    if wanted is None or not before < wanted <= before + len(keys):
        return None
    key = keys[wanted - before - 1]
    return rdb_start + key.position + key.serialized_bytes


def is_at_edge(work: Work, stream: Stream, position: int) -> bool:
    """Whether the fault may act there: with edge=, where a command, or a transaction, ends, as far as has been read."""
    edge = work.fault.when.edge
    if edge not in ("command", "transaction"):
        return True
    return stream.is_at_end(position, outside=edge == "transaction")


def borders(phase: str | None, conversation: Conversation) -> tuple[int | None, int | None]:
    """Where it begins and ends, None where that is not known, or is at no byte of the master."""
    stream = None if conversation.stream is None else conversation.stream.begins_at
    if phase == "handshake":
        return None, stream if conversation.waiting_from is None else conversation.waiting_from
    if phase == "waiting":
        return conversation.waiting_from, conversation.rdb_start
    if phase == "rdb":
        return conversation.rdb_start, conversation.rdb_end
    if phase == "loading":
        return conversation.rdb_end, None
    return (stream if conversation.waiting_from is None else None), None


def phase_at(conversation: Conversation, side: Side, position: int) -> str:
    """The phase that this byte belongs to: the conversation has read on, as far as the chunk went."""
    stream = conversation.stream
    if side is Side.MASTER and (stream is None or position < stream.begins_at):
        if conversation.rdb_start is not None and position >= conversation.rdb_start:
            return "rdb" if conversation.rdb_end is None or position < conversation.rdb_end else "loading"
        if conversation.waiting_from is not None and position >= conversation.waiting_from:
            return "waiting"
        if conversation.phase not in (Phase.CONNECT, Phase.HANDSHAKE, Phase.OPAQUE, Phase.ORDINARY):
            return "psync"
    return conversation.phase.value


def offset_at(conversation: Conversation, side: Side, position: int) -> int | None:
    """The replication offset there; before the stream, that of the RDB."""
    stream = conversation.stream
    if side is Side.MASTER and stream is not None and stream.is_placed and position >= stream.begins_at:
        return stream.offset_at(position)
    return conversation.offset
