"""One connection of a recording: which of its bytes are kept, and the packets that they become.

Everything here is called in the event loop. Bytes become packets at once: no read is kept in memory, and the writer's
thread only has to write.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tap.bus import Told
from tap.capture import pcapng
from tap.capture.packets import Blocks, TcpFlow
from tap.capture.pcapng import Packet
from tap.capture.segments import FIN, PUSH, RST, SYN, Endpoint
from tap.recorder.filling import MASTER, REPLICA, Filling
from tap.recorder.intake import Intake
from tap.recorder.master_secrets import MasterSecrets
from tap.recording.comments import (
    LinkState,
    carried_db_json,
    not_understood_json,
    rdb_omitted_json,
    state_json,
    told_json,
)
from tap.redaction.masks import Masker
from tap.redaction.redaction import Redaction
from tap.redaction.strict import StrictMasker
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Side
from tap.replication.phase import Phase
from tap.replication.standing import Standing

MAX_BEGINNING = 2**16  # bytes of a handshake that are kept, to stand in the next file, too

_REPLICA = Side.REPLICA
_NAMES = (Side.REPLICA, Side.MASTER)


@dataclass(frozen=True, slots=True)
class Keeps:
    """What a recording keeps. rotates: in several files. without_rdb: no RDB. redaction: no keys or values."""

    rotates: bool
    without_rdb: bool
    redaction: Redaction | None


class RecordedConnection(Intake):
    """A tap.relay.sink.ConnectionSink. report: called with each gap."""

    def __init__(
        self,
        filling: Filling,
        keeps: Keeps,
        report: Callable[[RecordedConnection, events.RecordingGap], None],
        link: str,
        conversation: Conversation,
        replica: tuple[str, int],
        tap: tuple[str, int],
    ) -> None:
        super().__init__(filling.gathering)
        self.conversation = conversation
        self.link = link
        self._filling = filling
        self._report = report
        self._without_rdb = keeps.without_rdb
        self._keeps_all = not (keeps.rotates or keeps.without_rdb)
        self._gaps: list[int | None] = [None, None]  # of each side: position from which on bytes are being left out
        self._omitted: tuple[int, int] | None = None  # positions of an RDB that is left out on purpose
        # Side, time and bytes of everything so far, while the bytes can only be understood from the first one on.
        self._beginning: list[tuple[int, int, bytes]] | None = [] if keeps.rotates else None
        self._beginning_bytes = 0
        self._said: list[Told] = []  # resyncs reported meanwhile
        self._secured: list[Told] = []  # one event for each leg that speaks TLS
        self._link_opened: events.LinkOpened
        self._opened = self._now()
        self._replica = replica
        self._tap = tap
        self._master = tap
        self._dialled_at: int  # nanoseconds since the epoch
        self._masker = Masker() if keeps.redaction is None else StrictMasker()
        self._secrets = MasterSecrets(conversation)
        if conversation.notices_secret is None:  # else its owner passes them on, see noticed()
            conversation.notices_secret = self._secret
        self._redaction = None if keeps.redaction is None else keeps.redaction.of(conversation)
        self._is_ended = [False, False]
        self._is_joining = False  # nothing is recorded before the next place at which its state is known
        self.comments: list[str] = []  # for its next packet

    def _now(self) -> int:
        """Nanoseconds since the epoch."""
        return self._filling.clock()

    # ---- the relay calls ----

    def join(self, opened: events.LinkOpened, master: tuple[str, int] | None) -> None:
        """Record the connection from one of its next commands on, though it began before the recording.

        Before its resync is granted, nothing that a reader could understand begins: then from the grant on.
        """
        self._is_joining, self._beginning, self._link_opened = True, None, opened
        self._master, self._dialled_at = master or self._tap, self._now()
        self.tcp = self._new_tcp()
        self.tcp.open()
        for number, count in ((REPLICA, self.conversation.from_replica), (MASTER, self.conversation.from_master)):
            self.move(number, count)
            self.tcp.skip(number, count)
            self._lost(number)
        self._gaps[MASTER] = self.position(MASTER)
        if self._is_between_commands:
            self._resume(self._boundary)

    def noticed(self, name: bytes, position: int, words: int) -> None:
        self._secret(name, position, words)

    def dialled(self, master: tuple[str, int] | None) -> None:
        if self._is_joining:
            return
        now = self._now()
        self._open(now, master or self._tap)
        self._filling.packet(self, now, MASTER, SYN)
        self._filling.packet(self, now, REPLICA, 0)

    def take(self, number: int, data: memoryview, begin: int) -> None:
        if number == MASTER and self._without_rdb and self._gaps[MASTER] is None:
            self._take_but_rdb(data, begin, begin + len(data))
        else:
            self._take(number, data, begin)
        is_following = self._beginning is None and self._gaps == [None, None] and not self.comments
        self.go_on(number, is_following and self._is_ordinary(number))

    def _take(self, number: int, data: memoryview, begin: int, *, may_end_file: bool = True) -> None:
        """Keep these bytes, or leave them out if too much waits for the disk. may_end_file: see _keep()."""
        filling, size = self._filling, len(data)
        if self._is_joining and number == REPLICA:
            self._skip(REPLICA, size, begin + size)
            return
        if filling.is_full(size):
            self._beginning = None
            self.ask()
            if self._gaps[number] is None:
                self._gaps[number] = begin
                self._lost(number)
            return
        if number == MASTER and self._gaps[MASTER] is not None:
            at = self._boundary or self.position(MASTER)  # the position at which the conversation can state how it stands
            if at < begin or self.conversation.is_beginning:
                return
            self._resume(at)
            data, begin = data[at - begin :], at
        elif self._gaps[number] is not None:
            self._tell_gap(number, begin)
        if self._keeps_all:
            self._put(number, self._now(), data, begin)
        else:
            self._keep(number, data, begin, may_end_file=may_end_file)
        if self._gaps[MASTER] is not None and self._is_between_commands:  # it can end without bytes of the master
            self._resume(self._boundary)

    def _lost(self, number: int) -> None:
        """Tell the maskers that they will miss the next bytes of the side, which may hold requests with secrets."""
        if number == REPLICA:
            self._masker.lost()
            if isinstance(self._masker, Masker):
                self._look_for_replies(self._masker.asked)
        elif self._redaction is None:
            self._secrets.lost()
        else:
            self._redaction.lost()

    def _is_ordinary(self, number: int) -> bool:
        """Whether the next bytes of the side become packets as they are: nothing left out, nothing replaced."""
        if number == REPLICA:
            return self._masker.is_between_requests
        conversation = self.conversation
        if self._secrets.may_follow:
            return False
        is_behind_rdb = (conversation.stream or conversation.rdb_end) is not None
        return self._redaction is None and (is_behind_rdb or not self._without_rdb)

    def _keep(self, number: int, data: memoryview, begin: int, *, may_end_file: bool) -> None:
        """Put these bytes into the file, or some of them into this file and the rest into the next.

        may_end_file: the conversation has received exactly these bytes.
        """
        filling, now, hidden = self._filling, self._now(), 0
        is_full = may_end_file and filling.is_file_full(len(data))
        if self._redaction is not None and number == MASTER:
            hidden = self._redaction.hidden(begin, begin + len(data)) - begin
            self._put(number, now, data[:hidden], begin, hide=True)
        boundary = self._boundary - begin if is_full and number == MASTER else 0
        if hidden < boundary < len(data):
            self._put(number, now, data[hidden:boundary], begin + hidden)
            filling.next_file(now, self)
            self._put(number, now, data[boundary:], begin + boundary)
            return
        self._put(number, now, data[hidden:], begin + hidden)
        if is_full:
            filling.next_file(now)

    def _put(self, number: int, now: int, data: memoryview, position: int, *, hide: bool = False) -> None:
        """position: of the first byte. hide: replace everything."""
        if not data:
            return
        left: bytes | memoryview = data
        if number == REPLICA:
            left = self._masker.mask(bytes(data))
            if isinstance(self._masker, Masker) and self._masker.asked:
                self._look_for_replies(self._masker.asked)
        elif self._redaction is None:
            left = self._secrets.mask(data, position)
        else:
            left = self._redaction.mask(bytes(data), position, hide=hide)
        if self._beginning is not None:
            self._keep_beginning(number, now, bytes(left))
        if left:
            self._filling.packet(self, now, number, PUSH, left)

    def _look_for_replies(self, asked: set[str | int]) -> None:
        self._secrets.look_for(asked)
        self.ask()

    def _secret(self, name: bytes, position: int, words: int) -> None:
        """See MasterSecrets.note()."""
        if self._redaction is None:
            self._secrets.note(name, position, words)
            self.ask()

    @property
    def _is_between_commands(self) -> bool:
        return self._boundary == self.position(MASTER) and not self.conversation.is_beginning

    @property
    def _boundary(self) -> int:
        """The position after the master's last whole command; 0 without a readable stream."""
        stream = self.conversation.stream
        return 0 if stream is None or stream.is_broken else stream.boundary

    def _keep_beginning(self, number: int, now: int, data: bytes) -> None:
        assert self._beginning is not None
        self._beginning_bytes += len(data)
        if self._beginning_bytes <= MAX_BEGINNING and self.conversation.is_beginning:
            self._beginning.append((number, now, data))
            return
        self._beginning = None
        self._said.clear()
        stream = self.conversation.stream
        if stream is not None and stream.first_db is not None:
            self._filling.say(self, carried_db_json(stream.first_db))

    def ended(self, side: Side, how: str) -> None:
        self._end(REPLICA if side is _REPLICA else MASTER, FIN if how == "fin" else RST)

    # ---- the state of the connection ----

    def keeps(self, event: Event) -> bool:
        """Whether an event of this connection that recordings keep becomes a comment."""
        return not self._is_joining

    def heard(self, told: Told) -> None:
        """Take an event of this connection that the recording keeps."""
        if isinstance(told.event, events.LinkOpened):
            self._link_opened = told.event
            if self.conversation.phase is Phase.OPAQUE:  # so a reader must not wait for comments on its resyncs
                self._filling.say(self, not_understood_json())
        elif isinstance(told.event, events.Secured):
            self._secured.append(told)
        elif self._beginning is not None and isinstance(told.event, events.FullResync | events.PartialResync):
            self._said.append(told)

    def begin_file(self, out: Blocks, now: int, *, at_boundary: bool) -> None:
        """Write the beginning of the next file to *out*: the connection's state, or all its bytes so far.

        All bytes are repeated while they can only be understood from the first one on. at_boundary: see
        Conversation.standing().
        """
        if self.tcp is None or self._is_joining:
            return
        state = self._state(now, at_boundary=at_boundary)
        if state.begins:
            self.tcp = self._new_tcp()
            self.tcp.open()
        elif state.standing is not None and not self._is_ended[MASTER]:  # bytes that redaction still holds
            state = dataclasses.replace(state, held=max(0, state.from_master - self.tcp.position(MASTER)))
        self.tcp.write(out, now, REPLICA, 0, b"", pcapng.comments([state_json(state)]))
        if state.begins:
            for number, at, data in self._beginning or ():
                self.tcp.write(out, at, number, PUSH, data)

    def _state(self, now: int, *, at_boundary: bool) -> LinkState:
        conversation = self.conversation
        standing: Standing | None = None
        if not conversation.is_beginning:
            standing = conversation.standing(at_boundary=at_boundary)
            if self._omitted is not None:
                standing = dataclasses.replace(standing, from_master=self._omitted[0])
        begins, lost = self._beginning is not None and standing is None, (0, 0)
        if standing is None and not begins and self.tcp is not None:
            lost = self.tcp.position(REPLICA), self.tcp.position(MASTER)
        return LinkState(
            time=now / 1e9,
            link=self.link,
            connection=conversation.connection,
            replica=conversation.replica,
            peer=self._link_opened.peer,
            master=self._link_opened.master,
            standing=standing,
            begins=begins,
            said=tuple(told.as_dict() for told in (*self._secured, *self._said)),
            lost=lost,
        )

    # ---- omissions ----

    def _resume(self, at: int) -> None:
        """Keep everything from this position on: report what is missing before it, and state where the connection is."""
        now = self._now()
        self._tell_gap(REPLICA, self.position(REPLICA))
        self._tell_gap(MASTER, at)
        self._is_joining = False
        if self._redaction is not None:
            self._redaction.found()
        self._filling.say(self, state_json(self._state(now, at_boundary=self._boundary > 0)))
        self._filling.packet(self, now, REPLICA, 0)

    def settle(self, *, at_end: bool) -> None:
        """Report what has been left out so far. at_end: nothing more comes."""
        goes_on = self._gaps[MASTER] is not None and not at_end
        for number in (REPLICA, MASTER):
            self._tell_gap(number, self.position(number))
        if goes_on:
            self._gaps[MASTER] = self.position(MASTER)
        if at_end:
            self._tell_omitted()

    def _take_but_rdb(self, data: memoryview, begin: int, end: int) -> None:
        conversation = self.conversation
        rdb_start = conversation.rdb_start
        first = end if rdb_start is None else min(max(rdb_start, begin), end)
        last = end if conversation.rdb_end is None else min(max(conversation.rdb_end, first), end)
        if first > begin:
            # If a part of the RDB follows, the next file cannot begin here.
            self._take(MASTER, data[: first - begin], begin, may_end_file=first == end)
        if last > first and self._gaps[MASTER] is None:
            start = first if self._omitted is None else self._omitted[0]
            self._omitted = start, last
            if conversation.rdb_end is not None:
                self._tell_omitted()  # before the replica acknowledges the RDB
        if end > last:
            self._tell_omitted()  # the RDB may have ended earlier than was known then
            self._take(MASTER, data[last - begin :], last)

    def _skip(self, number: int, count: int, until: int) -> None:
        """Leave out *count* bytes of a side; *until*: the position after them."""
        if number == MASTER:
            self._flush_redaction()
            self._secrets.forget_commands(until)
        if self.tcp is not None:
            self.tcp.skip(number, count)

    def _tell_omitted(self) -> None:
        """Report which bytes of the RDB were left out, once the last one is known."""
        if self._omitted is None:
            return
        start, end = self._omitted
        self._omitted = None
        self._skip(MASTER, end - start, end)
        self._filling.say(self, rdb_omitted_json(start, end))

    def _tell_gap(self, number: int, end: int) -> None:
        start, self._gaps[number] = self._gaps[number], None
        if start is not None and start < end:
            self._skip(number, end - start, end)
            if not self._is_joining:
                self._report(self, self.gap(number, start, end))

    def gap(self, number: int, start: int, end: int) -> events.RecordingGap:
        """The event for these bytes of a side."""
        stream = self.conversation.stream
        offsets: list[int | None] = [None, None]
        if number == MASTER and stream is not None and end > stream.begins_at:
            offsets = [stream.offset_at(start), stream.offset_at(end)]
        return events.RecordingGap(
            start=start, end=end, side=_NAMES[number], bytes=end - start, from_offset=offsets[0], to_offset=offsets[1]
        )

    def told(self, event: Event) -> Told:
        """An event of this link, now."""
        return Told(self._now() / 1e9, self.link, self.conversation.connection, self.conversation.replica, event)

    # ---- its TCP connection ----

    def _new_tcp(self) -> TcpFlow:
        """A TCP connection. Every call gives it the same sequence numbers."""
        first = self._dialled_at // 1000  # as from a clock that counts microseconds, RFC 9293, 3.4.1
        return TcpFlow(Endpoint(*self._replica), Endpoint(*self._master), (first, first + 0x40000000), owner=self)

    def _open(self, now: int, master: tuple[str, int]) -> None:
        self._master, self._dialled_at = master, now
        self.tcp = self._new_tcp()
        self._filling.packet(self, self._opened, REPLICA, SYN)

    def _flush_redaction(self) -> None:
        """Write the master's bytes that redaction still holds: nothing follows them."""
        if self._redaction is not None and (data := self._redaction.flush()):
            self._filling.packet(self, self._now(), MASTER, PUSH, data)

    def _end(self, number: int, flag: int) -> None:
        if self.tcp is None or self._is_ended[number] or self._is_joining:
            return
        if number == MASTER or flag == RST:
            self._flush_redaction()
        self._filling.packet(self, self._now(), number, flag)
        self._is_ended[number] = True
        if flag == RST:
            self._is_ended = [True, True]

    def closed(self, how: str) -> None:
        """End both directions that no side has ended. how: as in events.LinkClosed."""
        is_reset = how != "fin"
        if self.tcp is None:  # the master was never reached
            self._open(self._now(), self._tap)
            is_reset = True
        if is_reset:
            self._end(MASTER, RST)
        for number in (REPLICA, MASTER):
            self._end(number, FIN)
        if self.comments:
            self._filling.packet(self, self._now(), REPLICA, 0)

    def restated(self, out: Blocks, packets: Sequence[Packet]) -> None:
        """Replace packets that could not be written: write what they hold besides data, and report the missing bytes."""
        assert self.tcp is not None
        opening, gaps = self._new_tcp(), self.missing(packets)
        for packet in packets:
            number, _, flags, _ = self.tcp.parts(packet.data)
            options = pcapng.comments(packet.comments) if packet.comments else b""
            if flags & SYN:
                opening.write(out, packet.time, number, SYN, b"", options)
                continue
            for gap in gaps:  # after the packets that open the connection, before those that end it
                comment = told_json(self.told(gap))
                self.tcp.write(out, packet.time, REPLICA, 0, b"", pcapng.comments([comment]))
            gaps.clear()
            if flags & (FIN | RST):
                self.tcp.skip(number, -1 if flags & FIN else 0)
                self.tcp.write(out, packet.time, number, flags & (FIN | RST), b"", options)
            elif options:
                self.tcp.write(out, packet.time, number, 0, b"", options)

    def missing(self, packets: Sequence[Packet]) -> list[events.RecordingGap]:
        """One event for each stretch of bytes in these packets, which were never written."""
        assert self.tcp is not None
        spans: tuple[list[list[int]], list[list[int]]] = [], []
        for packet in packets:
            number, position, _, size = self.tcp.parts(packet.data)
            if size and spans[number] and spans[number][-1][1] == position:
                spans[number][-1][1] += size
            elif size:
                spans[number].append([position, position + size])
        return [self.gap(number, *span) for number in (REPLICA, MASTER) for span in spans[number]]
