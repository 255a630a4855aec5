"""The file being filled: the packets of all connections on their way to the writer, and how much more may come.

Packets gather in memory (Gathering) and go to the writer's thread in blocks: when it has nothing to do, or when
GATHER_BYTES have come. Two limits say when a connection has to ask before it adds its bytes:

- the queue. When more than QUEUE_BYTES wait for the disk, bytes are left out until half of the queue has been written;
- the file. When the next bytes fill it, or its time is up, the next file begins. The event loop decides where, because
  only there all conversations stand after the same bytes as the packets: if possible between two commands.

Gathering.limit combines the two into one number, which the compiled path of a connection compares its bytes with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from tap.capture import pcapng
from tap.capture.packets import Blocks, TcpFlow
from tap.recorder.intake import Gathering
from tap.recorder.writer import Writer

QUEUE_BYTES = 32 * 2**20  # may wait for the disk, of all connections together
GATHER_BYTES = 640 * 1024  # go to the writer even if it is busy; with one more read of a connection, they fit into a MiB

REPLICA, MASTER = 0, 1  # sides as a TcpFlow numbers them


class PacketSource(Protocol):
    """A connection whose packets go into the file. comments: those for its next packet."""

    tcp: TcpFlow | None
    comments: list[str]

    def ask(self) -> None:
        """Note that a comment waits: the next bytes must not become a packet without it."""

    def settle(self, *, at_end: bool) -> None:
        """Report what has been left out so far."""

    def begin_file(self, out: Blocks, now: int, *, at_boundary: bool) -> None:
        """Write the connection's state to *out*; the next file begins with it."""


class Filling:
    """room: bytes that the queue can take beside those that may gather. sources: the connections that are recorded."""

    def __init__(
        self,
        sources: Callable[[], Iterable[PacketSource]],
        begun: Callable[[], None],
        troubled: Callable[[str], None],
        clock: Callable[[], int],
    ) -> None:
        """begun: called when the next file has begun. troubled: called once when the disk falls too far behind. clock:
        nanoseconds since the epoch.
        """
        self.clock = clock
        self.gathering = Gathering(self.pass_on)
        self.room = 0
        self._sources = sources
        self._begun = begun
        self._troubled = troubled
        self._loop = asyncio.get_running_loop()
        self._writer: Writer
        self._put = 0  # bytes given to the writer
        self._filed = 0  # of these, bytes for the current file
        self._is_full = False
        self._is_due = False  # the time of the current file is up
        self._comments: list[str] = []  # of the tap as a whole, for whichever packet comes next
        self._spoken: set[PacketSource] = set()  # sources with comments that wait for a packet
        self._last: PacketSource | None = None  # the source of the last packet, for the last comments

    def write_to(self, writer: Writer) -> None:
        """To be called once, before any source adds anything."""
        self._writer = writer

    @property
    def waiting(self) -> int:
        """Bytes of blocks that are not in a file yet."""
        return self._put + self.gathering.blocks.size - self._writer.taken

    @property
    def is_overrun(self) -> bool:
        """Whether not even a new connection is to be recorded: data stops at QUEUE_BYTES, the rest is connections."""
        return self.waiting > 2 * QUEUE_BYTES

    # ---- connections ask ----

    def is_full(self, more: int) -> bool:
        """Whether the disk is too far behind to take more bytes; then True until half of the queue is written."""
        if self._is_full:
            self._is_full = self.waiting > QUEUE_BYTES // 2
        elif self.waiting + more > QUEUE_BYTES:
            self._is_full = True
            self.room = 0
            self._troubled("the disk is slower than the links")
        return self._is_full

    def is_file_full(self, more: int) -> bool:
        """Whether the next file is due once these bytes are in this one."""
        return self._is_due or self._filed + self.gathering.blocks.size + more >= self._writer.full_at

    def packet(self, source: PacketSource, at: int, side: int, flags: int, data: bytes | memoryview = b"") -> None:
        """Add the source's next packet, with the comments that wait. at: nanoseconds since the epoch."""
        assert source.tcp is not None
        options = b""
        if self._comments or source.comments:
            options = pcapng.comments([*self._comments, *source.comments])
            self._comments.clear()
            source.comments.clear()
            self._spoken.discard(source)
        self._last = source
        gathered = source.tcp.write(self.gathering.blocks, at, side, flags, data, options)
        if self.gathering.wants or gathered >= GATHER_BYTES:
            self.pass_on()

    def say(self, source: PacketSource | None, comment: str) -> None:
        """Put a comment on the source's next packet; None: on the next packet of any source."""
        if source is None:
            self._comments.append(comment)
            self._set_limit()
            return
        source.comments.append(comment)
        source.ask()
        self._spoken.add(source)
        self._loop.call_soon(self._speak)  # unless the bytes that the comment is about come first

    def next_file(self, now: int, filled_by: PacketSource | None = None) -> None:
        """Begin the next file here. filled_by: the source of which only whole commands have been added."""
        for source in self._sources():
            source.settle(at_end=False)
        self._speak()
        self.pass_on()
        head = self._writer.blocks()
        for source in self._sources():
            source.begin_file(head, now, at_boundary=source is filled_by)
        self._is_due = False
        self._begun()
        self._filed = head.size
        self._writer.next_file(head)
        self._set_limit()

    # ---- the recorder asks ----

    def file_is_due(self) -> None:
        """Let the next bytes begin another file, however small the current one is."""
        self._is_due = True
        self._set_limit()

    def file_goes_on(self) -> None:
        """Continue the current file: the next one could not be made."""
        self._is_due = False

    def finish(self) -> None:
        """Give everything to the writer, the last comments included."""
        self.speak_for_all()
        self._speak()
        self.pass_on()

    def speak_for_all(self) -> None:
        """Make a packet for the comments that wait for the next one of any source."""
        if self._comments and self._last is not None:
            self.packet(self._last, self.clock(), REPLICA, 0)

    def pass_on(self) -> None:
        """Give the writer what has gathered."""
        blocks = self.gathering.blocks
        if blocks.size:
            self.gathering.blocks = self._writer.blocks()
            self._put += blocks.size
            self._filed += blocks.size
            self._writer.put(blocks)
        if not self._is_full:
            self.room = QUEUE_BYTES - GATHER_BYTES - self.waiting
        self._set_limit()

    def _speak(self) -> None:
        """Make packets for the comments that still wait for one."""
        while self._spoken:
            source = self._spoken.pop()
            if source.tcp is not None:
                self.packet(source, self.clock(), REPLICA, 0)

    def _set_limit(self) -> None:
        """Set how much may gather before a connection has to ask."""
        if self._comments or self.room < GATHER_BYTES or self.is_file_full(0):
            self.gathering.limit = 0
        else:
            self.gathering.limit = int(min(GATHER_BYTES, self._writer.full_at - self._filed))
