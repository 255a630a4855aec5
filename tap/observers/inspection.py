"""Asks a link's master about itself, once a second, if the configuration gives a URL for that (--inspect).

One connection and one pipeline of read-only commands: INFO, CLIENT LIST TYPE replica, and every ten seconds CONFIG
GET. Nothing of it touches the link. A master that does not answer is reported once, and once more when it answers again;
a command that the user may not run is reported once, and what it would have shown stays unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from tap.replication.events import Event, InspectBack, InspectFailed, InspectLacks
from tap.replication.inspected import BufferLimit, Inspected, buffer_limit
from tap.servers.answers import client_lines, number, settings
from tap.servers.client import Client
from tap.servers.failures import FAILURES, ErrorReply, said_by
from tap.servers.info import Info
from tap.url import Url

PERIOD = 1.0  # seconds from one question to the next
CONFIG_PERIOD = 10.0
ANSWER_WITHIN = 3.0
CLOSE_WITHIN = 0.3

_EACH: tuple[tuple[str, ...], ...] = (
    ("INFO", "replication"),
    ("INFO", "persistence"),
    ("INFO", "memory"),
    ("INFO", "server"),
    ("CLIENT", "LIST", "TYPE", "replica"),
)
_SELDOM: tuple[tuple[str, ...], ...] = tuple(
    ("CONFIG", "GET", name)
    for name in ("client-output-buffer-limit", "repl-timeout", "repl-backlog-size", "repl-diskless-sync", "dir")
)
_UNKNOWN_WITHOUT = {
    "INFO": "offset, backlog and memory",
    "CLIENT LIST": "the output buffers of replicas",
    "CONFIG GET": "their limits, repl-timeout and other settings",
}


class Inspection:
    """The questions to one master, from start() to stop()."""

    def __init__(self, url: Url, tell: Callable[[Event], None], learn: Callable[[Inspected], None]) -> None:
        """tell: publishes an event of the link. learn: takes each answer. Raises ConfigError for an impossible URL."""
        self._client = Client(url)
        self._tell = tell
        self._learn = learn
        self._task: asyncio.Task[None] | None = None
        self._lost_at: float | None = None
        self._lacks: set[str] = set()
        self._config_due = 0.0
        self._version = (0,)
        self._settings: dict[str, str] = {}
        self._before: Inspected | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"inspect {self._client.name}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CLOSE_WITHIN)
        await self._close()

    async def _run(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            begun = now()
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    inspected = await self._ask()
            except FAILURES as error:
                await self._close()
                self._config_due = 0.0
                if self._lost_at is None:
                    self._lost_at = begun
                    said = f"no answer within {ANSWER_WITHIN:g} s" if isinstance(error, TimeoutError) else said_by(error)
                    self._tell(InspectFailed(master=self._client.name, text=said))
            else:
                if self._lost_at is not None:
                    self._tell(InspectBack(master=self._client.name, seconds=now() - self._lost_at))
                    self._lost_at = None
                self._before = inspected
                self._learn(inspected)
            await asyncio.sleep(max(0.1, begun + PERIOD - now()))

    async def _ask(self) -> Inspected:
        now = asyncio.get_running_loop().time
        asked = now()
        is_config_due = asked >= self._config_due
        words = _EACH + (_SELDOM if is_config_due else ())
        replies = await self._client.ask_all(words)
        at = now()
        if is_config_due:
            self._config_due = at + CONFIG_PERIOD
        refused: dict[str, str] = {}
        fields: dict[str, str] = {}
        buffers = None
        for command, reply in zip(words, replies, strict=True):
            name = "INFO" if command[0] == "INFO" else f"{command[0]} {command[1]}"
            if isinstance(reply, ErrorReply):
                refused[name] = said_by(reply)
            elif isinstance(reply, Exception):
                raise reply
            elif name == "INFO":
                fields |= Info.parse(reply).fields
            elif name == "CLIENT LIST":
                buffers = _buffers(reply)
            else:
                self._settings |= settings(reply, errors="replace")
        self._say_lacks(refused)
        return self._inspected(asked, at, fields, buffers)

    def _say_lacks(self, refused: Mapping[str, str]) -> None:
        new = [name for name in refused if name not in self._lacks]
        if new:
            self._lacks.update(new)
            unknown = " and ".join(_UNKNOWN_WITHOUT[name] for name in new)
            self._tell(
                InspectLacks(
                    master=self._client.name, commands=tuple(new), text=f"{refused[new[0]]}; {unknown} stay unknown"
                )
            )

    def _inspected(
        self, asked: float, at: float, fields: Mapping[str, str], buffers: dict[tuple[str, int], int] | None
    ) -> Inspected:
        if version := re.match(r"([0-9]+)", fields.get("redis_version", "")):
            self._version = (int(version[1]),)
        offset, before = number(fields.get("master_repl_offset")), self._before
        rate = None
        if (
            before is not None
            and before.offset is not None
            and offset is not None
            and before.replid == fields.get("master_replid")
        ):
            rate = max(0.0, (offset - before.offset) / max(1e-3, at - before.at))
        backlog = number(fields.get("repl_backlog_size"))
        return Inspected(
            asked=asked,
            at=at,
            role=fields.get("role"),
            replid=fields.get("master_replid"),
            offset=offset,
            replid2=fields.get("master_replid2"),
            second_offset=number(fields.get("second_repl_offset")),
            backlog_size=backlog,
            backlog_first=number(fields.get("repl_backlog_first_byte_offset"))
            if fields.get("repl_backlog_active", "0") != "0"
            else None,
            used_memory=number(fields.get("used_memory")),
            maxmemory=number(fields.get("maxmemory")),
            is_saving=None if "rdb_bgsave_in_progress" not in fields else fields["rdb_bgsave_in_progress"] != "0",
            buffers=buffers,
            limit=self._limit(backlog),
            repl_timeout=number(self._settings.get("repl-timeout")),
            write_rate=rate,
            run_id=fields.get("run_id"),
            is_saved=_is_ok(fields.get("rdb_last_bgsave_status")),
            save_seconds=number(fields.get("rdb_last_bgsave_time_sec")),
            is_aof_written=_is_ok(fields.get("aof_last_write_status")),
            settings=dict(self._settings),
        )

    def _limit(self, backlog: int | None) -> BufferLimit | None:
        """Those of replicas.

        The hard one is at least the backlog's size: Redis 7.0 networking.c, checkClientOutputBufferLimits.
        """
        limit = buffer_limit(self._settings.get("client-output-buffer-limit", ""))
        if limit is None:
            return None
        if limit.hard and self._version >= (7,):
            return limit._replace(hard=max(limit.hard, backlog or 0))
        return limit

    async def _close(self) -> None:
        with contextlib.suppress(TimeoutError, *FAILURES):
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._client.close()


def _buffers(reply: Any) -> dict[tuple[str, int], int]:
    """omem by address, from the lines of CLIENT LIST."""
    found = {}
    for fields in client_lines(reply):
        host, _, port = fields.get("addr", "").rpartition(":")
        size = number(fields.get("omem"))
        if port.isdecimal() and size is not None:
            found[host.strip("[]"), int(port)] = size
    return found


def _is_ok(text: str | None) -> bool | None:
    return None if text is None else text == "ok"
