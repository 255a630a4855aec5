"""Writes what the links of a tap receive to a pcapng file, in a thread of its own.

Each link is one TCP connection from the replica to its master, with the addresses that they really have; what is worth
keeping of the events stands in packet comments, as the JSON of `--ui json`. The event loop only copies bytes into a
bounded queue. When the disk cannot follow, bytes are left out, and the recording says which.

When a file is full the event loop decides where the next one begins, for only there all conversations stand behind the
same bytes as the queue: if it can be, between two commands of the link that filled it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tap.bus import Bus, Told
from tap.errors import ConfigError, EnvironmentFailure, words
from tap.recording import pcapng
from tap.recording.grammars import Redact
from tap.recording.masks import Masker
from tap.recording.output import Output, sync_directory
from tap.recording.packets import Blocks, Flow
from tap.recording.redaction import Redaction
from tap.recording.rotation import Rotation, is_rotation
from tap.recording.segments import FIN, PUSH, RST, SYN, Endpoint
from tap.recording.state import LinkState, as_comment
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Side
from tap.replication.standing import Standing
from tap.units import Limits

Sync = Literal["none", "interval", "always"]

QUEUE_BYTES = 32 * 2**20  # that may wait for the disk, for all links together
ITEM_BYTES = 300  # that an item takes besides its data
BATCH_BYTES = 2**20  # that are written at once
# The thread looks that often by itself: to wake it for each read of a link would have the two fight for the interpreter.
POLL_SECONDS = 0.02
# While something comes: what has gathered takes the interpreter from the loop, and a hundred packets are a quarter of a
# millisecond of it, which a client's WAIT shows.
BUSY_POLL_SECONDS = 0.002
WAKE_BYTES = 2 * 2**20
SYNC_SECONDS = 1.0
RETRY_SECONDS = 0.5  # after which a disk that took nothing is tried again
CLOSE_SECONDS = 3.0  # for what still waits at the end
NEXT_RETRY_SECONDS = 10.0  # after which a next file that could not be made is tried again
MAX_BEGINNING = 2**16  # bytes of a handshake that are kept, to stand in the next file, too

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
_REPLICA = Side.REPLICA
_SIDES = {Side.REPLICA: REPLICA, Side.MASTER: MASTER}
_NAMES = (Side.REPLICA, Side.MASTER)


@dataclass(slots=True)
class _Data:
    flow: _Recorded
    side: int
    time: int
    data: bytes
    position: int  # of its first byte in the side's bytes
    hide: bool = False  # nothing of it may be left


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


@dataclass(slots=True)
class _NextFile:
    """What comes behind this goes to the next file, which begins with these: a flow, its state, its bytes until now."""

    time: int
    links: list[tuple[_Recorded, LinkState, list[_Data]]]


_Item = _Data | _Skipped | _Said | _Dialled | _Ended | _Closed | _NextFile


class _Recorded:
    """One link in the recording. The first part belongs to the event loop, the second to the writing thread."""

    def __init__(
        self, recorder: Recorder, link: str, conversation: Conversation, replica: tuple[str, int], tap: tuple[str, int]
    ) -> None:
        self.conversation = conversation
        self.link = link
        self._recorder = recorder
        self._keeps_all = not (recorder.rotates or recorder.without_rdb)  # in one file, whatever it is
        self._received = [0, 0]
        self._gaps: list[int | None] = [None, None]  # where the bytes begin that are being left out
        self._omitted: tuple[int, int] | None = None  # of the RDB, on demand
        self._is_dialled = False
        # All until now, while it can only be understood from its first byte on.
        self._beginning: list[_Data] | None = [] if recorder.rotates else None
        self._beginning_bytes = 0
        self._said: list[Told] = []  # meanwhile, of resyncs
        self._secured: list[Told] = []  # of each leg that speaks TLS
        self._link_opened: events.LinkOpened

        self.opened = time.time_ns()
        self.replica = replica
        self.tap = tap
        self.master = tap
        self.dialled_at = 0
        self.tcp: Flow | None = None
        self.masker = Masker(strictly=recorder.redaction is not None)
        self.redaction = None if recorder.redaction is None else recorder.redaction.of(conversation)
        self.comments: list[str] = []  # for its next packet
        self.is_ended = [False, False]

    def new_tcp(self) -> Flow:
        """With the numbers of before, if there was one."""
        first = self.dialled_at // 1000  # as a clock that runs in microseconds gives them, RFC 9293, 3.4.1
        return Flow(Endpoint(*self.replica), Endpoint(*self.master), (first, first + 0x40000000))

    def begin_again(self) -> None:
        """The bytes of the handshake come once more."""
        self.tcp = self.new_tcp()
        self.tcp.open()
        self.masker = Masker(strictly=self.redaction is not None)
        if self.redaction is not None:
            self.redaction.begin_again()

    # ---- the relay calls ----

    def dialled(self, master: tuple[str, int] | None) -> None:
        self._is_dialled = True
        self._recorder.put(_Dialled(self, time.time_ns(), master or self.tap))

    def received(self, side: Side, data: memoryview) -> None:
        number = REPLICA if side is _REPLICA else MASTER
        begin, size = self._received[number], len(data)
        end = self._received[number] = begin + size
        recorder = self._recorder
        if recorder.is_full(size):
            self._beginning = None
            if self._gaps[number] is None:
                self._tell_omitted()
                self._gaps[number] = begin
                if self.redaction is not None and number == MASTER:
                    self.redaction.lost()
            return
        if self._gaps[number] is not None:
            self._tell_gap(number, begin)
        if self._keeps_all:
            recorder.put(_Data(self, number, time.time_ns(), bytes(data), begin), size)
        elif recorder.without_rdb and number == MASTER:
            self._received_but_rdb(data, begin, end)
        else:
            self._keep(number, data, begin)

    def _keep(self, number: int, data: memoryview, begin: int, *, may_end_file: bool = True) -> None:
        """Put them into the file, or some of them into this one and the rest into the next.

        may_end_file: the conversation stands behind these bytes.
        """
        recorder, now, hidden = self._recorder, time.time_ns(), 0
        is_full = may_end_file and recorder.is_file_full(len(data))
        if self.redaction is not None and number == MASTER:
            hidden = self.redaction.hidden(begin, begin + len(data)) - begin
            if hidden:
                self._put(_Data(self, number, now, bytes(data[:hidden]), begin, hide=True))
        boundary = self._boundary - begin if is_full and number == MASTER else 0
        if hidden < boundary < len(data):
            self._put(_Data(self, number, now, bytes(data[hidden:boundary]), begin + hidden))
            recorder.next_file(now, self)
            self._put(_Data(self, number, now, bytes(data[boundary:]), begin + boundary))
            return
        if hidden < len(data):
            self._put(_Data(self, number, now, bytes(data[hidden:]), begin + hidden))
        if is_full:
            recorder.next_file(now)

    def _put(self, item: _Data) -> None:
        if self._beginning is not None:
            self._keep_beginning(item)
        self._recorder.put(item, len(item.data))

    @property
    def _boundary(self) -> int:
        """The position behind the master's last whole command; 0 where there is none."""
        stream = self.conversation.stream
        return 0 if stream is None or stream.scanner.broken else stream.start + stream.scanner.boundary

    def _keep_beginning(self, item: _Data) -> None:
        assert self._beginning is not None
        self._beginning_bytes += len(item.data)
        if self._beginning_bytes <= MAX_BEGINNING and self.conversation.is_beginning:
            self._beginning.append(item)
            return
        self._beginning = None
        self._said.clear()
        stream = self.conversation.stream
        if stream is not None and stream.scanner.db_at(0) is not None:
            comment = json.dumps({"event": "carried_db", "db": stream.scanner.db_at(0)}, separators=(",", ":"))
            self._recorder.put(_Said(self, item.time, comment))

    def ended(self, side: Side, how: str) -> None:
        self._recorder.put(_Ended(self, time.time_ns(), _SIDES[side], FIN if how == "fin" else RST))

    # ---- where it stands ----

    def heard(self, told: Told) -> None:
        """Something worth keeping was told of it."""
        if isinstance(told.event, events.LinkOpened):
            self._link_opened = told.event
        elif isinstance(told.event, events.Secured):
            self._secured.append(told)
        elif self._beginning is not None and isinstance(told.event, events.FullResync | events.PartialResync):
            self._said.append(told)

    def state(self, now: int, *, at_boundary: bool) -> tuple[_Recorded, LinkState, list[_Data]] | None:
        """For the next file: itself, its state, and its bytes until now, where only they will do.

        None where it has no packet in the old one yet. at_boundary: see Conversation.standing().
        """
        if not self._is_dialled:
            return None
        for number in (REPLICA, MASTER):
            self._tell_gap(number, self._received[number])
        conversation = self.conversation
        if conversation.rdb_end is not None:
            self._tell_omitted()
        standing: Standing | None = None
        if not conversation.is_beginning:
            standing = conversation.standing(at_boundary=at_boundary)
            if self._omitted is not None:
                standing = dataclasses.replace(standing, from_master=self._omitted[0])
        beginning = list(self._beginning or ())
        state = LinkState(
            time=now / 1e9,
            link=self.link,
            connection=conversation.connection,
            replica=conversation.replica,
            peer=self._link_opened.peer,
            master=self._link_opened.master,
            standing=standing,
            begins=self._beginning is not None and standing is None,
            said=tuple(told.as_dict() for told in (*self._secured, *self._said)),
        )
        return self, state, beginning if standing is None else []

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
        if first > begin:
            self._tell_omitted()
            # With some of the RDB behind them, there is no place for the next file to begin at.
            self._keep(MASTER, data[: first - begin], begin, may_end_file=first == end)
        if last > first:
            start = first if self._omitted is None else self._omitted[0]
            self._omitted = start, last
        if end > last:
            self._tell_omitted()
            self._keep(MASTER, data[last - begin :], last)

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

    def gap(self, number: int, start: int, end: int) -> events.RecordingGap:
        """The event for these bytes of a side."""
        stream = self.conversation.stream
        offsets: list[int | None] = [None, None]
        if number == MASTER and stream is not None and stream.base is not None and end > stream.start:
            offsets = [stream.base + max(0, position - stream.start) for position in (start, end)]
        return events.RecordingGap(
            start=start, end=end, side=_NAMES[number], bytes=end - start, from_offset=offsets[0], to_offset=offsets[1]
        )

    def told(self, event: Event) -> Told:
        """An event of this link, now."""
        return Told(time.time(), self.link, self.conversation.connection, self.conversation.replica, event)


