"""Values of a live server as DUMP gives them, put together to an RDB that the parser reads.

The reply to DUMP is a value as in an RDB: its type, the value, then the version of the RDB (u16) and a checksum (u64).
Source: Redis 7.0 cluster.c, createDumpPayload.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import hiredis

from tap.operate.comparison.difference import Entry, Key, entries
from tap.operate.comparison.digest import Digest, add_records
from tap.rdb.parser import Parser
from tap.rdb.tape import Tape
from tap.rdb.tokens import NONE
from tap.servers.client import Client
from tap.servers.failures import ANSWER_SECONDS, NO_REPLY, ErrorReply, InvalidReply

FOOTER = 10  # bytes: version and checksum
GONE = -2  # the reply of PTTL and PEXPIRETIME for a key that does not exist
READ = 2**20
GROUP_BYTES = 4 * 2**20
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
    """Reads keys of one server. A context that keeps a connection for each db; methods raise FAILURES."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._knows_expiretime = True  # since Redis 7.0
        self._open = contextlib.AsyncExitStack()
        self._streams: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def __aenter__(self) -> Dumps:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def is_exact(self) -> bool:
        """Whether expiries are exact; otherwise they are computed from the time left, and may be a millisecond off."""
        return self._knows_expiretime

    async def groups(self, db: int, keys: Sequence[bytes]) -> AsyncIterator[list[Dump]]:
        """The values of these keys, as many at a time as take GROUP_BYTES at the server, or one; without those that do
        not exist.

        A server holds the replies to all commands that are sent together, and so do we.
        """
        sizes = await self._ask(db, [(b"MEMORY", b"USAGE", key, b"SAMPLES", b"1") for key in keys])
        group: list[bytes] = []
        total = 0
        for key, size in zip(keys, sizes, strict=True):
            this = size if isinstance(size, int) else 0  # a user may lack the right to ask, and the key may be gone
            if group and total + this > GROUP_BYTES:
                yield await self.read(db, group)
                group, total = [], 0
            group.append(key)
            total += this
        if group:
            yield await self.read(db, group)

    async def read(self, db: int, keys: Sequence[bytes]) -> list[Dump]:
        """The values of these keys, all at once; without those that do not exist."""
        commands: list[Any] = []
        asked = self._knows_expiretime
        for key in keys:
            commands += [(b"DUMP", key), (b"PEXPIRETIME" if asked else b"PTTL", key)]
        if not asked:
            commands.append((b"TIME",))
        replies = await self._ask(db, commands)
        if asked and any(isinstance(one, hiredis.ReplyError) and "unknown command" in str(one) for one in replies[1::2]):
            self._knows_expiretime = False
            return await self.read(db, keys)
        if failed := next((reply for reply in replies if isinstance(reply, hiredis.ReplyError)), None):
            raise ErrorReply(str(failed))
        now = 0 if asked else _milliseconds(replies.pop())
        found = []
        for key, payload, expiry in zip(keys, replies[::2], replies[1::2], strict=True):
            if payload is None or expiry == GONE:
                continue
            if not isinstance(payload, bytes) or len(payload) <= FOOTER or not isinstance(expiry, int):
                raise InvalidReply(NO_REPLY)
            found.append(Dump(db, key, NONE if expiry < 0 else now + expiry, payload))
        return found

    async def _ask(self, db: int, commands: Sequence[Any]) -> list[Any]:
        """The replies to commands that are sent in one piece. redis-py would take five times as long."""
        if db not in self._streams:
            self._streams[db] = await self._open.enter_async_context(self._client.streams(db))
        reader, writer = self._streams[db]
        writer.write(b"".join(map(hiredis.pack_command, commands)))
        parser = hiredis.Reader()
        replies: list[Any] = []
        while len(replies) < len(commands):
            try:
                reply = parser.gets()
            except hiredis.ProtocolError:
                raise InvalidReply(NO_REPLY) from None
            if reply is not False:  # what it returns while a reply is incomplete
                replies.append(reply)
                continue
            data = await asyncio.wait_for(reader.read(READ), ANSWER_SECONDS)
            if not data:
                raise ConnectionResetError
            parser.feed(data)
        return replies


def _milliseconds(reply: Any) -> int:
    """The reply to TIME."""
    try:
        seconds, microseconds = map(int, reply)
    except (TypeError, ValueError):
        raise InvalidReply(NO_REPLY) from None
    return seconds * 1000 + microseconds // 1000


def feed(parser: Parser, dumps: Sequence[Dump]) -> None:
    """Give a parser these keys as a part of one RDB. Not for its end: feed END."""
    if dumps and parser.version == 0:
        parser.feed(_magic(dumps[0].payload))
    parts: list[bytes | memoryview] = []
    for one in dumps:
        expiry = b"" if one.expiry == NONE else b"\xfc" + one.expiry.to_bytes(8, "little", signed=True)
        size = b"\x80" + len(one.key).to_bytes(4, "big")
        head = b"\xfe\x80" + one.db.to_bytes(4, "big") + expiry + one.payload[:1] + size + one.key
        parts += [head, memoryview(one.payload)[1:-FOOTER]]
    if parts:
        parser.feed(b"".join(parts))


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
