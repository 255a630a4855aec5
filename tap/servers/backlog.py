"""The bytes of a master's stream, from its backlog."""

from __future__ import annotations

from tap.servers.client import Client


async def backlog(client: Client, replid: str, begin: int, end: int) -> bytes:
    """Return the stream of that history, begin < offset <= end, by a partial resync (PSYNC) that is then dropped.

    The master counts one replica more for a moment. Raises FAILURES, EOFError, and ValueError when the master does not
    grant the partial resync.
    """
    async with client.streams() as (reader, writer):
        writer.write(b"PSYNC %b %d\r\n" % (replid.encode(), begin + 1))
        while (line := await reader.readline()) == b"\n":  # the master's keepalives
            pass
        if not line.startswith(b"+CONTINUE"):
            raise ValueError(f"{client.name} does not give its backlog: {line.decode('latin-1').strip()}")
        return await reader.readexactly(end - begin)
