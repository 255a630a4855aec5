"""Writes what the links of a tap receive to a pcapng file, in a thread of its own.

Each link is one TCP connection from the replica to its master, with the addresses that they really have; what is worth
keeping of the events stands in packet comments, as the JSON of `--ui json`. The event loop only copies bytes into a
bounded queue. When the disk cannot follow, bytes are left out, and the recording says which.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tap.bus import Bus, Told
from tap.errors import ConfigError, EnvironmentFailure, words
from tap.recording import pcapng
from tap.recording.masks import Masker
from tap.recording.segments import FIN, MAX_DATA, PUSH, RST, SYN, Endpoint, Flow
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Side

Sync = Literal["none", "interval", "always"]

QUEUE_BYTES = 32 * 2**20  # that may wait for the disk, for all links together
ITEM_BYTES = 300  # that an item takes besides its data
BATCH_BYTES = 2**20  # that are written at once
# The thread looks that often by itself: to wake it for each read of a link would have the two fight for the interpreter.
POLL_SECONDS = 0.02
WAKE_BYTES = 2 * 2**20
SYNC_SECONDS = 1.0
RETRY_SECONDS = 0.5  # after which a disk that took nothing is tried again
CLOSE_SECONDS = 3.0  # for what still waits at the end

KEPT = (
    events.LinkOpened,
    events.Secured,
    events.LinkClosed,
    events.FullResync,
    events.PartialResync,
    events.ResyncRefused,
    events.RdbProblem,
    events.Opaque,
    events.FaultArmed,
    events.FaultFired,
    events.FaultExpired,
    events.RecordingStopped,
    events.RecordingGap,
)
REPLICA, MASTER = 0, 1  # sides as a Flow numbers them
_SIDES = {Side.REPLICA: REPLICA, Side.MASTER: MASTER}
_NAMES = (Side.REPLICA, Side.MASTER)


@dataclass(slots=True)
class _Data:
    flow: _Recorded
    side: int
    time: int
    data: bytes
    position: int  # of its first byte in the side's bytes


@dataclass(slots=True)
class _Skipped:
    """Bytes of a side that are not kept. lost: and should have been."""

    flow: _Recorded
    side: int
    count: int
    lost: bool


@dataclass(slots=True)
class _Said:
    flow: _Recorded | None
    time: int
    comment: str


@dataclass(slots=True)
class _Dialled:
    flow: _Recorded
    time: int
    master: tuple[str, int]


@dataclass(slots=True)
class _Ended:
    flow: _Recorded
    time: int
    side: int
    flag: int


@dataclass(slots=True)
class _Closed:
    flow: _Recorded
    time: int
    is_reset: bool


_Item = _Data | _Skipped | _Said | _Dialled | _Ended | _Closed


class _Recorded:
    """One link in the recording. The first part belongs to the event loop, the second to the writing thread."""

    def __init__(
        self, recorder: Recorder, link: str, conversation: Conversation, replica: tuple[str, int], tap: tuple[str, int]
    ) -> None:
        self.conversation = conversation
        self.link = link
        self._recorder = recorder
        self._received = [0, 0]
        self._gaps: list[int | None] = [None, None]  # where the bytes begin that are being left out
        self._omitted: tuple[int, int] | None = None  # of the RDB, on demand

        self.opened = time.time_ns()
        self.replica = replica
        self.tap = tap
        self.tcp: Flow | None = None
        self.masker = Masker()
        self.comments: list[str] = []  # for its next packet
        self.is_ended = [False, False]

    # ---- the relay calls ----

    def dialled(self, master: tuple[str, int] | None) -> None:
        self._recorder.put(_Dialled(self, time.time_ns(), master or self.tap))

    def received(self, side: Side, data: memoryview) -> None:
        number = _SIDES[side]
        begin = self._received[number]
        end = self._received[number] = begin + len(data)
        recorder = self._recorder
        if recorder.is_full(len(data)):
            if self._gaps[number] is None:
                self._tell_omitted()
                self._gaps[number] = begin
            return
        self._tell_gap(number, begin)
        if recorder.without_rdb and number == MASTER:
            self._received_but_rdb(data, begin, end)
        else:
            recorder.put(_Data(self, number, time.time_ns(), bytes(data), begin), len(data))

    def ended(self, side: Side, how: str) -> None:
        self._recorder.put(_Ended(self, time.time_ns(), _SIDES[side], FIN if how == "fin" else RST))

    # ---- what is left out ----

    def settle(self) -> None:
        """Nothing more comes: tell what was left out until now."""
        for number in (REPLICA, MASTER):
            self._tell_gap(number, self._received[number])
        self._tell_omitted()

    def _received_but_rdb(self, data: memoryview, begin: int, end: int) -> None:
        conversation = self.conversation
        rdb_start = conversation.rdb_start
        first = end if rdb_start is None else min(max(rdb_start, begin), end)
        last = end if conversation.rdb_end is None else min(max(conversation.rdb_end, first), end)
        now = time.time_ns()
        if first > begin:
            self._tell_omitted()
            self._recorder.put(_Data(self, MASTER, now, bytes(data[: first - begin]), begin), first - begin)
        if last > first:
            start = first if self._omitted is None else self._omitted[0]
            self._omitted = start, last
        if end > last:
            self._tell_omitted()
            self._recorder.put(_Data(self, MASTER, now, bytes(data[last - begin :]), last), end - last)

    def _tell_omitted(self) -> None:
        """Say it once the last byte left out is known."""
        if self._omitted is None:
            return
        start, end = self._omitted
        self._omitted = None
        self._recorder.put(_Skipped(self, MASTER, end - start, lost=False))
        comment = json.dumps({"event": "rdb_omitted", "start": start, "end": end}, separators=(",", ":"))
        self._recorder.put(_Said(self, time.time_ns(), comment))

    def _tell_gap(self, number: int, end: int) -> None:
        start = self._gaps[number]
        if start is not None:
            self._gaps[number] = None
            self._recorder.put(_Skipped(self, number, end - start, lost=True))
            self._recorder.tell(self, self.gap(number, start, end))

    def gap(self, number: int, start: int, end: int) -> Event:
        """The event for these bytes of a side."""
        stream = self.conversation.stream
        offsets: list[int | None] = [None, None]
        if number == MASTER and stream is not None and stream.base is not None and end > stream.start:
            offsets = [stream.base + max(0, position - stream.start) for position in (start, end)]
        return events.RecordingGap(
            start=start, end=end, side=_NAMES[number], bytes=end - start, from_offset=offsets[0], to_offset=offsets[1]
        )


class Recorder:
    """A tap.relay.sink.Sink, and an observer of the bus. lost_bytes: that are not in the recording and should be."""

    def __init__(self, path: Path, bus: Bus, *, sync: Sync = "interval", without_rdb: bool = False) -> None:
        self.path = path
        self.without_rdb = without_rdb
        self.lost_bytes = 0
        self.trouble = ""  # what came in the way, the first time
        self._bus = bus
        self._sync = sync
        self._flows: dict[int, _Recorded] = {}
        self._unsubscribe: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Each counter has one writer: the loop, and the thread.
        self._put = 0
        self._taken = 0
        self._is_full = False
        self._queue: deque[tuple[_Item, int]] = deque()
        self._wake = threading.Event()
        self._closing_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._unwritten: list[tuple[_Item, int]] = []
        self._file = -1
        self._size = 0  # of the whole blocks in the file
        self._synced = 0
        self._sync_at = 0.0
        self._stopped = False  # the disk does not take it
        self._comments: list[str] = []  # of the whole tap, for whichever packet comes next

    # ---- the life of a recording ----

    def open(self) -> None:
        """Make the file; to be called in the event loop.

        Raises ConfigError if it is there already, EnvironmentFailure if it cannot be made.
        """
        self._loop = asyncio.get_running_loop()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._file = os.open(self.path, flags, 0o600)
            heading = pcapng.heading("redis-tap")
            self._size = os.write(self._file, heading)
        except FileExistsError:
            raise ConfigError(
                f"{self.path} is there already; a recording writes over nothing, give it another name"
            ) from None
        except OSError as error:
            raise EnvironmentFailure(f"{self.path}: cannot record: {words(error)}") from None
        self._unsubscribe = self._bus.subscribe(self)
        self._thread.start()

    async def close(self) -> None:
        """Write what waits, for some seconds at most; what the disk does not take by then is told as lost."""
        self._unsubscribe()
        if not self._thread.is_alive():
            return
        self._closing_at = time.monotonic() + CLOSE_SECONDS
        self._wake.set()
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS + 1)
        left = [*self._unwritten, *self._queue]
        for item, _ in left:
            if isinstance(item, _Data):
                self.tell(item.flow, item.flow.gap(item.side, item.position, item.position + len(item.data)))
        if left and not self.trouble:
            self._trouble("the disk did not take it in time")

    def discard(self) -> None:
        """Behind close(): the tap never ran, so the name is free again."""
        self.path.unlink(missing_ok=True)

    # ---- the relay and the bus call, in the event loop ----

    def opened(self, link: str, conversation: Conversation, replica: tuple[str, int], tap: tuple[str, int]) -> _Recorded:
        recorded = _Recorded(self, link, conversation, replica, tap)
        self._flows[conversation.connection] = recorded
        return recorded

    def __call__(self, told: Told) -> None:
        event = told.event
        if not isinstance(event, KEPT):
            return
        flow = self._flows.get(told.connection)
        closed = event if isinstance(event, events.LinkClosed) else None
        if flow is not None and closed is not None:
            flow.settle()
        comment = json.dumps(told.as_dict(), ensure_ascii=False, separators=(",", ":"))
        self.put(_Said(flow, int(told.time * 1e9), comment))
        if flow is not None and closed is not None:
            self.put(_Closed(flow, time.time_ns(), closed.how != "fin"))
            del self._flows[told.connection]

    def is_full(self, more: int) -> bool:
        """Whether the disk is too far behind to take more bytes; once it is, until half of them are written."""
        waiting = self._put - self._taken
        if self._is_full:
            self._is_full = waiting > QUEUE_BYTES // 2
        elif waiting + more > QUEUE_BYTES:
            self._is_full = True
            self._trouble("the disk is slower than the links")
        return self._is_full

    def put(self, item: _Item, size: int = 0) -> None:
        self._put += size + ITEM_BYTES
        self._queue.append((item, size + ITEM_BYTES))
        if self._put - self._taken > WAKE_BYTES:
            self._wake.set()

    def tell(self, flow: _Recorded, event: Event) -> None:
        if isinstance(event, events.RecordingGap):
            self.lost_bytes += event.bytes
        conversation = flow.conversation
        self._bus.publish(flow.link, conversation.connection, conversation.replica, event)

    def _trouble(self, text: str) -> None:
        self.trouble = self.trouble or text
        self._bus.publish("", 0, "", events.RecordingStopped(text=text))

    # ---- the thread ----

    def _run(self) -> None:
        try:
            while True:
                closing = self._closing_at is not None
                if not self._write_batch() and closing:
                    break
                if self._put - self._taken <= WAKE_BYTES and not closing:
                    self._wake.wait(POLL_SECONDS)
                    self._wake.clear()
                if closing and self._unwritten:
                    break
        finally:
            with contextlib.suppress(OSError):  # told before, by the write
                self._flush(at_last=True)
            os.close(self._file)

    def _write_batch(self) -> bool:
        """Write some of what waits. Returns whether there was any."""
        size = 0
        batch = self._unwritten
        while self._queue and size < BATCH_BYTES:
            item = self._queue.popleft()
            batch.append(item)
            size += item[1]
        if not batch:
            self._flush()
            return False
        blocks = self._packed([item for item, _ in batch])
        while not self._write(blocks):
            if self._closing_at is not None and time.monotonic() > self._closing_at - CLOSE_SECONDS / 2:
                return True
            self._wake.wait(RETRY_SECONDS)
            self._wake.clear()
        self._unwritten = []
        self._taken += sum(one for _, one in batch)
        self._flush()
        return True

    def _write(self, data: bytes) -> bool:
        """All of it, or nothing: a block that is cut off is taken back."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self._failed(error)
            with contextlib.suppress(OSError):  # then the reader tells the cut block from a whole one
                os.ftruncate(self._file, self._size)
            return False
        self._size += len(data)
        self._stopped = False
        return True

    def _flush(self, *, at_last: bool = False) -> None:
        if self._sync == "none" or self._synced == self._size:
            return
        now = time.monotonic()
        if self._sync == "always" or at_last or now >= self._sync_at:
            self._sync_at = now + SYNC_SECONDS
            self._synced = self._size
            try:
                os.fsync(self._file)
            except OSError as error:
                self._failed(error)

    def _failed(self, error: OSError) -> None:
        if not self._stopped:
            self._stopped = True
            self._in_loop(lambda: self._trouble(words(error)))

    def _in_loop(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is there to be told
            self._loop.call_soon_threadsafe(call)

    # ---- packets ----

    def _packed(self, items: Sequence[_Item]) -> bytes:
        out: list[Any] = []
        spoken: dict[_Recorded, int] = {}  # flows with comments that wait for a packet
        for item in items:
            if isinstance(item, _Data):
                self._pack_data(out, item)
            elif isinstance(item, _Said):
                if item.flow is None:
                    self._comments.append(item.comment)
                else:
                    item.flow.comments.append(item.comment)
                    spoken[item.flow] = item.time
            elif isinstance(item, _Skipped):
                if item.lost and item.side == REPLICA:
                    item.flow.masker.lost()
                if item.flow.tcp is not None:
                    item.flow.tcp.skip(item.side, item.count)
            elif isinstance(item, _Dialled):
                self._open(out, item.flow, item.time, item.master)
            elif isinstance(item, _Ended):
                self._end(out, item.flow, item.time, item.side, item.flag)
            else:
                self._close(out, item)
        for flow, at in spoken.items():
            if flow.comments and flow.tcp is not None:
                self._pack(out, flow, at, REPLICA, 0)
        return b"".join(out)

    def _pack(
        self, out: list[Any], flow: _Recorded, at: int, side: int, flags: int, data: bytes | memoryview = b""
    ) -> None:
        assert flow.tcp is not None
        comments = [*self._comments, *flow.comments]
        self._comments.clear()
        flow.comments.clear()
        parts, size = flow.tcp.packet(side, flags, data)
        out += pcapng.packet(at, parts, size, comments)

    def _pack_data(self, out: list[Any], item: _Data) -> None:
        data = item.data if item.side == MASTER else item.flow.masker.mask(item.data)
        view = memoryview(data)
        for begin in range(0, len(view), MAX_DATA):
            self._pack(out, item.flow, item.time, item.side, PUSH, view[begin : begin + MAX_DATA])

    def _open(self, out: list[Any], flow: _Recorded, at: int, master: tuple[str, int]) -> None:
        first = at // 1000  # as a clock that runs in microseconds gives them, RFC 9293, 3.4.1
        flow.tcp = Flow(Endpoint(*flow.replica), Endpoint(*master), (first, first + 0x40000000))
        self._pack(out, flow, flow.opened, REPLICA, SYN)
        self._pack(out, flow, at, MASTER, SYN)
        self._pack(out, flow, at, REPLICA, 0)

    def _end(self, out: list[Any], flow: _Recorded, at: int, side: int, flag: int) -> None:
        if flow.tcp is None or flow.is_ended[side]:
            return
        self._pack(out, flow, at, side, flag)
        flow.is_ended[side] = True
        if flag == RST:
            flow.is_ended = [True, True]

    def _close(self, out: list[Any], item: _Closed) -> None:
        """What neither side has said of the end, the tap has."""
        flow = item.flow
        if flow.tcp is None:  # there never was a master
            first = item.time // 1000
            flow.tcp = Flow(Endpoint(*flow.replica), Endpoint(*flow.tap), (first, first + 0x40000000))
            self._pack(out, flow, flow.opened, REPLICA, SYN)
            item.is_reset = True
        if item.is_reset:
            self._end(out, flow, item.time, MASTER, RST)
        for side in (REPLICA, MASTER):
            self._end(out, flow, item.time, side, FIN)
        if flow.comments:
            self._pack(out, flow, item.time, REPLICA, 0)
