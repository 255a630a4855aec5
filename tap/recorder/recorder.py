"""Records what the links of a tap receive, in pcapng files.

Each link is one TCP connection from the replica to its master, with the addresses that they really have; what is worth
keeping of the events stands in packet comments, as the JSON of `--ui json`. The event loop makes packets of the bytes as
they come, in blocks of memory that a thread writes. When the disk cannot follow, bytes are left out, and the recording
says which.

When a file is full the event loop decides where the next one begins, for only there all conversations stand behind the
same bytes as the packets: if it can be, between two commands of the link that filled it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tap.bus import COUNTLESS, Bus, Told
from tap.capture import pcapng
from tap.capture.output import Output
from tap.capture.packets import Blocks, ends
from tap.capture.pcapng import Packet, PcapngReader
from tap.capture.rotation import Rotation, is_rotation
from tap.errors import ConfigError, EnvironmentFailure, words
from tap.recorder.intake import Gathering
from tap.recorder.recorded import REPLICA, Recorded, as_json
from tap.recorder.writer import Sync, Writer
from tap.redaction.grammars import Redact
from tap.redaction.redaction import Redaction
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.units import Limits

QUEUE_BYTES = 32 * 2**20  # that may wait for the disk, for all links together
GATHER_BYTES = 640 * 1024  # go to the writer before it wants them; with one more read of a link, they fit into a MiB
NEXT_RETRY_SECONDS = 10.0  # after which a next file that could not be made is tried again

KEPT = (
    events.LinkOpened,
    events.Secured,
    events.LinkClosed,
    events.FullResync,
    events.PartialResync,
    events.ResyncRefused,
    events.RdbProblem,
    events.Opaque,
    events.AckAheadOfMaster,
    events.ReplicaTalkedBack,
    events.FaultArmed,
    events.FaultFired,
    events.FaultExpired,
    events.RecordingStopped,
    events.RecordingGap,
)


class Recorder:
    """A tap.relay.sink.Sink, and an observer of the bus.

    lost_bytes, lost_links: that are not in the recording and should be, and bytes of files that somebody else spoiled.
    """

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
        self._first = path
        self._rotation = Rotation(path, rotate, keep)
        self.rotates = self._has_looked = is_rotation(path, rotate)  # by itself
        self.without_rdb = without_rdb or bool(redact)  # whose data is compressed and packed
        self.redaction = Redaction(redact) if redact else None
        self.lost_bytes = 0
        self.lost_links = 0
        self._unrecorded: set[int] = set()  # of them, those that live
        self.trouble = ""  # what came in the way, the first time
        self._bus = bus
        self._sync = sync
        self._links: dict[int, Recorded] = {}
        self._unsubscribe: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop
        self._writer: Writer | None = None
        self._gathering = Gathering(self._pass_on)
        self._put = 0  # bytes that the writer got
        self.room = 0  # bytes that may come before anybody asks is_full()
        self._is_full = False
        self._is_closed = False
        self._filed = 0  # of them, for the file that is written
        self._is_due = False  # the next file, for its time has come
        self._timer: asyncio.TimerHandle | None = None
        self._comments: list[str] = []  # of the whole tap, for whichever packet comes next
        self._spoken: set[Recorded] = set()  # links with comments that wait for a packet
        self._last: Recorded | None = None  # which has a packet, for the last comments

    # ---- the life of a recording ----

    def open(self) -> None:
        """Make the file; to be called in the event loop.

        Raises ConfigError if it is there already, EnvironmentFailure if it cannot be made.
        """
        self._loop = asyncio.get_running_loop()
        try:
            if self.rotates:
                self._rotation.look()
                self._first = self._rotation.next()
                self._begin_file()
            output = Output(self._first)
        except FileExistsError:
            raise ConfigError(
                f"{self.path} is there already; a recording writes over nothing, give it another name"
            ) from None
        except OSError as error:
            raise EnvironmentFailure(f"{self.path}: cannot record: {words(error)}") from None
        self._writer = Writer(
            output,
            self._rotation,
            self._sync,
            troubled=self._trouble,
            no_next=self._no_next,
            spoiled=self._spoiled,
            lost=self._lost,
            given_up=self._restated,
            gathering=self._gathering,
        )
        self._unsubscribe = self._bus.subscribe(self, without=COUNTLESS)

    async def close(self) -> None:
        """Write what waits, for some seconds at most; what the disk does not take by then is told as lost. Once."""
        self._unsubscribe()
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is None or self._is_closed:
            return
        self._is_closed = True
        if self._comments and self._last is not None:
            self.packet(self._last, time.time_ns(), REPLICA, 0)
        self._speak()
        self._pass_on()
        left = _by_link(await self._writer.close())
        for link, packets in left.items():
            for gap in link.missing(packets):
                self.tell(link, gap)
        if left and not self.trouble:
            self._trouble("the disk did not take it in time")

    def rotate(self) -> None:
        """Go on in a next file now, however small this one is.

        Of a recording in one file, that has the same name if the file was moved away, else one of a rotation's.
        """
        if self._writer is None or self._is_closed:
            return
        if not self._has_looked:
            self._has_looked = True
            with contextlib.suppress(OSError):  # then the numbers begin with 1; no file is written over
                self._rotation.look()
        self.next_file(time.time_ns())

    def discard(self) -> None:
        """Behind close(): the tap never ran, so the name is free again."""
        self.path.unlink(missing_ok=True)

    @property
    def path(self) -> Path:
        """The file that is written."""
        return self._first if self._writer is None else self._writer.path

    @property
    def waiting(self) -> int:
        """Bytes of blocks that are not in a file yet."""
        return 0 if self._writer is None else self._put + self._gathering.blocks.size - self._writer.taken

    # ---- the relay and the bus call ----

    def opened(
        self, link: str, conversation: Conversation, replica: tuple[str, int], tap: tuple[str, int]
    ) -> Recorded | None:
        if self.waiting > 2 * QUEUE_BYTES:  # of what is no data, too, as much is waiting: connections without end
            self._unrecorded.add(conversation.connection)
            self.lost_links += 1
            if self.lost_links == 1:
                self._trouble("the disk takes nothing, and connections that come now are not recorded")
            return None
        recorded = Recorded(self, self._gathering, link, conversation, replica, tap)
        self._links[conversation.connection] = recorded
        return recorded

    def __call__(self, told: Told) -> None:
        event = told.event
        if told.connection in self._unrecorded:
            if isinstance(event, events.LinkClosed):
                self._unrecorded.remove(told.connection)
            return
        is_changed = isinstance(event, events.Handshake) and event.sent is not None  # of which the bytes say nothing
        if not isinstance(event, KEPT) and not is_changed:
            return
        link = self._links.get(told.connection)
        if link is None and told.connection:
            return  # it was turned away, and has no bytes
        closed = event if isinstance(event, events.LinkClosed) else None
        if link is not None and closed is not None:
            link.settle(at_end=True)
        if self.redaction is not None:
            told = dataclasses.replace(told, event=self.redaction.event(event))
        if link is not None:
            link.heard(told)
        self.say(link, as_json(told))
        if link is not None and closed is not None:
            link.closed(closed.how)
            del self._links[told.connection]

    # ---- its links call ----

    def is_full(self, more: int) -> bool:
        """Whether the disk is too far behind to take more bytes; once it is, until half of them are written."""
        if self._is_full:
            self._is_full = self.waiting > QUEUE_BYTES // 2
        elif self.waiting + more > QUEUE_BYTES:
            self._is_full = True
            self.room = 0
            self._trouble("the disk is slower than the links")
        return self._is_full

    def is_file_full(self, more: int) -> bool:
        """Whether the next file is due once these bytes are in this one."""
        assert self._writer is not None
        return self._is_due or self._filed + self._gathering.blocks.size + more >= self._writer.full_at

    def packet(self, link: Recorded, at: int, side: int, flags: int, data: bytes | memoryview = b"") -> None:
        """The link's next packet, with what has been said meanwhile. at: nanoseconds since the epoch."""
        assert link.tcp is not None
        assert self._writer is not None
        options = b""
        if self._comments or link.comments:
            options = pcapng.comments([*self._comments, *link.comments])
            self._comments.clear()
            link.comments.clear()
            self._spoken.discard(link)
        self._last = link
        gathered = link.tcp.write(self._gathering.blocks, at, side, flags, data, options)
        if self._gathering.wants or gathered >= GATHER_BYTES:
            self._pass_on()

    def say(self, link: Recorded | None, comment: str) -> None:
        """On the next packet; None: of any link."""
        if link is None:
            self._comments.append(comment)
            self._set_limit()
            return
        link.comments.append(comment)
        link.ask()
        self._spoken.add(link)
        self._loop.call_soon(self._speak)  # unless the bytes that it is about come before

    def next_file(self, now: int, filled_by: Recorded | None = None) -> None:
        """Begin it here; filled_by: whose bytes have been put up to their last whole command only."""
        assert self._writer is not None
        for link in self._links.values():
            link.settle(at_end=False)
        self._speak()
        self._pass_on()
        head = self._writer.blocks()
        for link in self._links.values():
            link.begin_file(head, now, at_boundary=link is filled_by)
        self._begin_file()
        self._filed = head.size
        self._writer.next_file(head)
        self._set_limit()

    def tell(self, link: Recorded, event: events.RecordingGap) -> None:
        self.lost_bytes += event.bytes
        told = link.told(event)
        self._bus.publish(told.link, told.connection, told.replica, event)

    # ---- to the writer ----

    def _speak(self) -> None:
        """Make packets for the comments that waited for one."""
        while self._spoken:
            link = self._spoken.pop()
            if link.tcp is not None:
                self.packet(link, time.time_ns(), REPLICA, 0)

    def _pass_on(self) -> None:
        assert self._writer is not None
        blocks = self._gathering.blocks
        if blocks.size:
            self._gathering.blocks = self._writer.blocks()
            self._put += blocks.size
            self._filed += blocks.size
            self._writer.put(blocks)
        if not self._is_full:
            self.room = QUEUE_BYTES - GATHER_BYTES - self.waiting
        self._set_limit()

    def _set_limit(self) -> None:
        """How much may gather until a link has to ask what is to become of its bytes."""
        assert self._writer is not None
        if self._comments or self.room < GATHER_BYTES or self.is_file_full(0):
            self._gathering.limit = 0
        else:
            self._gathering.limit = int(min(GATHER_BYTES, self._writer.full_at - self._filed))

    @staticmethod
    def _restated(left: Sequence[Blocks]) -> Blocks:
        """Say what is missing at the end: a few packets find room where the many that wait did not."""
        out = Blocks()
        for link, packets in _by_link(left).items():
            link.restated(out, packets)
        return out

    def _begin_file(self) -> None:
        self._filed = 0
        self._wait_for_next(self._rotation.limits.seconds)

    def _wait_for_next(self, seconds: float | None) -> None:
        """However small the file is, the next one is due after this time."""
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self._time_is_up)

    def _time_is_up(self) -> None:
        if not self.rotates:  # it was asked for, and could not be made
            self.rotate()
            return
        self._is_due = True
        self._set_limit()

    def _no_next(self, text: str) -> None:
        self._wait_for_next(NEXT_RETRY_SECONDS)
        self._trouble(text)

    def _spoiled(self, what: str) -> None:
        """Somebody has deleted, replaced or cut the file: tell, and go on in another one."""
        self._trouble(f"{what}; what it held is lost")
        self.rotate()

    def _lost(self, size: int) -> None:
        """Bytes of such a file."""
        self.lost_bytes += size

    @property
    def trouble_so_far(self) -> str:
        """What came in the way, and what is missing for it; "" while nothing has."""
        if not self.trouble and not self.lost_bytes:
            return ""
        beside = f" and {self.lost_links} connections" if self.lost_links else ""
        return f"{self.trouble}; {self.lost_bytes} bytes{beside} are not in the recording"

    def _trouble(self, text: str) -> None:
        self.trouble = self.trouble or text
        self._bus.publish("", 0, "", events.RecordingStopped(text=text))


def _by_link(blocks: Sequence[Blocks]) -> dict[Recorded, list[Packet]]:
    """What is in them."""
    found: dict[Recorded, list[Packet]] = {}
    for one in blocks:
        owners = {key: flow.owner for flow in one.flows for key in flow.ends()}
        for packet in PcapngReader().feed(pcapng.heading(pcapng.APPLICATION) + bytes(one.view())):
            found.setdefault(owners[ends(packet.data)], []).append(packet)
    return found
