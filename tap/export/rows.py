"""The commands of a recording as rows, each once, for JSON lines or Parquet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from tap.bus import Told
from tap.errors import ConfigError
from tap.recording.filters import Filters
from tap.recording.player import Player
from tap.recording.seen_commands import SeenCommands
from tap.replication import events
from tap.replication.events import Command

NO_LIMIT = 2**62  # bytes of a command
MAX_ROWS = 2**16  # of a row group
GROUP_BYTES = 2**25  # bytes of arguments at which a row group is written


@dataclass(frozen=True, slots=True)
class Row:
    """time: nanoseconds since the epoch. db, offset: None while unknown."""

    time: int
    link: str
    connection: int
    offset: int | None
    db: int | None
    name: str
    args: tuple[bytes, ...]


class Rows:
    """Takes the events of a player, and passes on the wanted commands.

    total: number of commands on the wanted links and in the wanted time. count: how many of them were wanted. A command
    that came on several of these connections counts once, where it came first.
    """

    def __init__(self, put: Callable[[Row], None], wanted: Filters) -> None:
        self.total = 0
        self.count = 0
        self.player = Player(self._hear, every_command=True, max_command=NO_LIMIT, at_once=True)
        self._put = put
        self._wanted = wanted
        self._once = SeenCommands()

    def _hear(self, told: Told) -> None:
        event, wanted = told.event, self._wanted
        concerns, is_of_link = wanted.concerns(told), wanted.has_link(told)
        if not self._once.first(told, counts=is_of_link) or not isinstance(event, Command):
            return
        self.total += concerns
        if concerns and wanted.matches(event):
            self.count += 1
            self._put(Row(self.player.now, told.link, told.connection, event.offset, event.db, event.name, event.args))


# ---- output ----


def json_line(row: Row) -> bytes:
    """A JSON object; byte strings as events.as_text() writes them, time in seconds."""
    said = {
        "time": row.time / 1e9,
        "link": row.link,
        "connection": row.connection,
        "offset": row.offset,
        "db": row.db,
        "name": row.name,
        "args": [events.as_text(word) for word in row.args],
    }
    return events.json_line(said).encode() + b"\n"


class Parquet:
    """Writes rows to a file in row groups, of which at most one is in memory.

    Raises ConfigError if pyarrow is not installed.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise ConfigError("--to parquet needs pyarrow: pip install 'redis-tap[parquet]'") from None
        word = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
        self._schema = pyarrow.schema(
            [
                ("time", pyarrow.timestamp("ns", tz="UTC")),
                ("link", word),
                ("connection", pyarrow.int32()),
                ("offset", pyarrow.int64()),
                ("db", pyarrow.int32()),
                ("name", word),
                ("args", pyarrow.list_(pyarrow.binary())),
            ]
        )
        self._batch_of: Any = pyarrow.RecordBatch.from_pylist
        self._writer: Any = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def put(self, row: Row) -> None:
        size = sum(map(len, row.args))
        if self._rows and (len(self._rows) == MAX_ROWS or self._bytes + size > GROUP_BYTES):
            self._write()
        self._rows.append({name: getattr(row, name) for name in self._schema.names})
        self._bytes += size

    def close(self) -> None:
        self._write()
        self._writer.close()

    def _write(self) -> None:
        self._writer.write_batch(self._batch_of(self._rows, schema=self._schema))
        self._rows = []
        self._bytes = 0
