"""One socket of a connection: it reads for the other leg, and writes what the other leg has read.

Backpressure. A leg that cannot write everything at once pauses the reading of the other leg until its peer has taken the
rest. So each direction holds at most one buffer, or one pipeful, and a slow replica slows its master down as it would
without a tap, up to the master's client-output-buffer-limit. That is what users come to test.

Reasons not to read. Several parts may want a peer not to be read, independently of each other: the dial that is not done,
a slow peer, a fault, the share of the thread, a cut. Each reason is held by name, and reading goes on when the last one
is gone. A boolean would let the first to end its wait overrule the others.

Half-close. FIN ends one direction only. A replica that has sent FIN still takes what its master sends, so the two
directions end separately: a FIN from the peer is passed on after everything before it, the other direction stays open,
and the leg closes when both have ended. A leg that says goodbye first sends FIN, then reads and discards until the peer
sends FIN as well, because close() with unread bytes makes the kernel send RST, which destroys what the peer has not read.

Before the beginning. A replica usually speaks before its master is dialled. Its bytes stay in the kernel, since the leg
does not read; but CPython 3.11.0 to 3.11.3 lose the first pause (gh-103607), and other event loops may ignore it. So
what arrives early, bytes, FIN or a lost socket, is kept and replayed in its order by begin().

The fast path past this process: if nobody needs the bytes, splice() moves them from socket to socket inside the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from dataclasses import dataclass, field
from typing import Protocol

from tap.relay.buffers import PIPE_SIZE, Buffers
from tap.relay.share import BUFFER_SIZE, FIRST_READ, LegShare, LinkAccount
from tap.relay.sockets import hung_up, reset_on_close, tune, unacknowledged, unread
from tap.replication.events import Side

# A read of this size is probably part of more. If nobody needs to see the rest, the kernel moves it from one socket to
# the other through a pipe, for half the processor time of copying it. Smaller reads cost less without a pipe.
SPLICE_FROM = 64 * 1024
# A master that generates an RDB on the fly writes it in many small pieces, each of which would cost this process a turn
# of its loop. An RDB can wait a moment for more; a stream, where each command counts, is forwarded as it comes.
REST_SECONDS = 0.001
MAX_SPLICES = 4  # pipefuls in one turn; then other connections have theirs
# Said by a system that does not allow splice (WSL 1, a sandbox's seccomp filter), not by a peer.
NO_SPLICE = (errno.ENOSYS, errno.EPERM, errno.EINVAL)

EARLY_BYTES = 2 * BUFFER_SIZE  # from a peer that is not read; only an event loop that cannot pause exceeds them


class LegOwner(Protocol):
    """What owns a leg: a connection. The leg calls it, and knows nothing else of it."""

    account: LinkAccount  # of the thread's time, shared by both legs

    @property
    def is_known(self) -> bool:
        """Whether the replica's address has synced through this tap before; such addresses take precedence."""

    def leg_made(self, leg: Leg) -> None:
        """The leg has its socket."""

    def received(self, leg: Leg, data: memoryview) -> None:
        """The peer's next bytes. The buffer is used again once this returns."""

    def unread(self, leg: Leg) -> float:
        """The number of next bytes from the leg's peer that need not be read: the kernel may move them."""

    def passed(self, leg: Leg, size: int) -> None:
        """That many of these have been moved."""

    def cannot_splice(self) -> None:
        """The system does not let the kernel move bytes from socket to socket."""

    def ended(self, leg: Leg) -> None:
        """The peer has sent FIN."""

    def lost(self, leg: Leg, error: Exception | None) -> None:
        """The socket is gone. error: why; None after an orderly end."""

    def writable(self, leg: Leg) -> None:
        """The peer takes bytes again."""

    def nowhere(self, leg: Leg, size: int) -> None:
        """Bytes for a leg that has no socket."""

    def flooded(self, leg: Leg) -> None:
        """The transport reads on although it is paused, and the other leg is not there."""


@dataclass(slots=True)
class _Early:
    """What came from a leg's peer before the other leg was there.

    has_ended: the peer sent FIN. is_lost: the socket is gone; error: why.
    """

    data: bytearray = field(default_factory=bytearray)
    has_ended: bool = False
    is_lost: bool = False
    error: Exception | None = None


