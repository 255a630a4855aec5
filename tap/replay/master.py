"""A master whose data is a recording: replicas connect to it and get each recorded byte when it is due."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import socket
import tempfile
import threading
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Literal

from tap.bus import Bus
from tap.capture.files import check_again
from tap.errors import ConfigError, words
from tap.hints import OnlyAsync
from tap.listening import listening
from tap.recording.comments import check_format
from tap.recording.filters import Filters
from tap.recording.missing import Account, Missing, Whole
from tap.recording.moments import Moment
from tap.recording.player import Player
from tap.recording.reader import read
from tap.replay.chapter_copy import ChapterCopy, take
from tap.replay.excerpt import Excerpt
from tap.replay.pace import Pace
from tap.replay.replica import Replica
from tap.replay.session import Wish
from tap.replication.events import Reason, Side
from tap.replication.reasons import FIRST_SYNC, short, why_sync
from tap.url import Address

PING = b"*1\r\n$4\r\nping\r\n"
PING_SECONDS = 10.0  # repl-ping-replica-period, by default
ACCEPT_AGAIN_SECONDS = 1.0

log = logging.getLogger(__name__)


class _Closed(Exception):
    """The master is closed while the recording is being read."""


class ReplayMaster(OnlyAsync):
    """Runs inside one event loop, between __aenter__ and __aexit__:

    async with ReplayMaster("today.pcapng", speed="max") as master:
        replica.replicaof("127.0.0.1", master.port)
        await master.acknowledged()

    The clock starts when the first replica has been sent the RDB; all replicas share it.

    bus: reports what replicas do, as events of a tap. problems: what could not be read of the recording's files. missing:
    what the recording lacks of what is played, or after it. remarks: what else to know about the recording. parts: what
    is played, in order; part: the current one. offset: up to which the stream is due. is_over: all of the last part is
    due; from then on there are only PINGs. replicas: open connections.
    """

    def __init__(
        self,
        *paths: Path | str,
        listen: Address | str | int = "127.0.0.1:0",
        speed: float | Literal["max"] = 1.0,
        links: Collection[str] = (),
        begin: Moment | None = None,
        end: Moment | None = None,
    ) -> None:
        """paths: of the recording, in order. speed: a multiple of the recorded speed, or "max". links: only these. begin,
        end: a time or an offset; earlier bytes are sent at once, later bytes not at all.

        Raises ConfigError.
        """
        self._paths = [Path(path) for path in paths]
        if not paths:
            raise ConfigError("a recording is missing: ReplayMaster('today.pcapng')")
        self.address = Address.parse(str(listen)) if isinstance(listen, str | int) else listen
        if self.address.path:
            raise ConfigError(f"{self.address}: replicas connect over TCP, so a master listens on HOST:PORT")
        speed = math.inf if speed == "max" else speed
        if isinstance(speed, str) or not speed > 0:
            raise ConfigError(f"speed {speed}: write how many times as fast, more than 0")
        self._excerpt = Excerpt(links=links, begin=begin, end=end, speed=speed)
        self.bus = Bus()
        self._account: Account | None = None  # from the first reading
        self.parts: list[ChapterCopy] = []
        self.part: ChapterCopy
        self.offset = 0
        self.is_over = False
        self.replicas: list[Replica] = []
        # Announced addresses of replicas that left between the RDB and their first ACK.
        self.not_loaded: set[tuple[str, int]] = set()
        self._pace: Pace
        self._clock: float | None = None  # time of the loop when the clock started
        self._changed = asyncio.Event()
        self._numbers = itertools.count(1)
        self._listening: list[socket.socket] = []
        self._accepted: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> ReplayMaster:
        """Read the recording, and listen. Raises RecordingError, ConfigError, EnvironmentFailure."""
        self._loop = asyncio.get_running_loop()
        try:
            for path in self._paths:
                check_again(path, check_format)
            # Listen first: reading may take minutes, and a port in use should be reported before.
            self._listening, self.address = await listening(self.address)
            self._directory = tempfile.TemporaryDirectory(prefix="redis-tap-replay-")
            self.parts = await self._take(Path(self._directory.name))
        except BaseException:
            await self.close()
            raise
        self._turn_to(self.parts[0])
        for sock in self._listening:
            self._own(self._accept(sock), "accept")
        self._own(self._play(), "play")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening, end every connection, and remove what was copied."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for sock in (*self._listening, *self._accepted):  # accepted, and not served yet
            sock.close()
        self._listening.clear()
        if self._directory is not None:
            self._directory.cleanup()

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def seconds_left(self) -> float | None:
        """Until all of this part is due; None until the clock starts."""
        if self._clock is None:
            return None
        return max(0.0, self._pace.when(self.part.end) - (self._loop.time() - self._clock))

    async def acknowledged(self) -> None:
        """Return once everything has been played, and every connected replica, at least one, has acknowledged it."""
        await self._until(lambda: self.is_over and self._has_acknowledged())

    # ---- before ----

    @property
    def problems(self) -> list[str]:
        return [] if self._account is None else self._account.problems

    @property
    def remarks(self) -> list[str]:
        if self._account is None:
            return []
        if not self.parts:  # an error says so
            return self._account.remarks
        wanted = Filters(links=self._excerpt.links, begin=self._excerpt.begin, end=self._excerpt.end)
        return [*self._account.remarks, *wanted.outside(self._account)]

    @property
    def missing(self) -> list[Missing]:
        if self._account is None:
            return []
        wanted = Filters(links=self._excerpt.links, end=self._excerpt.end)
        first = self.parts[0] if self.parts else None
        whole = None if first is None else Whole(first.histories, first.end, first.ended)

        def concerns(missing: Missing) -> bool:
            if whole is None:  # nothing can be played: a gap in an RDB matters as well
                return missing.side is Side.MASTER and wanted.may_lack(missing)
            return missing.may_hold_commands and whole.precedes(missing) and wanted.may_lack(missing)

        return self._account.lacking(concerns, wanted.joins)

    async def _take(self, directory: Path) -> list[ChapterCopy]:
        taking = asyncio.ensure_future(asyncio.to_thread(take, self._read, directory, self._excerpt))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait({taking})
            taking.exception()
            raise

    def _read(self, player: Player) -> None:
        """Runs in a thread."""
        for _ in read(self._paths, player):
            if self._stop.is_set():
                raise _Closed
        self._account = self._account or player.account

    # ---- the clock ----

    def _turn_to(self, part: ChapterCopy) -> None:
        self.part = part
        self.offset = part.offset
        self._clock = None
        self._pace = Pace(part.marks, zero=part.zero, begin=part.offset, end=part.end, speed=self._excerpt.speed)

    def start_clock(self, offset: int) -> None:
        """A replica has everything up to this offset: start the clock there, unless it runs."""
        if self._clock is None:
            self._clock = self._loop.time() - self._pace.when(offset)
            self._advance(offset)

    def _advance(self, offset: int) -> None:
        self.offset = max(self.offset, offset)
        self.signal()

    async def _play(self) -> None:
        for number, part in enumerate(self.parts):
            if number:
                await self._pause(part.began - self.parts[number - 1].ended)
                self._turn_to(part)
                # The recording has a hole here, so every replica must connect again.
                for replica in self.replicas:
                    replica.close()
            await self._until(lambda: self._clock is not None)
            await self._run()
            self.is_over = part is self.parts[-1]
            self.signal()
            await self._ping_until(lambda: not self.is_over and self._has_acknowledged())

    async def _run(self) -> None:
        """Play one part, from its beginning to its end."""
        assert self._clock is not None
        wait: float | None = 0.0
        while wait is not None:
            await asyncio.sleep(wait)
            seconds = self._loop.time() - self._clock
            self._advance(self._pace.due(seconds))
            wait = self._pace.wait(seconds)

    async def _pause(self, nanoseconds: int) -> None:
        """Wait between two parts."""
        end = self._loop.time() + max(0.0, nanoseconds / 1e9 / self._excerpt.speed)
        self._loop.call_at(end, self.signal)
        await self._ping_until(lambda: self._loop.time() >= end)

    async def _ping_until(self, condition: Callable[[], bool]) -> None:
        """Act as a master without writes; its PINGs belong to the stream, after what was recorded."""
        ping_at = self._loop.time() + PING_SECONDS
        while not condition():
            try:
                async with asyncio.timeout_at(ping_at):
                    await self.change()
            except TimeoutError:
                with self.part.stream.open("ab") as file:
                    file.write(PING)
                self._advance(self.offset + len(PING))
                ping_at += PING_SECONDS

    # ---- waiting ----

    def signal(self) -> None:
        """Wake every change()."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        """Return after the next signal()."""
        await self._changed.wait()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.change()

    def _has_acknowledged(self) -> bool:
        following = [replica.acknowledged for replica in self.replicas if replica.is_follower]
        return bool(following) and all(offset is not None and offset >= self.part.end for offset in following)

    # ---- connections ----

    def _own(self, work: Coroutine[None, None, None], name: str) -> None:
        task = self._loop.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                await self._readable(listening)
                sock, address = listening.accept()
                self._accepted.add(sock)
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            except BlockingIOError:
                continue
            except OSError as error:  # too many open files, or the peer has gone already
                log.error("a replica cannot be accepted: %s; trying again", words(error))
                await asyncio.sleep(ACCEPT_AGAIN_SECONDS)
                continue
            self._own(self._serve(sock, address[:2]), f"replica {address[0]}")

    async def _readable(self, sock: socket.socket) -> None:
        """Wait until the socket is readable. loop.sock_accept() would lose an accepted connection when cancelled."""
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(sock, _done, ready)
        try:
            await ready
        finally:
            self._loop.remove_reader(sock)

    async def _serve(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        replica = Replica(self, sock, peer, next(self._numbers))
        self.replicas.append(replica)
        try:
            await replica.run()
        except Exception:
            log.exception("the connection of %s is ended", replica.name)
        finally:
            self.replicas.remove(replica)
            self._accepted.discard(sock)
            self.signal()

    # ---- what it answers ----

    def why_full(self, wish: Wish) -> Reason | None:
        """Why this request cannot be met by a partial resync; None if it can (replication.c, masterTryPartialResync)."""
        part = self.part
        if wish.is_sync:
            return why_sync(None)
        if wish.replid is None:
            return FIRST_SYNC
        held = wish.offset - 1
        had = f"the replica offered {short(wish.replid)} up to offset {held}"
        known = part.histories.get(wish.replid)
        if known is None:
            return Reason(
                code="replication_id_unknown", text=f"{had}; what is played of the recording is {short(part.replid)}"
            )
        played = part.end if self._clock is None else self.offset
        top = played if wish.replid == part.replid else min(known, played)
        if held > top:
            return Reason(code="offset_ahead_of_master", text=f"{had}, the recording has been played up to {top}")
        if held < part.offset:
            return Reason(
                code="offset_out_of_backlog", text=f"{had}, the RDB is at {part.offset}: nothing before is there"
            )
        return None

    @property
    def followers(self) -> list[tuple[str, int, int]]:
        """Host, port and acknowledged offset of each replica, as ROLE lists them."""
        return [(one.host, one.port, one.acknowledged or 0) for one in self.replicas if one.is_follower]

    @property
    def version(self) -> str:
        from tap.version import version

        return version()

    def info(self) -> bytes:
        """The text of INFO, whatever the section."""
        part = self.part
        followers = [
            f"slave{number}:ip={host},port={port},state=online,offset={offset},lag=0"
            for number, (host, port, offset) in enumerate(self.followers)
        ]
        lines = [
            "# Server",
            f"redis_tap_version:{self.version}",
            f"tcp_port:{self.port}",
            "",
            "# Replication",
            "role:master",
            f"connected_slaves:{len(followers)}",
            *followers,
            "master_failover_state:no-failover",
            f"master_replid:{part.replid}",
            f"master_replid2:{'0' * 40}",
            f"master_repl_offset:{self.offset}",
            "second_repl_offset:-1",
            "repl_backlog_active:1",
            f"repl_backlog_first_byte_offset:{part.offset + 1}",
            f"repl_backlog_histlen:{self.offset - part.offset}",
            "",
        ]
        return "\r\n".join(lines).encode()


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
