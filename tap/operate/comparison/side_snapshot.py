"""Reads all keys of one side, once, into records: of an RDB's file, or of a server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tap.capture.content import Damaged
from tap.errors import RecordingError
from tap.operate.comparison.data_sets import MAGIC, chunks_of
from tap.operate.comparison.digest import Digest
from tap.operate.comparison.job import Job, Report, SideSnapshot, check
from tap.operate.comparison.spill import Spill
from tap.rdb.parser import Parser

MAGIC_BYTES = max(map(len, MAGIC))


def take(job: Job, report: Report) -> SideSnapshot:
    """Read it all. Raises RdbError, RecordingError or EnvironmentFailure."""
    spill = Spill(job.directory)
    digest = Digest(job.key, spill.put, only=job.filter.function(), expiries=job.expiries, functions=job.functions)
    try:
        if isinstance(job.place, Path):
            size, after = _read_file(job, job.place, digest, report)
        else:
            # Only here, for redis-py takes 0.15 s to import.
            from tap.operate.comparison.server_snapshot import read_server

            size, after = asyncio.run(read_server(job, job.place, digest, report)), b""
        digest.close()
    finally:
        spill.close()
    return SideSnapshot(digest.keys, digest.sums, digest.created, size, after)


def _read_file(job: Job, path: Path, digest: Digest, report: Report) -> tuple[int, bytes]:
    parser = Parser(digest, values=True)
    with path.open("rb") as file:
        total = path.stat().st_size if file.read(MAGIC_BYTES).startswith(MAGIC) else None  # None: it is compressed
    read = 0
    after = b""
    try:
        for chunk in chunks_of(path):
            used = parser.feed(chunk)
            read += used
            after = after or chunk[used : used + 1]
            report(read, total, digest.keys)
            if parser.finished or parser.problem is not None:
                break
    except Damaged as error:
        raise RecordingError(f"{job.name}: {error}") from None
    check(parser, job.name)
    return read, after
