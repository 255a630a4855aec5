"""The names of the keys of a db, by SCAN, which has to come to an end: the cursor is the server's."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tap.servers.client import Client
from tap.servers.failures import NO_REPLY, InvalidReply

BATCH = 200  # keys that SCAN is asked for at a time
# SCANs of a db, beside those that its keys take. Each passes 200 keys or, in a table from which most keys have been
# deleted, 2000 empty places (Redis 7.0 db.c, scanGenericCommand).
MAX_SCANS = 100_000


async def key_batches(client: Client, db: int, keys: int, *, kind: str = "") -> AsyncIterator[list[bytes]]:
    """Yield the names in lists of about BATCH, none of them empty. A name may come twice. keys: how many INFO counts.

    kind: only keys of this type, "stream" and so on. Raises FAILURES, among them InvalidReply when SCAN does not end.
    """
    what = f"SCAN of db {db} at {client.name} does not end"
    cursor = earlier = 0
    of_kind = ("TYPE", kind) if kind else ()
    for count in range(1, MAX_SCANS + keys):
        cursor, found = await client.ask("SCAN", cursor, "COUNT", BATCH, *of_kind, db=db)
        if not isinstance(found, list) or not all(isinstance(key, bytes) for key in found):
            raise InvalidReply(NO_REPLY)
        if found:
            yield found
        if cursor == 0:
            return
        if cursor == earlier:
            raise InvalidReply(f"{what}: it comes to cursor {cursor} again")
        if count.bit_count() == 1:  # a loop of any length is met, by one cursor that is kept twice as long each time
            earlier = cursor
    raise InvalidReply(f"{what}: {count} answers, and INFO counts {keys} keys")
