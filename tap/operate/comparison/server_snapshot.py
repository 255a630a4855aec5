"""Reads all keys of a server, once, into records.

A server is asked for a full resync, as by a replica (PSYNC ? -1), and the RDB is read as it comes: no key is asked for by
name, and no command waits for another. `REPLCONF rdb-only 1`, since Redis 7.0, spares the server the buffer for a stream
that is not read. With *scan*, keys are found by SCAN and read by DUMP, for servers that refuse a full resync.
"""

from __future__ import annotations

import asyncio

from tap.errors import EnvironmentFailure
from tap.operate.comparison.digest import Digest
from tap.operate.comparison.dumped import END, Dumps, feed
from tap.operate.comparison.job import Job, Report, check
from tap.rdb.parser import Parser
from tap.servers.client import Client
from tap.servers.failures import FAILURES, said_by
from tap.servers.key_scan import key_batches
from tap.url import Url

SILENT_SECONDS = 90.0  # for which a server that sends an RDB may say nothing; its own repl-timeout is 60 if not set
READ = 2**20
FEW = 2**17  # bytes; after a reading of less the next one waits
GATHER_SECONDS = 0.004
SHOWN = 200  # bytes of a server's line in a message


async def read_server(job: Job, url: Url, digest: Digest, report: Report) -> int:
    """Read it all. Returns how many bytes were read. Raises RdbError or EnvironmentFailure."""
    async with Client(url) as client:
        try:
            return await (_scan if job.scan else _sync)(job, client, digest, report)
        except (EOFError, ConnectionError):
            raise EnvironmentFailure(
                f"{job.name}: ended the connection before the end of its data; its log says why"
            ) from None
        except TimeoutError:
            raise EnvironmentFailure(f"{job.name}: has sent nothing for a long time") from None
        except FAILURES as error:
            raise EnvironmentFailure(f"{job.name}: {said_by(error)}") from None


async def _sync(job: Job, client: Client, digest: Digest, report: Report) -> int:
    """Read the RDB of a full resync. Returns its size."""
    parser = Parser(digest, values=True)
    read = 0
    async with client.streams() as (reader, writer):
        for words in (b"capa eof capa psync2", b"rdb-only 1"):
            writer.write(b"REPLCONF %b\r\n" % words)
            await _line(reader)  # an older server refuses what it does not know
        writer.write(b"PSYNC ? -1\r\n")
        granted = await _line(reader)
        if not granted.startswith(b"+FULLRESYNC"):
            raise EnvironmentFailure(_refused(job.name, granted))
        header = await _line(reader)
        if not header.startswith(b"$"):
            raise EnvironmentFailure(_refused(job.name, header))
        total = None if header.startswith(b"$EOF:") else int(header[1:])
        while not parser.finished and parser.problem is None:
            async with asyncio.timeout(SILENT_SECONDS):
                chunk = await reader.read(READ)
            if not chunk:
                raise EOFError
            read += parser.feed(chunk)
            report(read, total, digest.keys)
            if len(chunk) < FEW and not parser.finished:
                await _gather(writer.transport)
    check(parser, job.name)
    return read


async def _gather(transport: asyncio.WriteTransport) -> None:
    """Let bytes gather in the kernel. A diskless master sends 16 KB at a time, and waking up for each takes as much
    processor time as its keys do.
    """
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()
    await asyncio.sleep(GATHER_SECONDS)
    transport.resume_reading()


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line that is not empty: those are the master's keepalives."""
    while True:
        line = await asyncio.wait_for(reader.readline(), SILENT_SECONDS)
        if not line:
            raise EOFError
        if line.strip():
            return line.strip()


def _refused(name: str, said: bytes) -> str:
    what = said[:SHOWN].decode("utf-8", "backslashreplace").lstrip("-")
    help_ = "compare with --scan, which reads by SCAN and DUMP"
    if said.startswith((b"-NOPERM", b"-NOAUTH")):
        help_ = f"give a user with +psync +replconf +ping, or {help_}"
    return f"{name}: refuses a full resync ({what}); {help_}"


async def _scan(job: Job, client: Client, digest: Digest, report: Report) -> int:
    """Read all keys by SCAN and DUMP. Returns how many bytes the values have."""
    async with Dumps(client) as dumps:
        return await _scan_with(dumps, job, client, digest, report)


async def _scan_with(dumps: Dumps, job: Job, client: Client, digest: Digest, report: Report) -> int:
    parser = Parser(digest, values=True, checks=False)
    read = 0
    keyspace = (await client.info("keyspace")).keyspace
    for db in sorted(keyspace):
        if job.filter.dbs and db not in job.filter.dbs:
            continue
        async for names in key_batches(client, db, keyspace[db]):
            async for found in dumps.groups(db, names):
                feed(parser, found)
                read += sum(len(one.payload) for one in found)
            report(read, None, digest.keys)
            if parser.problem is not None:
                break
    parser.feed(END if parser.version else b"REDIS0009" + END)
    check(parser, job.name)
    return read
