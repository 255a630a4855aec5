"""One replica that is connected to the master of a recording: the handshake, then the RDB and the stream out of files.

The replica knows of its master only what Owner says, so that master.py alone knows both.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import BinaryIO, Protocol

from tap.bus import Bus
from tap.errors import words
from tap.replay.chapter_copy import ChapterCopy
from tap.replay.session import Acknowledged, Farewell, Reply, Session, Wish, role_reply
from tap.replication.events import (
    Ack,
    Event,
    FullResync,
    Handshake,
    LinkClosed,
    PartialResync,
    PsyncRequested,
    Reason,
    Role,
    Side,
    SyncRequested,
)
from tap.replication.phase import Phase
from tap.replication.requests import masked

READ = 2**16
# Without a pause, a replica that cannot load the RDB would ask for it hundreds of times a second, since it is ready here.
AGAIN_SECONDS = 1.0
PIECE = 2**24  # bytes per sendfile call, so that progress is visible


class Owner(Protocol):
    """The master that owns a replica's connection.

    bus: gets the replica's events. part: what is played now. offset: up to which the stream is due. not_loaded: addresses
    announced by replicas that left between the RDB and their first ACK. followers: host, port and acknowledged offset of
    every replica, as ROLE lists them. version: of redis-tap.
    """

    bus: Bus
    part: ChapterCopy
    offset: int
    not_loaded: set[tuple[str, int]]

    @property
    def followers(self) -> list[tuple[str, int, int]]: ...

    @property
    def version(self) -> str: ...

    def info(self) -> bytes:
        """The text of INFO."""

    def why_full(self, wish: Wish) -> Reason | None:
        """Why this request cannot be met by a partial resync; None if it can."""

    def start_clock(self, offset: int) -> None:
        """The replica has everything up to this offset: start the clock there, unless it runs."""

    def signal(self) -> None:
        """Wake every change()."""

    async def change(self) -> None:
        """Return after the next signal(), or when more of the stream is due."""


class Replica:
    """number: of the connection, from 1. phase: how far the connection has come. sent: offset after the last byte of the
    stream sent to the replica; None before the first. acknowledged: the replica's last ACK; None before the first.
    rdb_sent: bytes of the RDB sent.
    """

    def __init__(self, master: Owner, sock: socket.socket, peer: tuple[str, int], number: int) -> None:
        """peer: its source address, host and port."""
        self.number = number
        self.phase = Phase.HANDSHAKE
        self.sent: int | None = None
        self.acknowledged: int | None = None
        self.rdb_sent = 0
        self._master = master
        self._sock = sock
        self._peer = peer
        self._part = master.part
        self._session = Session(master.info, lambda: role_reply(master.offset, master.followers), master.version)
        self._loop = asyncio.get_running_loop()
        self._feeding: asyncio.Task[None] | None = None
        self._wish: Wish | None = None
        self._from_master = 0
        self._from_replica = 0
        self._closed: tuple[Side, str, str] | None = None  # by whom, how, and the system's words

    @property
    def host(self) -> str:
        return self._session.host or self._peer[0]

    @property
    def port(self) -> int:
        """0 if it announced none."""
        return self._session.port or 0

    @property
    def name(self) -> str:
        """The announced address, with the source port if no port is announced; as a tap names a replica."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port or self._peer[1]}"

    @property
    def is_follower(self) -> bool:
        """Whether it acknowledges, as a replica does."""
        return self._wish is not None and not self._wish.is_sync and not self._session.only_rdb

    async def run(self) -> None:
        """Serve the connection until either end closes it."""
        try:
            while data := await self._loop.sock_recv(self._sock, READ):
                self._from_replica += len(data)
                for step in self._session.receive(data):
                    await self._take(step)
            self._note_end(Side.REPLICA, "fin", "")
        except OSError as error:
            self._note_end(Side.REPLICA, "reset", words(error))
        finally:
            try:
                if self._feeding is not None:
                    self._feeding.cancel()
                    await asyncio.wait({self._feeding})
            finally:  # also when the master is closed just now
                self._sock.close()
                self._tell_end()

    def close(self) -> None:
        """Close the connection from the master's side. Nothing more is sent."""
        self._note_end(Side.TAP, "fin", "")
        if self._feeding is not None:
            self._feeding.cancel()
        self._hang_up()

    # ---- requests ----

    async def _take(self, step: Reply | Wish | Acknowledged | Farewell) -> None:
        match step:
            case Reply():
                line = step.data.partition(b"\r\n")[0].decode("latin-1")
                request = step.request
                self._tell(Handshake(start=request.start, end=request.end, request=masked(request), reply=line))
                await self._send(step.data)
            case Wish():
                self._wish = step
                self._grant(step)
            case Acknowledged():
                self._acknowledge(step)
            case Farewell():
                await self._send(step.data)
                self._note_end(Side.TAP, "error" if step.why else "fin", step.why)
                self._hang_up()

    def _grant(self, wish: Wish) -> None:
        request = wish.request
        if wish.is_sync:
            self._tell(SyncRequested(start=request.start, end=request.end, inline=request.inline))
        else:
            self._tell(PsyncRequested(start=request.start, end=request.end, replid=wish.replid, offset=wish.offset))
        reason = self._master.why_full(wish)
        self._feeding = self._loop.create_task(self._feed(wish, reason), name=f"feed {self.name}")

    def _acknowledge(self, step: Acknowledged) -> None:
        self.acknowledged = step.offset
        self.phase = Phase.STREAM
        request, lag = step.request, max(0, (self.sent or 0) - step.offset)
        self._tell(
            Ack(
                start=request.start,
                end=request.end,
                offset=step.offset,
                fsynced=step.fsynced,
                lag_bytes=lag,
                lag_seconds=None,
            )
        )
        self._master.signal()

    # ---- what is sent ----

    async def _feed(self, wish: Wish, reason: Reason | None) -> None:
        """Send what the request asks for. reason: of a full resync; None for a partial resync."""
        try:
            if reason is None:
                await self._go_on(wish)
            else:
                await self._begin(wish, reason)
        except OSError as error:
            self._note_end(Side.REPLICA, "reset", words(error))
            self._hang_up()

    async def _begin(self, wish: Wish, reason: Reason) -> None:
        """Make a full resync. The RDB is sent in the form that states its length, because the length is known."""
        self.phase = Phase.WAITING
        if (self.host, self.port) in self._master.not_loaded:
            self._master.not_loaded.remove((self.host, self.port))
            await asyncio.sleep(AGAIN_SECONDS)
        part = self._part
        replid, offset = (None, None) if wish.is_sync else (part.replid, part.offset)
        line = b"" if wish.is_sync else f"+FULLRESYNC {replid} {offset}\r\n".encode()
        await self._send(line)
        start = self._from_master
        self._tell(FullResync(start=start - len(line), end=start, replid=replid, offset=offset, reason=reason))
        self.phase = Phase.RDB
        await self._send(b"$%d\r\n" % part.rdb_size)
        with part.rdb.open("rb") as rdb:
            await self._send_file(rdb, 0, part.rdb_size)
        if self._session.only_rdb:
            self.phase = Phase.DONE
            self._sock.shutdown(socket.SHUT_WR)
            return
        self.phase = Phase.STREAM if wish.is_sync else Phase.LOADING
        await self._stream(part.offset)

    async def _go_on(self, wish: Wish) -> None:
        """Make a partial resync."""
        part, offset = self._part, wish.offset - 1
        line = b"+CONTINUE %b\r\n" % part.replid.encode() if self._session.knows_psync2 else b"+CONTINUE\r\n"
        await self._send(line)
        self._tell(
            PartialResync(
                start=self._from_master - len(line),
                end=self._from_master,
                replid=part.replid,
                previous_replid=None if wish.replid == part.replid else wish.replid,
                offset=offset,
                bytes_behind=max(0, self._master.offset - offset),
            )
        )
        self.phase = Phase.STREAM
        await self._stream(offset)

    async def _stream(self, offset: int) -> None:
        """Send everything that is due, when it is due."""
        self.sent = offset
        self._master.start_clock(offset)
        with self._part.stream.open("rb") as stream:
            while True:
                due = self._master.offset
                if self.sent < due:
                    await self._send_file(stream, self.sent - self._part.offset, due - self.sent)
                else:
                    await self._master.change()

    async def _send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)
        self._from_master += len(data)

    async def _send_file(self, file: BinaryIO, begin: int, size: int) -> None:
        """Send a part of the RDB or, once the stream has begun, of the stream."""
        end = begin + size
        while begin < end:
            count = await self._loop.sock_sendfile(self._sock, file, begin, min(PIECE, end - begin))
            begin += count
            self._from_master += count
            if self.sent is None:
                self.rdb_sent += count
            else:
                self.sent += count

    # ---- the end ----

    def _hang_up(self) -> None:
        """Shut the socket down; run() then reads the end."""
        with contextlib.suppress(OSError):  # it is gone
            self._sock.shutdown(socket.SHUT_RDWR)

    def _note_end(self, by: Side, how: str, text: str) -> None:
        self._closed = self._closed or (by, how, text)

    def _tell_end(self) -> None:
        by, how, text = self._closed or (Side.TAP, "fin", "")
        if self.phase is Phase.LOADING and by is Side.REPLICA:
            self._master.not_loaded.add((self.host, self.port))
            how = "fin"  # closing before everything was read looks like a reset
            text = f"before it had loaded the RDB ({self._part.rdb_version}): its log says why"
        self._tell(
            LinkClosed(
                by=by,
                how=how,
                text=text,
                role=Role.REPLICA if self._wish is not None else Role.ORDINARY,
                phase=self.phase.value,
                offset=self.sent,
                bytes_from_master=self._from_master,
                bytes_from_replica=self._from_replica,
            )
        )

    def _tell(self, event: Event) -> None:
        self._master.bus.publish(self._part.link, self.number, self.name, event)
