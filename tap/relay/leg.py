"""One socket of a link: reads for the other leg, and writes what the other has read."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap.relay.handshakes import Handshakes
from tap.relay.share import BUFFER_SIZE, FIRST_READ, Share, Thread
from tap.replication.events import Side

if TYPE_CHECKING:
    from tap.relay.connection import Connection

# A read of so much is taken for a part of more. What there is of that goes past this process, if nobody looks at it: a
# pipe of the kernel's takes it from one socket to the other, at half the processor time of copying it. Smaller reads
# cost less as they are.
SPLICE_FROM = 64 * 1024
# An RDB comes in many small pieces where its master writes them, each of which would cost this process a turn of its
# loop. It can wait a moment for more; a stream, where each command counts, is passed on as it comes.
REST_SECONDS = 0.001
PIPE_SIZE = 2**20  # the most that an ordinary user's pipe may hold (Linux: /proc/sys/fs/pipe-max-size)
MAX_SPLICES = 4  # pipefuls of one turn; other links want theirs
# No word of the peer's, but of a system that does not let us (WSL 1, a sandbox's seccomp filter).
NO_SPLICE = (errno.ENOSYS, errno.EPERM, errno.EINVAL)
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 0)

MAX_SPARE = 16  # buffers; more are given back to the system once a crowd of slow peers has passed

EARLY_BYTES = 2 * BUFFER_SIZE  # from a peer that is not read; only an event loop that cannot pause passes them

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 seconds: close sends RST and forgets what is unsent

_FIN = getattr(select, "POLLRDHUP", 0)  # elsewhere POLLHUP tells, which needs no asking for


class Buffers:
    """Read buffers, shared by all legs of a tap: between two reads nobody needs one.

    A buffer that a transport still holds unsent bytes of is lent until those are gone; then another one is used. So is
    the pipe for what need not be read: nothing stays in it.
    """

    def __init__(self) -> None:
        self._take(memoryview(bytearray(BUFFER_SIZE)))
        self._free: list[memoryview] = []
        self._pipe: tuple[int, int] | None = None
        self.thread = Thread()
        self.handshakes = Handshakes(self.thread)

    def close(self) -> None:
        """Give the pipe back to the system, with what is in it; whoever needs one gets another."""
        for end in self._pipe or ():
            os.close(end)
        self._pipe = None

    @property
    def pipe(self) -> tuple[int, int]:
        """The end to read from and that to write to; empty, and to be left so. Raises OSError."""
        if self._pipe is None:
            self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            with contextlib.suppress(PermissionError):  # this user's pipes hold too much already: a small one does
                fcntl.fcntl(self._pipe[1], _SET_PIPE_SIZE, PIPE_SIZE)
        return self._pipe

    def lend(self) -> memoryview:
        """Leave the current buffer to the caller, who gives it back."""
        lent = self.current
        self._take(self._free.pop() if self._free else memoryview(bytearray(BUFFER_SIZE)))
        return lent

    def _take(self, buffer: memoryview) -> None:
        self.current = buffer
        self.first = buffer[:FIRST_READ]  # most links never read more at once, and a slice costs 50 ns

    def give_back(self, buffer: memoryview) -> None:
        if len(self._free) < MAX_SPARE:
            self._free.append(buffer)


@dataclass(slots=True)
class _Early:
    """What came from a leg's peer before the link had its other leg, whatever that leg's transport was asked to do.

    has_ended: it sent FIN. is_lost: its socket is gone; error: why.
    """

    data: bytearray = field(default_factory=bytearray)
    has_ended: bool = False
    is_lost: bool = False
    error: Exception | None = None


class Leg(asyncio.BufferedProtocol):
    """One socket of a link.

    Backpressure passes through: while the other leg has unsent bytes, this one does not read, so at most one buffer,
    or one pipeful, is held per direction, and a slow replica slows its master as it would without a tap.

    Nothing is read before the link lets it begin. An event loop that reads all the same loses nothing: it is kept, and
    passed on in its order then.
    """

    def __init__(self, link: Connection, side: Side, buffers: Buffers) -> None:
        self.link = link
        self.side = side
        self.transport: asyncio.Transport | None = None
        self.other: Leg  # set by the link before any byte flows
        self.at_end = False  # the peer sent FIN
        self.is_done = False  # and that was passed on
        self.lost = False
        self.blocked = False  # the peer takes no more for now
        self.discards = False  # the link is cut: what still comes goes nowhere
        self._holds = {"dial"}  # why the peer is not read; the first reason is gone once both legs are there
        self._early: _Early | None = _Early()  # until then
        self._buffers = buffers
        self.share = Share(link.account)
        self._held: memoryview | None = None  # the buffer of the other leg's read that is not sent yet

    # ---- called by asyncio ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)
        tune(transport.get_extra_info("socket"))
        # Not now: CPython 3.11.0 to 3.11.3 forget that this call has paused the transport (gh-103607).
        asyncio.get_running_loop().call_soon(self._made)

    def _made(self) -> None:
        assert self.transport is not None
        if self._holds and not self.lost:
            self.transport.pause_reading()
        self.link.leg_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        size = self.share.begin()
        buffers = self._buffers
        if size == FIRST_READ:
            return buffers.first
        return buffers.current if size == BUFFER_SIZE else buffers.current[:size]

    def buffer_updated(self, nbytes: int) -> None:
        if self._early is not None:
            self._keep(self._early, self._buffers.current[:nbytes])
            return
        share = self.share
        is_part_of_more = nbytes >= SPLICE_FROM or nbytes == share.size
        self.link.received(self, self._buffers.current[:nbytes])
        if is_part_of_more and (unread := min(self.link.unread(self), share.most - nbytes)) >= SPLICE_FROM:
            try:
                nbytes += self._splice(unread)
            except BaseException:
                self._buffers.close()  # what it may hold is this link's, and the next one would send it
                raise
        rest = share.used(nbytes)
        if rest:
            self.rest("share", rest)

    def eof_received(self) -> bool:
        if self.discards:
            self.at_end = True
            return False  # it has heard our end, and that was its own
        if self._early is not None:
            self._early.has_ended = True
        elif not self.at_end:  # asyncio says it again whenever reading has been paused since
            self.link.ended(self)
        self.at_end = True
        return True  # the other direction may still have something to say

    def pause_writing(self) -> None:
        self.blocked = True
        self._held = self._buffers.lend()
        self.other.hold("slow peer")

    def resume_writing(self) -> None:
        self.blocked = False
        self._release()
        self.other.let("slow peer")
        # Not now: a transport that is closed while it says this tells of its end twice (asyncio, _write_ready).
        asyncio.get_running_loop().call_soon(self.link.writable, self)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._release()
        if self._early is None:
            self.link.lost(self, error)
        else:
            self._early.is_lost, self._early.error = True, error
            if not self._early.data:  # nothing for the other leg to wait for
                self._drop_early()

    # ---- what comes early ----

    def _keep(self, early: _Early, data: memoryview) -> None:
        if self.discards:
            return
        early.data += data
        if len(early.data) > EARLY_BYTES:
            early.data.clear()
            self.link.flooded(self)
        elif self.transport is not None:
            pause_again(self.transport)

    def _drop_early(self) -> None:
        """The link will not begin: what came for it goes nowhere, as what its socket still holds."""
        early, self._early = self._early, None
        if early is not None and early.is_lost:
            asyncio.get_running_loop().call_soon(self.link.lost, self, early.error)

    # ---- called by the link ----

    @property
    def is_over(self) -> bool:
        """Whether the peer has gone, and nothing of it is left to pass on."""
        return self.lost and self._early is None

    def begin(self) -> None:
        """Both legs are there: pass on what came early, and read on."""
        early, self._early = self._early, None
        if early is not None:
            if early.data:
                self.link.received(self, memoryview(early.data))
            if early.has_ended and not self.discards:
                self.link.ended(self)
            if early.is_lost:
                self.link.lost(self, early.error)
        self.let("dial")

    def hold(self, why: str) -> None:
        """Do not read the peer. Several may want that; each lets go for itself."""
        if not self._holds and self.transport is not None and not self.lost:
            self.transport.pause_reading()
        self._holds.add(why)

    def let(self, why: str) -> None:
        """The reason is gone; with the last one, reading goes on."""
        if why in self._holds:
            self._holds.remove(why)
            if not self._holds and self.transport is not None and not self.lost:
                self.transport.resume_reading()

    def rest(self, why: str, within: float) -> None:
        """Read on in so many seconds."""
        self.hold(why)
        asyncio.get_running_loop().call_later(within, self.let, why)

    def let_all(self) -> None:
        """Read on, whatever the reasons were not to."""
        self._drop_early()
        for why in tuple(self._holds):
            self.let(why)

    def write(self, data: bytes | memoryview) -> None:
        """Send now, or as soon as the peer takes it. data may be of the current shared buffer."""
        if self.transport is None:
            self.link.nowhere(self, len(data))
        elif not self.transport.is_closing():  # else the peer is gone, or the link ends, and tells how
            self.transport.write(data)

    def write_eof(self) -> None:
        """Pass a FIN on, after everything before it."""
        if self.transport is not None and not self.transport.is_closing():
            with contextlib.suppress(OSError):  # the peer is gone already: connection_lost tells
                self.transport.write_eof()

    def close(self) -> None:
        """End after everything before it: with FIN, or with the kernel's RST if the peer sent what nobody read."""
        self._drop_early()
        if self.transport is not None:
            self.transport.close()

    def say_goodbye(self) -> None:
        """Send FIN behind everything before it, and read on until the peer's own: what it still sends, unread, would
        make the kernel send RST instead.
        """
        self.discards = True
        if self.at_end:
            self.close()
            return
        self.write_eof()
        self.let_all()

    @property
    def unsent(self) -> int:
        """Bytes that are still here or in the kernel, which an RST would lose."""
        if self.transport is None or self.lost:
            return 0
        sock = self.transport.get_extra_info("socket")
        return self.transport.get_write_buffer_size() + _unsent(sock)

    @property
    def hung_up(self) -> str:
        """How the peer ended, "" if it did not: "fin" or "reset"; seen also while it is not read."""
        if self.transport is None or self.lost:
            return "reset"
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), _FIN)
        found = poll.poll(0)
        if not found:
            return ""
        return "reset" if found[0][1] & select.POLLERR else "fin"

    def reset(self) -> None:
        """End with RST; what was not sent is lost, as it is when the peer's peer resets."""
        self._drop_early()
        if self.transport is None or self.lost:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    def abort(self) -> None:
        """End at once, whatever is unsent."""
        self._drop_early()
        if self.transport is not None:
            self.transport.abort()

    def _splice(self, most: float) -> int:
        """Let the kernel pass on what has come meanwhile, at most so many bytes, until the other peer takes no more.

        Returns how many bytes that were. Raises OSError if this peer's connection is broken; asyncio then ends it, as it
        does if its own reading fails.
        """
        assert self.transport is not None
        assert self.other.transport is not None
        source = self.transport.get_extra_info("socket").fileno()
        target = self.other.transport.get_extra_info("socket").fileno()
        passed = 0
        try:
            outlet, inlet = self._buffers.pipe
        except OSError:  # no file descriptors left
            return passed
        for _ in range(MAX_SPLICES):
            if self.other.blocked or self.other.transport.is_closing():
                break
            try:
                left = size = os.splice(source, inlet, int(min(PIPE_SIZE, most)))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in NO_SPLICE:
                    raise
                self.link.listener.splices = False
                break
            with contextlib.suppress(OSError):  # it takes no more, or is gone: its transport finds out which
                while left:
                    left -= os.splice(outlet, target, left)
            while left:
                data = os.read(outlet, left)
                left -= len(data)
                self.other.write(data)
            self.link.passed(self, size)
            passed += size
            most -= size
            if not size or most < SPLICE_FROM:  # its FIN, which asyncio reads again
                break
        return passed

    def _release(self) -> None:
        if self._held is not None:
            self._buffers.give_back(self._held)
            self._held = None


def pause_again(transport: asyncio.ReadTransport) -> None:
    """One that reads although it is paused would take being paused once more for nothing to do."""
    transport.resume_reading()
    transport.pause_reading()


def _unsent(sock: socket.socket) -> int:
    """Bytes that the peer's kernel has not acknowledged; 0 where the system does not say."""
    if not sys.platform.startswith("linux") or sock.family == socket.AF_UNIX:
        return 0
    answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


def tune(sock: socket.socket) -> None:
    """No delay for small writes, and a peer that vanished is noticed within two minutes if it owes us no ACK.

    Bytes on their way to it are sent again for as long as the kernel tries, a quarter of an hour on Linux; the servers'
    repl-timeout ends the link before. TCP_USER_TIMEOUT would be no help: it also ends the connection of a peer that is
    there and does not read for so long (seen on Linux 6.18), which the servers would have kept.
    """
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "darwin":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPALIVE, 60)
    else:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
