"""Helpers for tests of replays: a master of a recording in a thread, and replicas made of a socket.

Where time is what a test is about, both are in one event loop whose clock jumps: Stage.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from array import array
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from tap.bus import Told
from tap.recording.copying import Marks
from tap.replay import ReplayMaster
from tap.replay.chapter_copy import ChapterCopy
from tap.replication.events import Event
from tests.recording.wires import as_packets, file
from tests.relay.wire import LOCALHOST, command
from tests.support import WITHIN, Capture, captures, wait_until

T = TypeVar("T")
E = TypeVar("E", bound=Event)


def captured(name: str, path: Path) -> Path:
    (capture,) = (one for one in captures() if one.name == name)
    return recorded(capture, path)


def recorded(capture: Capture, path: Path) -> Path:
    return file(path, as_packets(capture, 1448, random.Random(1)), "pcapng")


class Playing:
    """A ReplayMaster in an event loop of its own thread, and its events."""

    def __init__(self, *paths: Path, **options: Any) -> None:
        self.told: list[Told] = []
        self.master: ReplayMaster
        self._paths = paths
        self._options = options
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="replay")

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            self.master = ReplayMaster(*self._paths, **self._options)
            self.master.bus.subscribe(self.told.append)
            async with self.master:
                self._ready.set()
                await self._stop.wait()
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    def __enter__(self) -> Playing:
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WITHIN)
        assert not self._thread.is_alive()
        assert self._failure is None

    @property
    def port(self) -> int:
        return self.master.port

    def wait(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(WITHIN)

    def events(self, kind: type[E]) -> list[E]:
        return [told.event for told in tuple(self.told) if isinstance(told.event, kind)]

    def wait_for(self, kind: type[E], count: int = 1) -> E:
        """The count-th event of that kind, once it was reported."""
        wait_until(lambda: len(self.events(kind)) >= count, what=f"{count} x {kind.__name__}")
        return self.events(kind)[count - 1]


class Peer:
    """A replica that stores nothing."""

    def __init__(self, sock: socket.socket, file: BufferedReader) -> None:
        self._sock = sock
        self._file = file

    def ask(self, *words: str) -> bytes:
        """The line of the reply."""
        self.send(command(*words))
        return self.line()

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def acknowledge(self, offset: int) -> None:
        self.send(command("REPLCONF", "ACK", str(offset)))

    def line(self) -> bytes:
        return self._file.readline()

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def rdb(self) -> bytes:
        head = self.line()
        assert head.startswith(b"$")
        return self.read(int(head[1:]))

    @property
    def is_silent(self) -> bool:
        """Whether nothing follows what was read; only for bytes that come at once or never."""
        self._sock.setblocking(False)
        try:
            return self._file.peek(1) == b""
        except BlockingIOError:
            return True
        finally:
            self._sock.settimeout(WITHIN)


@contextlib.contextmanager
def peer(port: int) -> Iterator[Peer]:
    with socket.create_connection((LOCALHOST, port), WITHIN) as sock, sock.makefile("rb") as file:
        yield Peer(sock, file)


# ---- in one event loop ----

REPLID, BEFORE, OTHER = "a" * 40, "b" * 40, "c" * 40
SECOND = 10**9
RDB = b"REDIS0012 and so on"
STREAM_BYTES = b"0123456789" * 10


def part(directory: Path, **other: Any) -> ChapterCopy:
    """From offset 1000 to 1100, of which ten bytes came each second; BEFORE is the same up to 1040."""
    directory.mkdir(exist_ok=True)
    rdb, stream = directory / "rdb", directory / "stream"
    rdb.write_bytes(RDB)
    stream.write_bytes(STREAM_BYTES)
    marks = Marks(array("q", [SECOND * n for n in range(1, 11)]), array("q", [1000 + 10 * n for n in range(1, 11)]))
    one = ChapterCopy(
        link="main",
        replid=REPLID,
        offset=1000,
        end=1100,
        rdb=rdb,
        rdb_size=len(RDB),
        stream=stream,
        histories={REPLID: 1100, BEFORE: 1040},
        marks=marks,
        zero=0,
        began=0,
        ended=10 * SECOND,
    )
    return replace(one, **other)


@dataclass
class Actor:
    """A replica on a stage, driven by its test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    serving: asyncio.Task[None] | None = None

    async def ask(self, *words: str) -> bytes:
        """The line of the reply."""
        self.send(command(*words))
        return await self.line()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def line(self) -> bytes:
        return await self.reader.readline()

    async def read(self, size: int) -> bytes:
        return await self.reader.readexactly(size)

    async def rdb(self) -> bytes:
        assert await self.line() == b"$%d\r\n" % len(RDB)
        return await self.read(len(RDB))

    async def rest(self) -> bytes:
        """Everything up to the end, which has to come."""
        async with asyncio.timeout(3600):
            return await self.reader.read()

    async def leave(self) -> None:
        """Leave, and wait until that has been noticed."""
        self.writer.close()
        if self.serving is not None:
            await self.serving


@dataclass
class Stage:
    """A ReplayMaster of parts that a test has made, not playing yet, and its replicas."""

    master: ReplayMaster
    told: list[Told] = field(default_factory=list)

    @classmethod
    def of(cls, *parts: ChapterCopy, **options: Any) -> Stage:
        one = cls(ReplayMaster("none.pcapng", **options))
        one.master._loop = asyncio.get_running_loop()
        one.master.parts = list(parts)
        one.master._turn_to(parts[0])
        one.master.bus.subscribe(one.told.append)
        return one

    @contextlib.asynccontextmanager
    async def actor(self, host: str = "10.0.0.7", port: int = 50123) -> AsyncIterator[Actor]:
        """A replica that has connected from there."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        serving = asyncio.get_running_loop().create_task(self.master._serve(theirs, (host, port)))
        reader, writer = await asyncio.open_connection(sock=ours)
        one = Actor(reader, writer, serving)
        try:
            yield one
        finally:
            with contextlib.suppress(ConnectionError):
                await one.leave()

    @property
    def events(self) -> list[Event]:
        return [told.event for told in self.told]

    @property
    def last(self) -> Any:
        return self.told[-1].event
