"""Values of a live server as DUMP gives them, put together to an RDB that the parser reads.

The reply to DUMP is a value as in an RDB: its type, the value, then the version of the RDB (u16) and a checksum (u64).
Source: Redis 7.0 cluster.c, createDumpPayload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tap.operate.comparison.difference import Entry, Key, entries
from tap.operate.comparison.digest import Digest, add_records
from tap.rdb.parser import Parser
from tap.rdb.tape import Tape
from tap.rdb.tokens import NONE
from tap.servers.client import Client, Word
from tap.servers.failures import NO_REPLY, ErrorReply, InvalidReply

FOOTER = 10  # bytes: version and checksum
GONE = -2  # the reply of PTTL and PEXPIRETIME for a key that does not exist
FIRST_VALKEY = 80  # version of the RDB from which on the magic says VALKEY
END = b"\xff" + bytes(8)  # of an RDB without a checksum


@dataclass(frozen=True, slots=True)
class Dump:
    """A key and its value at a server. expiry: milliseconds since the epoch, or NONE."""

    db: int
    key: bytes
    expiry: int
    payload: bytes


class Dumps:
    """Reads keys of one server. Methods raise FAILURES."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._knows_expiretime = True  # since Redis 7.0

    @property
    def is_exact(self) -> bool:
        """Whether expiries are exact; otherwise they are computed from the time left, and may be a millisecond off."""
        return self._knows_expiretime

    async def read(self, db: int, keys: Sequence[bytes]) -> list[Dump]:
        """The values of these keys; without those that do not exist."""
        commands: list[tuple[Word, ...]] = []
        asked = self._knows_expiretime
        for key in keys:
            commands += [("DUMP", key), ("PEXPIRETIME" if asked else "PTTL", key)]
        if not asked:
            commands.append(("TIME",))
        replies = await self._client.ask_all(commands, db=db)
        if asked and any(isinstance(one, ErrorReply) and "unknown command" in str(one) for one in replies[1::2]):
            self._knows_expiretime = False
            return await self.read(db, keys)
        if failed := next((reply for reply in replies if isinstance(reply, Exception)), None):
            raise failed
        now = 0 if asked else _milliseconds(replies.pop())
        found = []
        for key, payload, expiry in zip(keys, replies[::2], replies[1::2], strict=True):
            if payload is None or expiry == GONE:
                continue
            if not isinstance(payload, bytes) or len(payload) <= FOOTER or not isinstance(expiry, int):
                raise InvalidReply(NO_REPLY)
            found.append(Dump(db, key, NONE if expiry < 0 else now + expiry, payload))
        return found


def _milliseconds(reply: Any) -> int:
    """The reply to TIME."""
    try:
        seconds, microseconds = map(int, reply)
    except (TypeError, ValueError):
        raise InvalidReply(NO_REPLY) from None
    return seconds * 1000 + microseconds // 1000


def feed(parser: Parser, dumps: Sequence[Dump]) -> None:
    """Give a parser these keys as a part of one RDB. Not for its end: feed END."""
    for one in dumps:
        if parser.version == 0:
            parser.feed(_magic(one.payload))
        expiry = b"" if one.expiry == NONE else b"\xfc" + one.expiry.to_bytes(8, "little", signed=True)
        size = b"\x80" + len(one.key).to_bytes(4, "big")
        parser.feed(b"\xfe\x80" + one.db.to_bytes(4, "big") + expiry + one.payload[:1] + size + one.key)
        parser.feed(memoryview(one.payload)[1:-FOOTER])


def _magic(payload: bytes) -> bytes:
    version = int.from_bytes(payload[-FOOTER:-8], "little")
    return b"VALKEY%03d" % version if version >= FIRST_VALKEY else b"REDIS%04d" % version


def read(dumps: Sequence[Dump], reader: Callable[[Tape], None]) -> Parser:
    """Read these keys as one RDB."""
    parser = Parser(reader, values=True, checks=False)
    feed(parser, dumps)
    parser.feed(END if parser.version else b"REDIS0009" + END)
    parser.close()
    return parser


def digested(dumps: Sequence[Dump], key: bytes, *, expiries: bool) -> dict[Key, Entry]:
    """What the digest says of these keys. Raises InvalidReply if a value cannot be read."""
    records: set[bytes] = set()
    digest = Digest(key, lambda _, data: add_records(bytes(data), records, 1, 0), expiries=expiries)
    parser = read(dumps, digest)
    digest.close()
    if parser.problem is not None:
        raise InvalidReply(f"a value cannot be read: {parser.problem}")
    return entries(records)
