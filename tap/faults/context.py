"""The phase and the replication offset of a byte, from what the conversation has read."""

from __future__ import annotations

from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tap.replication.phase import Phase


def phase_at(conversation: Conversation, side: Side, position: int) -> str:
    """The phase that this byte belongs to. The conversation may be ahead: it has read to the end of the chunk."""
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