class Leg(asyncio.BufferedProtocol):
    """One socket of a connection: the protocol of its transport.

    side: whose socket it is. lost: the socket is gone.
    """

    def __init__(self, owner: LegOwner, side: Side, buffers: Buffers) -> None:
        self.owner = owner
        self.side = side
        self.transport: asyncio.Transport | None = None
        self.other: Leg  # set by the owner before any byte flows
        self.at_end = False  # the peer sent FIN
        self.is_done = False  # and its FIN was passed on
        self.lost = False
        self.heard: float | None = None  # loop time of the peer's last byte, set by the owner
        self.blocked = False  # the peer takes no more for now
        self.discards = False  # the connection is cut: what still comes is thrown away
        self._holds = {"dial"}  # reasons not to read the peer; begin() removes the first one
        self._early: _Early | None = _Early()  # until begin()
        self._buffers = buffers
        self.share = LegShare(owner.account)
        self._held: memoryview | None = None  # the buffer of the other leg's read, while not all of it is sent

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
        self.owner.leg_made(self)

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
        self.owner.received(self, self._buffers.current[:nbytes])
        if is_part_of_more and (unread := min(self.owner.unread(self), share.most - nbytes)) >= SPLICE_FROM:
            try:
                nbytes += self._splice(unread)
            except BaseException:
                self._buffers.close()  # the pipe may hold bytes, which the next connection would send
                raise
        rest = share.used(nbytes)
        if rest:
            self.rest("share", rest)

    def eof_received(self) -> bool:
        if self.discards:
            self.at_end = True
            return False  # our FIN came first, and this is the answer
        if self._early is not None:
            self._early.has_ended = True
        elif not self.at_end:  # asyncio repeats it whenever reading has been paused since
            self.owner.ended(self)
        self.at_end = True
        return True  # half-close: the other direction stays open

    def pause_writing(self) -> None:
        self.blocked = True
        self._held = self._buffers.lend()
        self.other.hold("slow peer")

    def resume_writing(self) -> None:
        self.blocked = False
        self._release()
        self.other.let("slow peer")
        # Not now: a transport that is closed during this call reports its end twice (asyncio, _write_ready).
        asyncio.get_running_loop().call_soon(self.owner.writable, self)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._release()
        if self._early is None:
            self.owner.lost(self, error)
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
            self.owner.flooded(self)
        elif self.transport is not None:
            pause_again(self.transport)

    def _drop_early(self) -> None:
        """Forget what came early: the connection will not begin."""
        early, self._early = self._early, None
        if early is not None and early.is_lost:
            asyncio.get_running_loop().call_soon(self.owner.lost, self, early.error)

    # ---- called by the owner ----

    @property
    def is_over(self) -> bool:
        """Whether the socket is gone, and nothing from it is left to forward."""
        return self.lost and self._early is None

    def begin(self) -> None:
        """Both legs are there: forward what came early, and read on."""
        early, self._early = self._early, None
        if early is not None:
            if early.data:
                self.owner.received(self, memoryview(early.data))
            if early.has_ended and not self.discards:
                self.owner.ended(self)
            if early.is_lost:
                self.owner.lost(self, early.error)
        self.let("dial")

    def hold(self, why: str) -> None:
        """Do not read the peer, for this reason. See let()."""
        if not self._holds and self.transport is not None and not self.lost:
            self.transport.pause_reading()
        self._holds.add(why)

    def let(self, why: str) -> None:
        """The reason is gone. With the last one, reading goes on."""
        if why in self._holds:
            self._holds.remove(why)
            if not self._holds and self.transport is not None and not self.lost:
                self.transport.resume_reading()

    def rest(self, why: str, within: float) -> None:
        """Read on after *within* seconds."""
        self.hold(why)
        asyncio.get_running_loop().call_later(within, self.let, why)

    def let_all(self) -> None:
        """Read on, for whatever reasons the peer was not read."""
        self._drop_early()
        for why in tuple(self._holds):
            self.let(why)

    def write(self, data: bytes | memoryview) -> None:
        """Send now, or as soon as the peer takes it. data may be part of the current shared buffer."""
        if self.transport is None:
            self.owner.nowhere(self, len(data))
        elif not self.transport.is_closing():  # else the peer is gone, or the connection ends; lost() follows
            self.transport.write(data)

    def write_eof(self) -> None:
        """Send FIN, after everything before it."""
        if self.transport is not None and not self.transport.is_closing():
            with contextlib.suppress(OSError):  # the peer is gone already: connection_lost() follows
                self.transport.write_eof()

    def close(self) -> None:
        """Close after everything before it: with FIN, or with RST from the kernel if bytes of the peer are unread."""
        self._drop_early()
        if self.transport is not None:
            self.transport.close()

    def say_goodbye(self) -> None:
        """Send FIN after everything before it, then read and discard until the peer sends its own.

        Unread bytes would make the kernel send RST in its place.
        """
        self.discards = True
        if self.at_end:
            self.close()
            return
        self.write_eof()
        self.let_all()

    @property
    def unsent(self) -> int:
        """Bytes that wait here or in the kernel, which RST would destroy."""
        if self.transport is None or self.lost:
            return 0
        sock = self.transport.get_extra_info("socket")
        return self.transport.get_write_buffer_size() + unacknowledged(sock)

    @property
    def waiting(self) -> int:
        """Bytes of the peer that the system holds, on the wire."""
        if self.transport is None or self.lost or self.transport.is_closing():
            return 0
        return unread(self.transport.get_extra_info("socket"))

    @property
    def hung_up(self) -> str:
        """How the peer ended, even if it is not read: "fin", "reset", or "" if it has not."""
        if self.transport is None or self.lost:
            return "reset"
        return hung_up(self.transport.get_extra_info("socket"))

    def reset(self) -> None:
        """End with RST. Unsent bytes are lost, as they are when the peer's peer resets."""
        self._drop_early()
        if self.transport is None or self.lost:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            reset_on_close(sock)
        self.transport.abort()

    def abort(self) -> None:
        """End at once, even with unsent bytes."""
        self._drop_early()
        if self.transport is not None:
            self.transport.abort()

    def _splice(self, most: float) -> int:
        """Let the kernel move what has come meanwhile, at most *most* bytes, until the other peer takes no more.

        Returns how many bytes it moved. Raises OSError if this peer's connection is broken; asyncio then ends the leg, as
        it does if its own reading fails.
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
                self.owner.cannot_splice()
                break
            with contextlib.suppress(OSError):  # the other peer takes no more or is gone: its transport finds out which
                while left:
                    left -= os.splice(outlet, target, left)
            while left:
                data = os.read(outlet, left)
                left -= len(data)
                self.other.write(data)
            self.owner.passed(self, size)
            passed += size
            most -= size
            if not size or most < SPLICE_FROM:  # FIN, which asyncio reads again
                break
        return passed

    def _release(self) -> None:
        if self._held is not None:
            self._buffers.give_back(self._held)
            self._held = None


def pause_again(transport: asyncio.ReadTransport) -> None:
    """Pause a transport that reads although it believes it is paused: another pause_reading() alone would do nothing."""
    transport.resume_reading()
    transport.pause_reading()
