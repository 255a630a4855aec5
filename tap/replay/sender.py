"""Sends the commands of a recording to a server: pipelined, in order, at the recorded pace or another one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import hiredis

from tap.errors import EnvironmentFailure, words
from tap.replay import client_commands
from tap.replay.client_commands import CHUNK, Choice, ClientCommands, ExpectedReply, Pipeline
from tap.replay.stream_parts import StreamPart
from tap.replication.passwords import hidden_reply
from tap.servers.failures import NO_REPLY, InvalidReply
from tap.servers.reply_sizes import ReplySizes
from tap.servers.target import Target

WINDOW_COMMANDS = 10_000  # commands sent and not answered
WINDOW_BYTES = 2**20  # bytes from the first unanswered command on; a longer command goes alone
FAREWELL_SECONDS = 0.7  # to wait, when stopped, for the replies to commands already sent
SHOWN = 3  # errors kept of each kind
KINDS = 50

# Errors about the state of the server, not about a command: later commands would fail as well.
_STATES = frozenset(
    {"NOAUTH", "READONLY", "LOADING", "BUSY", "OOM", "MISCONF", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN"}
)
# Raised for bytes that are not a reply. hiredis raises TypeError for a map whose key is a map. MemoryError: an array for
# which there is no room. IndexError: a reply too many.
_NO_REPLIES = (hiredis.ProtocolError, MemoryError, TypeError, IndexError)
_MAY_BE_ERRORS = (hiredis.ReplyError, list)


@dataclass(slots=True)
class ErrorTally:
    """Errors of one kind. first: the first SHOWN of them, each with its position."""

    count: int = 0
    first: list[str] = field(default_factory=list)


class Interrupted(Exception):
    """stop() was called before everything was sent and answered."""


class Sender:
    """Sends parts of streams, at least one, one after the other.

    speed: a multiple of the recorded speed; infinite: as fast as the server accepts them. to_db: see ClientCommands.
    commands, replies: numbers so far; each command of a transaction counts. acknowledged: the offset up to which, by the
    replies, everything has been executed; None before the first reply. unplaced, unfilled, came, dbs: see ClientCommands.
    seconds: duration of run().
    """

    def __init__(
        self, target: Target, parts: Sequence[StreamPart], choice: Choice, speed: float, *, to_db: int | None = None
    ) -> None:
        self.commands = 0
        self.replies = 0
        self.errors: dict[str, ErrorTally] = {}
        self.acknowledged: int | None = None
        self.unplaced = 0
        self.unfilled = 0
        self.came = 0
        self.dbs: set[int] = set()
        self.seconds = 0.0
        self._target = target
        self._parts = parts
        self.choice = choice
        self._speed = speed
        self._to_db = to_db
        self._part = parts[0]
        self._passed = 0  # bytes of the parts that were sent or left out
        self._total = sum(part.end - part.start for part in parts)
        self._expected: deque[ExpectedReply] = deque()
        self._dbs: set[int] = set()  # dbs that the server is known to have
        self._answered = asyncio.Event()
        self._stopping = asyncio.Event()
        self._began = parts[0].when(parts[0].start + 1)
        self._duration = self._due(parts[-1], parts[-1].end)
        self._origin = 0.0  # when sending began, by time.monotonic()
        self._reached = 0.0  # when the next bytes are due, in seconds after _origin

    @property
    def error_count(self) -> int:
        return sum(tally.count for tally in self.errors.values())

    @property
    def has_sent_all(self) -> bool:
        """Whether no command was answered with an error, and none had to be left out."""
        return not (self.errors or self.unplaced or self.unfilled)

    @property
    def progress(self) -> float:
        """From 0 to 1: the share of the time if there is a pace, otherwise of the bytes."""
        if not self._duration:
            return self._passed / self._total
        return min(time.monotonic() - self._origin, self._reached) / self._duration if self._origin else 0.0

    def stop(self) -> None:
        """Stop sending and wait a moment for replies; run() then raises Interrupted unless everything was sent."""
        self._stopping.set()
        self._answered.set()

    async def run(self) -> None:
        """Raises EnvironmentFailure when the server refuses everything or goes away, and Interrupted after stop()."""
        async with self._target.streams() as (reader, writer):
            await self._run(reader, writer)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._origin = time.monotonic()
        send = asyncio.create_task(self._send(writer), name="commands")
        receive = asyncio.create_task(self._receive(reader), name="replies")
        stop = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait([send, receive, stop], return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                await asyncio.wait([send, receive], timeout=FAREWELL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in (receive, send):  # a last reply explains more than the failure to send
                if task.done():
                    task.result()
            if self._stopping.is_set() and not (send.done() and self._passed == self._total):
                raise Interrupted
        except OSError as error:
            raise EnvironmentFailure(f"{self._target.name}: {words(error)}") from None
        finally:
            self.seconds = time.monotonic() - self._origin
            send.cancel()
            receive.cancel()
            stop.cancel()
            await asyncio.gather(send, receive, stop, return_exceptions=True)

    # ---- commands ----

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        selected = -1
        for part in self._parts:
            self._part = part
            file = part.file.fileno()
            chosen = ClientCommands(file, part.start, part.db, self.choice, to_db=self._to_db, selected=selected)
            for end, due in self._steps(part):
                await self._until(due)
                if self._stopping.is_set():
                    break
                begin = chosen.position
                pipeline = chosen.take(end)
                await self._send_pipeline(pipeline, writer)
                self._passed += end - begin
                await self._replied(partial(self._has_room, end))
            selected = chosen.selected
            self.unplaced += chosen.unplaced
            self.unfilled += chosen.unfilled
            self.came += chosen.came
            self.dbs |= chosen.dbs
            await self._replied(lambda: not self._expected)

    def _steps(self, part: StreamPart) -> Iterator[tuple[int, float]]:
        """Positions to send up to, and when each is due, in seconds after the beginning."""
        position = part.start
        at = bisect_right(part.marks.offsets, part.offset + position)
        while position < part.end:
            position = min(position + CHUNK, part.end)
            due = 0.0
            if self._duration:
                position = min(position, part.marks.offsets[at] - part.offset)
                due = self._due(part, position)
                at += position == part.marks.offsets[at] - part.offset
            yield position, due

    def _due(self, part: StreamPart, position: int) -> float:
        return (part.when(position) - self._began) / 1e9 / self._speed

    async def _until(self, due: float) -> None:
        self._reached = due
        left = self._origin + due - time.monotonic()
        if left <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._stopping.wait()

    async def _send_pipeline(self, pipeline: Pipeline, writer: asyncio.StreamWriter) -> None:
        for db in pipeline.dbs - self._dbs:
            # Checked first, on another connection: if this one refused SELECT, what follows would go to the wrong db.
            await self._target.check_db(db)
            self._dbs.add(db)
        self._expected += pipeline.entries
        self.commands += sum(begin < end for begin, end, _, _ in pipeline.entries)
        for piece in _pieces(self._part.file.fileno(), pipeline):
            writer.write(piece)
            await writer.drain()

    def _has_room(self, end: int) -> bool:
        expected = self._expected
        return not expected or (len(expected) < WINDOW_COMMANDS and end - expected[0][0] < WINDOW_BYTES)

    async def _replied(self, enough: Callable[[], bool]) -> None:
        while not enough():
            self._answered.clear()
            await self._answered.wait()

    # ---- replies ----

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        """Never returns."""
        parser, announced = hiredis.Reader(), ReplySizes()
        while True:
            data = await reader.read(CHUNK)
            if not data:
                raise EnvironmentFailure(f"{self._target.name}: closed the connection")
            try:
                announced.feed(data)
                parser.feed(data)
                self._take(parser)
            except InvalidReply as error:
                raise EnvironmentFailure(f"{self._target.name}: {error}") from None
            except _NO_REPLIES:
                raise EnvironmentFailure(f"{self._target.name}: {NO_REPLY}") from None
            self._answered.set()

    def _take(self, parser: Any) -> None:
        """Take the complete replies."""
        gets, popleft = parser.gets, self._expected.popleft
        whole = None
        count = 0
        try:
            while (reply := gets()) is not False:
                entry = popleft()
                begin, end, _, is_open = entry
                if isinstance(reply, _MAY_BE_ERRORS):
                    self._look(reply, entry)
                count += begin < end
                if not is_open:
                    whole = end
        finally:
            self.replies += count
            if whole is not None and self._part.is_placed:
                self.acknowledged = self._part.offset + whole

    def _look(self, reply: Any, entry: ExpectedReply) -> None:
        """Note the errors in a reply, including those of single commands of a transaction."""
        for error in reply if isinstance(reply, list) else [reply]:
            if not isinstance(error, hiredis.ReplyError):
                continue
            kind = str(error).split(" ", 1)[0]
            if kind in _STATES:
                raise EnvironmentFailure(f"{self._target.name}: {error}")
            if kind not in self.errors and len(self.errors) >= KINDS:
                kind = "(other)"
            tally = self.errors.setdefault(kind, ErrorTally())
            tally.count += 1
            if len(tally.first) < SHOWN:
                tally.first.append(f"{self._where(entry)}: {self._without_secrets(entry, str(error))}")

    def _without_secrets(self, entry: ExpectedReply, error: str) -> str:
        """The error without secrets: a server may quote the command it was sent."""
        begin, end, _, _ = entry
        reader = hiredis.Reader()
        reader.feed(os.pread(self._part.file.fileno(), min(end - begin, CHUNK), begin))
        words = reader.gets()
        if not isinstance(words, list):  # a SELECT of our own, or too long to carry any
            return error
        line = hidden_reply(words, f"-{error}".encode(errors="surrogateescape"))
        return line.decode(errors="surrogateescape")[1:]

    def _where(self, entry: ExpectedReply) -> str:
        """Describe a command, as "offset 1000, db 0: SET key"."""
        begin, end, db, _ = entry
        file = self._part.file.fileno()
        if begin == end:
            return f"{self._part.place(begin)}: SELECT {db}"
        key = b"".join(client_commands.keys(file, begin, end)[:1])[:100].decode("utf-8", "backslashreplace")
        return f"{self._part.place(end)}, db {db}: {client_commands.name(file, begin)} {key}".rstrip()


def _pieces(file: int, pipeline: Pipeline) -> Iterator[bytes]:
    """The bytes of a pipeline, about CHUNK at a time."""
    waiting = bytearray()
    for part in pipeline.parts:
        if isinstance(part, bytes):
            waiting += part
            continue
        begin, end = part
        while begin < end:
            data = os.pread(file, min(CHUNK, end - begin), begin)
            begin += len(data)
            waiting += data
            if len(waiting) >= CHUNK:
                yield bytes(waiting)
                waiting.clear()
    if waiting:
        yield bytes(waiting)