def _gaps(items: Sequence[_Item]) -> list[tuple[_Recorded, events.RecordingGap]]:
    """What is missing of each link if none of these is written."""
    spans: dict[tuple[_Recorded, int], list[tuple[int, int]]] = {}
    for item in items:
        if isinstance(item, _Data):
            begin, end = item.position, item.position + len(item.data)
            found = spans.setdefault((item.flow, item.side), [])
            if found and found[-1][1] == begin:
                begin, _ = found.pop()
            found.append((begin, end))
    return [(flow, flow.gap(side, *span)) for (flow, side), found in spans.items() for span in found]


def _comment(told: Told) -> str:
    return json.dumps(told.as_dict(), ensure_ascii=False, separators=(",", ":"))


class Recorder:
    """A tap.relay.sink.Sink, and an observer of the bus. lost_bytes: that are not in the recording and should be."""

    def __init__(
        self,
        path: Path,
        bus: Bus,
        *,
        sync: Sync = "interval",
        without_rdb: bool = False,
        redact: Sequence[Redact] = (),
        rotate: Limits = Limits(),  # noqa: B008
        keep: Limits = Limits(),  # noqa: B008
    ) -> None:
        """path: a new file; with rotate what the files are named after; or a directory for them."""
        self.path = path  # the file that is being written
        self._rotation = Rotation(path, rotate, keep) if is_rotation(path, rotate) else None
        self.rotates = self._rotation is not None
        self.without_rdb = without_rdb or bool(redact)  # whose data is compressed and packed
        self.redaction = Redaction(redact) if redact else None
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
        self._output: Output
        self._filed = 0  # bytes put since the file began
        full = None if self._rotation is None else self._rotation.limits.size
        self._full_at = math.inf if full is None else full  # of these; the thread knows what they come to in the file
        self._is_due = False  # the next file, for its time has come
        self._timer: asyncio.TimerHandle | None = None
        self._sync_at = 0.0
        self._filed_bytes = 0  # put to the file, as the thread has written them
        self._stopped = False  # the disk does not take it
        self._blocks = Blocks()
        self._comments: list[str] = []  # of the whole tap, for whichever packet comes next
        self._last: _Recorded | None = None  # whose packet came last

    # ---- the life of a recording ----

    def open(self) -> None:
        """Make the file; to be called in the event loop.

        Raises ConfigError if it is there already, EnvironmentFailure if it cannot be made.
        """
        self._loop = asyncio.get_running_loop()
        try:
            if self._rotation is not None:
                self._rotation.look()
                self.path = self._rotation.next()
                self._begin_file()
            self._output = Output(self.path)
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
        if self._timer is not None:
            self._timer.cancel()
        if not self._thread.is_alive():
            return
        self._closing_at = time.monotonic() + CLOSE_SECONDS
        self._wake.set()
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS + 1)
        left = [item for item, _ in (*self._unwritten, *self._queue)]
        for flow, gap in _gaps(left):
            self.tell(flow, gap)
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
        is_changed = isinstance(event, events.Handshake) and event.sent is not None  # of which the bytes say nothing
        if not isinstance(event, KEPT) and not is_changed:
            return
        flow = self._flows.get(told.connection)
        closed = event if isinstance(event, events.LinkClosed) else None
        if flow is not None and closed is not None:
            flow.settle()
        if self.redaction is not None:
            told = dataclasses.replace(told, event=self.redaction.event(event))
        if flow is not None:
            flow.heard(told)
        self.put(_Said(flow, int(told.time * 1e9), _comment(told)))
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
            slow = "the disk is" if self.redaction is None else "redacting, or the disk, is"
            self._trouble(f"{slow} slower than the links")
        return self._is_full

    def put(self, item: _Item, size: int = 0) -> None:
        self._put += size + ITEM_BYTES
        self._filed += size + ITEM_BYTES
        self._queue.append((item, size + ITEM_BYTES))
        if self._put - self._taken > WAKE_BYTES:
            self._wake.set()

    def is_file_full(self, more: int) -> bool:
        """Whether the next file is due once these bytes are put."""
        return self._is_due or self._filed + more >= self._full_at

    def next_file(self, now: int, filled_by: _Recorded | None = None) -> None:
        """Begin it here; filled_by: whose bytes have been put up to their last whole command only."""
        links = []
        for flow in self._flows.values():
            state = flow.state(now, at_boundary=flow is filled_by)
            if state is not None:
                links.append(state)
        self._begin_file()
        self.put(_NextFile(now, links))

    def _begin_file(self) -> None:
        assert self._rotation is not None
        self._filed = 0
        self._wait_for_next(self._rotation.limits.seconds)

    def _wait_for_next(self, seconds: float | None) -> None:
        """However small the file is, the next one is due after this time."""
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
        if seconds is not None and self._loop is not None:
            self._timer = self._loop.call_later(seconds, self._time_is_up)

    def _time_is_up(self) -> None:
        self._is_due = True

    def tell(self, flow: _Recorded, event: events.RecordingGap) -> None:
        self.lost_bytes += event.bytes
        told = flow.told(event)
        self._bus.publish(told.link, told.connection, told.replica, event)

    @property
    def trouble_so_far(self) -> str:
        """What came in the way, and what is missing for it; "" while nothing has."""
        if not self.trouble and not self.lost_bytes:
            return ""
        return f"{self.trouble}; {self.lost_bytes} bytes are not in the recording"

    def _trouble(self, text: str) -> None:
        self.trouble = self.trouble or text
        self._bus.publish("", 0, "", events.RecordingStopped(text=text))

    # ---- the thread ----

    def _run(self) -> None:
        self._sync_names()
        pause = POLL_SECONDS
        try:
            while True:
                closing = self._closing_at is not None
                wrote = self._write_batch()
                if not wrote and closing:
                    self._write_last_comments()
                    break
                pause = BUSY_POLL_SECONDS if wrote else min(2 * pause, POLL_SECONDS)
                if self._put - self._taken <= WAKE_BYTES and not closing:
                    self._wake.wait(pause)
                    self._wake.clear()
                if self._unwritten:  # given up, at the end
                    self._write_off()
                    break
        finally:
            self._finish(self._output)

    def _write_batch(self) -> bool:
        """Write some of what waits. Returns whether there was any."""
        size = 0
        batch = self._unwritten
        while self._queue and size < BATCH_BYTES:
            if isinstance(self._queue[0][0], _NextFile):
                if batch:
                    break
                if not self._open_next():
                    self._taken += self._queue.popleft()[1]
                    continue
            item = self._queue.popleft()
            batch.append(item)
            size += item[1]
        if not batch:
            self._flush()
            return False
        output = self._output
        self._blocks.clear()
        self._pack([item for item, _ in batch])
        blocks = output.encode(self._blocks.view())
        while not self._write(blocks):
            if self._closing_at is not None and time.monotonic() > self._closing_at - CLOSE_SECONDS / 2:
                return True
            self._wake.wait(RETRY_SECONDS)
            self._wake.clear()
        self._unwritten = []
        put = sum(one for _, one in batch)
        self._taken += put
        self._filed_bytes += put
        if self._rotation is not None and self._rotation.limits.size is not None:
            self._full_at = self._rotation.limits.size * self._filed_bytes / output.size
        self._flush()
        return True

    def _write_last_comments(self) -> None:
        """What was told behind the last packet, on one more of its link; without any link there is no place for it."""
        self._blocks.clear()
        self._pack_last_comments()
        if self._blocks.size:
            self._write(self._output.encode(self._blocks.view()))

    def _write_off(self) -> None:
        """Say what is missing at the end: a few packets find room where the many that wait did not."""
        unwritten, queued = [item for item, _ in self._unwritten], [item for item, _ in self._queue]
        items: list[_Item] = [
            _Said(flow, time.time_ns(), _comment(flow.told(gap))) for flow, gap in _gaps([*unwritten, *queued])
        ]
        # Those of the first are packed, with numbers of TCP and all: only what was said in them is to be said again.
        items += [item for item in unwritten if isinstance(item, _Said | _Closed)]
        for item in queued:
            if isinstance(item, _Data):
                items.append(_Skipped(item.flow, item.side, len(item.data), lost=True))
            elif not isinstance(item, _NextFile):
                items.append(item)
        self._blocks.clear()
        self._pack(items)
        self._pack_last_comments()
        self._write(self._output.encode_anew(self._blocks.view()))

    def _write(self, data: bytes | memoryview) -> bool:
        """All of it, or nothing. Returns which."""
        try:
            self._output.append(data)
        except OSError as error:
            self._failed(error)
            return False
        self._stopped = False
        return True

    def _flush(self) -> None:
        """What is to be done now and then."""
        self._tidy()
        if self._sync == "none" or self._output.is_synced:
            return
        now = time.monotonic()
        if self._sync == "always" or now >= self._sync_at:
            self._sync_at = now + SYNC_SECONDS
            try:
                self._output.sync()
            except OSError as error:
                self._failed(error)

    def _open_next(self) -> bool:
        """Go on in the next file. Returns False where it cannot be made; then the old one goes on."""
        assert self._rotation is not None
        old = self._output
        try:
            while True:
                with contextlib.suppress(FileExistsError):  # somebody else's
                    self._output = Output(self._rotation.next())
                    break
        except OSError as error:
            text = f"the next file cannot be made: {words(error)}; going on in {old.path.name}"
            self._in_loop(partial(self._no_next, text))
            return False
        self.path = self._output.path
        self._filed_bytes = 0
        self._finish(old)
        self._rotation.finished(old.path, old.size, time.time())
        return True

    def _no_next(self, text: str) -> None:
        self._wait_for_next(NEXT_RETRY_SECONDS)
        self._trouble(text)

    def _finish(self, output: Output) -> None:
        try:
            output.close(sync=self._sync != "none")
        except OSError as error:
            self._failed(error)
        self._sync_names()

    def _sync_names(self) -> None:
        """The file that is written is to be found after a power cut, too."""
        if self._sync != "none":
            try:
                sync_directory(self.path.parent)
            except OSError as error:
                self._failed(error)

    def _tidy(self) -> None:
        """Delete what is older, or more, than was to be kept."""
        while self._rotation is not None and (path := self._rotation.overdue(self._output.size)) is not None:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                text = f"{path.name} cannot be deleted: {words(error)}"
                self._in_loop(partial(self._trouble, text))

    def _failed(self, error: OSError) -> None:
        if not self._stopped:
            self._stopped = True
            self._in_loop(partial(self._trouble, words(error)))

    def _in_loop(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is there to be told
            self._loop.call_soon_threadsafe(call)

    # ---- packets ----

    def _pack(self, items: Sequence[_Item]) -> None:
        spoken: dict[_Recorded, int] = {}  # flows with comments that wait for a packet
        for item in items:
            if isinstance(item, _Data):
                self._pack_data(item)
            elif isinstance(item, _Said):
                if item.flow is None:
                    self._comments.append(item.comment)
                else:
                    item.flow.comments.append(item.comment)
                    spoken[item.flow] = item.time
            elif isinstance(item, _Skipped):
                if item.lost and item.side == REPLICA:
                    item.flow.masker.lost()
                elif item.side == MASTER:
                    self._pack_waiting(item.flow, time.time_ns())
                if item.flow.tcp is not None:
                    item.flow.tcp.skip(item.side, item.count)
            elif isinstance(item, _Dialled):
                self._open(item.flow, item.time, item.master)
            elif isinstance(item, _NextFile):
                self._begin(item)
            elif isinstance(item, _Ended):
                self._end(item.flow, item.time, item.side, item.flag)
            else:
                self._close(item)
        for flow, at in spoken.items():
            if flow.comments and flow.tcp is not None:
                self._packet(flow, at, REPLICA, 0)

    def _packet(self, flow: _Recorded, at: int, side: int, flags: int, data: bytes = b"") -> None:
        assert flow.tcp is not None
        self._last = flow
        options = b""
        if self._comments or flow.comments:
            options = pcapng.comments([*self._comments, *flow.comments])
            self._comments.clear()
            flow.comments.clear()
        flow.tcp.write(self._blocks, at, side, flags, data, options)

    def _pack_last_comments(self) -> None:
        if self._comments and self._last is not None:
            self._packet(self._last, time.time_ns(), REPLICA, 0)

    def _pack_data(self, item: _Data) -> None:
        flow, data = item.flow, item.data
        if item.side == REPLICA:
            data = flow.masker.mask(data)
        elif flow.redaction is not None:
            data = flow.redaction.mask(data, item.position, hide=item.hide)
        if data:
            self._packet(flow, item.time, item.side, PUSH, data)

    def _pack_waiting(self, flow: _Recorded, at: int) -> None:
        """What of the master's bytes waits for what follows, when nothing does."""
        if flow.redaction is not None and (data := flow.redaction.flush()):
            self._packet(flow, at, MASTER, PUSH, data)

    def _begin(self, item: _NextFile) -> None:
        """What makes a file readable without those before it."""
        for flow, state, beginning in item.links:
            if flow.tcp is None:
                continue
            if state.begins:
                flow.begin_again()
            elif state.standing is not None and not flow.is_ended[MASTER]:  # what redaction has not let go yet
                state = dataclasses.replace(state, held=max(0, state.from_master - flow.tcp.position(MASTER)))
            waiting, flow.comments = flow.comments, [as_comment(state)]
            self._packet(flow, item.time, REPLICA, 0)
            flow.comments = waiting
            for data in beginning:
                self._pack_data(data)

    def _open(self, flow: _Recorded, at: int, master: tuple[str, int]) -> None:
        flow.master, flow.dialled_at = master, at
        flow.tcp = flow.new_tcp()
        self._packet(flow, flow.opened, REPLICA, SYN)
        self._packet(flow, at, MASTER, SYN)
        self._packet(flow, at, REPLICA, 0)

    def _end(self, flow: _Recorded, at: int, side: int, flag: int) -> None:
        if flow.tcp is None or flow.is_ended[side]:
            return
        if side == MASTER or flag == RST:
            self._pack_waiting(flow, at)
        self._packet(flow, at, side, flag)
        flow.is_ended[side] = True
        if flag == RST:
            flow.is_ended = [True, True]

    def _close(self, item: _Closed) -> None:
        """What neither side has said of the end, the tap has."""
        flow = item.flow
        if flow.tcp is None:  # there never was a master
            flow.dialled_at = item.time
            flow.tcp = flow.new_tcp()
            self._packet(flow, flow.opened, REPLICA, SYN)
            item.is_reset = True
        if item.is_reset:
            self._end(flow, item.time, MASTER, RST)
        for side in (REPLICA, MASTER):
            self._end(flow, item.time, side, FIN)
        if flow.comments:
            self._packet(flow, item.time, REPLICA, 0)
