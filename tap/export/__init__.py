"""Exports from a recording: an RDB, a directory that a server boots from, the bytes of the stream, or rows.

    written = tap.export.rdb("today.pcapng", "dump.rdb", until=datetime(2026, 1, 31, 12))
    print(written.rdb.offset, written.lacking)

    exports                           rdb(), aof(), resp(), jsonl(), parquet(): what users call, and what each wrote
    source                            the recording that is read, and what the answer lacks
    destination                       the file, directory or output: written completely or not at all; compressed, too
    append_only, stream_bytes, rows   how each form is written; rows: JSON lines and Parquet

recording/ knows what a recording holds (history.py) and chooses the part to export (choice.py).
"""

from tap.export.exports import (
    Exported,
    ExportedAof,
    ExportedRdb,
    ExportedRows,
    ExportedStream,
    aof,
    jsonl,
    parquet,
    rdb,
    resp,
)

__all__ = [
    "Exported",
    "ExportedAof",
    "ExportedRdb",
    "ExportedRows",
    "ExportedStream",
    "aof",
    "jsonl",
    "parquet",
    "rdb",
    "resp",
]
