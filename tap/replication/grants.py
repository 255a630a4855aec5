"""The lines by which a master grants a resync or announces an RDB: one grammar for all readers.

Sources: Redis 7.0 replication.c, replicationSetupSlaveForFullResync and masterTryPartialResynchronization; Redis 8.0
replication.c for +RDBCHANNELSYNC; Valkey 8.0 replication.c, sendCurrentOffsetToReplica, for +DUALCHANNELSYNC and $ENDOFF.

A reader that has counted replies knows which line answers PSYNC, and read_grant() accepts its words as they are. A
reader that started in the middle can recognize the answer by its words alone, so is_grant() and announces_rdb() require
all of them: a script may reply with any word, but not with a replication ID.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tap.replication.dbs import MAX_DB
from tap.replication.payload import MARK_SIZE
from tap.replication.replies import readable

_ID = rb"[0-9a-f]{40}"
_NUMBER = rb"\d{1,19}"  # 64 bits need no more, and int() raises on thousands of digits
_GRANT = (
    rb"\+FULLRESYNC " + _ID + rb" " + _NUMBER + rb"|"
    rb"\+CONTINUE " + _ID + rb"|"
    rb"\+RDBCHANNELSYNC " + _NUMBER + rb"|"
    rb"\+DUALCHANNELSYNC"
)  # fmt: skip
_END_OFFSET = rb"\$ENDOFF:" + _NUMBER + rb" " + _ID + rb" "
_MARK = rb"\$EOF:" + _ID

_IS_GRANT = re.compile(rb"(?:" + _GRANT + rb")(?: .*)?", re.IGNORECASE)
_STANDS_NEAR = re.compile(
    rb"(?:\n|[+-][^\r\n]*\r\n)*?(?:(?:" + _GRANT + rb")[ \r]|" + _END_OFFSET + rb"|" + _MARK + rb"\r)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class FullGrant:
    """+FULLRESYNC: an RDB of this history up to the offset, then the stream."""

    replid: str
    offset: int


@dataclass(frozen=True, slots=True)
class PartialGrant:
    """+CONTINUE: the stream from where the replica stopped. replid: None from masters older than Redis 4.0."""

    replid: str | None


@dataclass(frozen=True, slots=True)
class RdbChannelGrant:
    """+RDBCHANNELSYNC of Redis: the stream follows here, the RDB on a connection that names this client ID."""

    client_id: str


@dataclass(frozen=True, slots=True)
class DualChannelGrant:
    """+DUALCHANNELSYNC of Valkey: the RDB follows on another connection, and the stream after another PSYNC here."""


@dataclass(frozen=True, slots=True)
class EndOffset:
    """$ENDOFF of Valkey, on the RDB channel: history and offset of the RDB that follows. db: None if none is selected."""

    offset: int
    replid: str
    db: int | None
    client_id: str


Grant = FullGrant | PartialGrant | RdbChannelGrant | DualChannelGrant


def read_grant(line: bytes) -> Grant | None:
    """What the answer to PSYNC grants; None for a line that is not a known grant."""
    words = line.split()
    answer = words[0] if words else b""
    if answer == b"+FULLRESYNC" and len(words) >= 3 and is_number(words[2]):
        return FullGrant(readable(words[1]), int(words[2]))
    if answer == b"+CONTINUE":
        return PartialGrant(readable(words[1]) if len(words) > 1 else None)
    if answer == b"+RDBCHANNELSYNC" and len(words) >= 2:
        return RdbChannelGrant(readable(words[1]))
    if answer == b"+DUALCHANNELSYNC":
        return DualChannelGrant()
    return None


def read_end_offset(line: bytes) -> EndOffset | None:
    """Read $ENDOFF:<offset> <replid> <db> <client id>; None for any other line."""
    words = line.removeprefix(b"$ENDOFF:").split()
    if len(words) < 4 or not is_number(words[0]):
        return None
    db = int(words[2]) if is_number(words[2]) and int(words[2]) < MAX_DB else None  # -1 if none has been selected
    return EndOffset(int(words[0]), readable(words[1]), db, readable(words[3]))


def is_grant(line: bytes) -> bool:
    """Whether this line can answer nothing but PSYNC."""
    return _IS_GRANT.fullmatch(line) is not None


def announces_rdb(line: bytes) -> bool:
    """Whether this line announces an RDB and cannot begin a bulk reply. A plain $<length> may be either."""
    return line.startswith(b"$ENDOFF:") or (line.startswith(b"$EOF:") and len(line) == len(b"$EOF:") + MARK_SIZE)


def stands_near(data: bytes, limit: int) -> bool:
    """Whether a grant or an announcement ends in the first *limit* bytes, and only lines of replies stand before it."""
    return _STANDS_NEAR.match(data, 0, limit) is not None


def is_number(word: bytes) -> bool:
    """Whether the word is digits only, not more than 64 bits need."""
    return word.isdigit() and len(word) < 20
