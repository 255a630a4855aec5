"""What a master says of itself, as INFO, CLIENT LIST and CONFIG GET, at one moment.

The wire does not show the master's offset while nothing is read, its backlog, its limits, or the output buffer that it
keeps for a replica. A tap may ask for them (--inspect); whatever is derived from this is marked as from there, and old.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

NO_HISTORY = "0" * 40  # master_replid2 of a server that has one history
_OF_REPLICAS = re.compile(r"(?:replica|slave) ([0-9]+) ([0-9]+) ([0-9]+)")

FRESH_SECONDS = 2.5  # two periods and a slow answer; an older offset says how much was written at least


class BufferLimit(NamedTuple):
    """client-output-buffer-limit for replicas, in bytes and seconds; 0 for no limit.

    hard: with what the server makes of it: since Redis 7.0 it is at least repl-backlog-size.
    """

    hard: int
    soft: int
    soft_seconds: float

    @property
    def least(self) -> int | None:
        """The lower one of the two; None if there is none."""
        return min((one for one in (self.hard, self.soft) if one), default=None)


def buffer_limit(text: str) -> BufferLimit | None:
    """The limit of replicas in a value of client-output-buffer-limit, as configured; None if it names none."""
    found = _OF_REPLICAS.search(text)
    return None if found is None else BufferLimit(*(int(one) for one in found.groups()))


@dataclass(frozen=True, slots=True)
class Inspected:
    """One answer. Fields are None where the master did not say it: another version, or a user without the right.

    asked, at: when the question left and the answer came, on the loop's clock. What is said was true in between.
    offset: master_repl_offset. second_offset: the first offset that is not part of replid2. backlog_first: offset of the
    backlog's oldest byte, None without a backlog. buffers: bytes in the output buffer of each replica (omem), by the
    address from which it is connected. write_rate: bytes per second that the master has written since the answer before.

    run_id: drawn by each process. is_saved: whether the last snapshot to disk succeeded (rdb_last_bgsave_status; those
    sent diskless do not count). save_seconds: that the last child took. is_aof_written: whether the disk took the last
    write of the AOF. settings: values of CONFIG GET, by name, as configured.
    """

    asked: float
    at: float
    role: str | None = None
    replid: str | None = None
    offset: int | None = None
    replid2: str | None = None
    second_offset: int | None = None
    backlog_size: int | None = None
    backlog_first: int | None = None
    used_memory: int | None = None
    maxmemory: int | None = None
    is_saving: bool | None = None
    buffers: Mapping[tuple[str, int], int] | None = None
    limit: BufferLimit | None = None
    repl_timeout: float | None = None
    write_rate: float | None = None
    run_id: str | None = None
    is_saved: bool | None = None
    save_seconds: int | None = None
    is_aof_written: bool | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def present(self, setting: str) -> str:
        """The present value of a setting, as CONFIG SET takes it; "" if it is unknown."""
        text = self.settings.get(setting, "")
        if setting != "client-output-buffer-limit":
            return text
        limit = buffer_limit(text)
        return "" if limit is None else f"replica {limit.hard} {limit.soft} {limit.soft_seconds:g}"

    def branch(self, replid: str | None, previous: str) -> int | None:
        """The last offset that this history shares with the previous one, if the master says so; else None."""
        is_known = self.replid == replid and self.replid2 == previous and self.second_offset is not None
        return self.second_offset - 1 if is_known and self.second_offset is not None else None

    def written(self, replid: str | None, at: float) -> int | None:
        """The offset of this history that the master had written a moment ago; None if that is unknown, or old."""
        is_known = self.offset is not None and self.replid == replid and at - self.at <= FRESH_SECONDS
        return self.offset if is_known else None

    def buffer(self, place: tuple[str, int] | None) -> int | None:
        """The bytes in the output buffer for what is connected from there; None if unknown."""
        return None if self.buffers is None or place is None else self.buffers.get(place)
