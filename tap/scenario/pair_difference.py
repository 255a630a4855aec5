"""Compares two data sets: by digest if DEBUG is allowed, otherwise key by key. Keys that differ are named.

A digest leaves out the consumer groups of streams (Redis 7.0 debug.c, xorObjectDigest), so streams are always compared.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tap.scenario.pair import Node
from tap.servers.client import Client
from tap.servers.failures import NO_REPLY, ErrorReply, InvalidReply
from tap.servers.key_scan import key_batches

NAMED = 10  # differing keys that are named
TTL_SLACK_MS = 10_000  # Redis before 7.0 propagates expiries relative to the moment they arrive
READS = 3  # of a key that differs: on a pair that others write to, its last write may still be on its way
MOMENT = 0.2  # seconds between two reads

_READ: dict[bytes, tuple[str | int, ...]] = {
    b"string": ("GET",),
    b"list": ("LRANGE", 0, -1),
    b"hash": ("HGETALL",),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"stream": ("XRANGE", "-", "+"),
}


@dataclass(frozen=True, slots=True)
class PairDifference:
    """keys: the first keys that differ, as "db 0: user:1 (only on the master)". by: "digest" or "keys"."""

    equal: bool
    by: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.equal:
            return f"equal, by {self.by}"
        more = ", ..." if len(self.keys) == NAMED else ""
        return f"different: {', '.join(self.keys)}{more}" if self.keys else "different, by digest"


async def compare(master: Node, replica: Node, *, debug: bool) -> PairDifference:
    """debug: whether DEBUG is allowed. Raises FAILURES when a server does not answer."""
    by, kind = "keys", ""
    if debug and master.version == replica.version:  # other versions compute the digest differently
        digests = [await node.client.ask("DEBUG", "DIGEST") for node in (master, replica)]
        if digests[0] == digests[1]:
            by, kind = "digest", "stream"
    differing: list[str] = []
    mine, theirs = [(await node.client.info("keyspace")).keyspace for node in (master, replica)]
    for db in sorted({*mine, *theirs}):
        ours = _Db(master.client, db, mine.get(db, 0)), _Db(replica.client, db, theirs.get(db, 0))
        async for key, how in _differing(*ours, kind):
            differing.append(f"db {db}: {_shown(key)} ({how})")
            if len(differing) == NAMED:
                return PairDifference(equal=False, by="keys", keys=tuple(differing))
    if debug and master.version == replica.version and not differing and not kind:
        return PairDifference(equal=False, by="digest")
    return PairDifference(equal=not differing, by="keys" if differing else by, keys=tuple(differing))


@dataclass(frozen=True, slots=True)
class _Db:
    """keys: how many it has, as INFO says."""

    client: Client
    number: int
    keys: int

    async def ask(self, *words: str | bytes | int) -> Any:
        return await self.client.ask(*words, db=self.number)

    async def ask_alone(self, *words: str | bytes | int) -> Any:
        """Ask for a reply that redis-py would convert as it suits other options of the command."""
        return await self.client.ask_alone(*words, db=self.number)

    def batches(self, kind: str) -> AsyncIterator[list[bytes]]:
        return key_batches(self.client, self.number, self.keys, kind=kind)


async def _differing(master: _Db, replica: _Db, kind: str) -> AsyncIterator[tuple[bytes, str]]:
    """kind: only keys of this type; "" for all."""
    async for keys in master.batches(kind):
        for key, how in await _differences(master, replica, keys):
            yield key, how
    async for keys in replica.batches(kind):
        for key, how in await _differences(master, replica, keys):
            if how == "only on the replica":  # the first loop has yielded the others
                yield key, how


async def _differences(master: _Db, replica: _Db, keys: list[bytes]) -> list[tuple[bytes, str]]:
    found: list[tuple[bytes, str]] = []
    for attempt in range(READS):
        if attempt:
            await asyncio.sleep(MOMENT)
        found = []
        for key, mine, theirs in zip(keys, await _dumps(master, keys), await _dumps(replica, keys), strict=True):
            how = await _difference(master, replica, key, mine, theirs)
            if how:
                found.append((key, how))
        keys = [key for key, _ in found]
        if not keys:
            break
    return found


async def _dumps(db: _Db, keys: list[bytes]) -> list[tuple[bytes | None, int]]:
    """The replies to DUMP and PTTL of each key."""
    said = await db.client.ask_all([words for key in keys for words in (("DUMP", key), ("PTTL", key))], db=db.number)
    if failed := next((reply for reply in said if isinstance(reply, Exception)), None):
        raise failed
    for dump, expiry in zip(said[::2], said[1::2], strict=True):
        if not isinstance(dump, bytes | None) or not isinstance(expiry, int):
            raise InvalidReply(NO_REPLY)
    return list(zip(said[::2], said[1::2], strict=True))


async def _difference(
    master: _Db, replica: _Db, key: bytes, mine: tuple[bytes | None, int], theirs: tuple[bytes | None, int]
) -> str:
    """The difference in words, "" if there is none."""
    if mine[0] is None and theirs[0] is None:
        return ""
    if mine[0] is None:
        return "only on the replica"
    if theirs[0] is None:
        return "only on the master"
    if mine[0] != theirs[0]:  # equal values may differ in encoding or RDB version
        kinds = [await db.ask("TYPE", key) for db in (master, replica)]
        if kinds[0] != kinds[1]:
            return "of another type"
        if kinds[0] not in _READ:
            return "another value"
        values = [await _value(db, key, kinds[0]) for db in (master, replica)]
        if values[0] != values[1]:
            return _how_values_differ(*values)
        if kinds[0] == b"stream" and await _groups(master, key) != await _groups(replica, key):
            return "other consumer groups"
    if (mine[1] < 0) != (theirs[1] < 0) or abs(mine[1] - theirs[1]) > TTL_SLACK_MS:
        return "another expiry"
    return ""


def _how_values_differ(mine: Any, theirs: Any) -> str:
    if isinstance(mine, list) and isinstance(theirs, list):
        if Counter(map(str, mine)) == Counter(map(str, theirs)):
            return "in another order"
        if len(mine) != len(theirs):
            return f"{len(mine)} elements on the master, {len(theirs)} on the replica"
    return "another value"


async def _value(db: _Db, key: bytes, kind: bytes) -> Any:
    command, *rest = _READ[kind]
    try:
        return await db.ask(command, key, *rest)
    except ErrorReply as error:  # the key has become another type meanwhile
        return str(error)


async def _groups(db: _Db, key: bytes) -> Any:
    """The last ID of a stream; its groups with their last ID, and which entries are pending there at which consumer.

    Not compared is what a replica need not have. When a consumer was seen, and when and how often an entry was delivered:
    a consumer that reads again what is pending changes that on the master alone (seen on Redis 6.2 to 8.0 and Valkey 9).
    Consumers with nothing pending, and how many entries a group has read: older servers do not replicate it.
    """
    try:
        last = _pairs(await db.ask_alone("XINFO", "STREAM", key)).get("last-generated-id")
        found = []
        for group in map(_pairs, await db.ask_alone("XINFO", "GROUPS", key)):
            name, count = group["name"], max(1, group["pending"])
            pending = await db.ask_alone("XPENDING", key, name, "-", "+", count)
            entries = [(number, consumer) for number, consumer, *_ in pending]
            found.append((name, group["last-delivered-id"], entries))
    except ErrorReply as error:  # the key or a group has gone meanwhile
        return str(error)
    return last, sorted(found)


def _pairs(reply: Any) -> dict[str, Any]:
    """Fields by name."""
    return {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _shown(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
