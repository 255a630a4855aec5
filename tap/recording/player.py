"""Plays the packets of a capture to conversations, and reports their events as if they were live.

A recording by redis-tap states in packet comments what the bytes alone do not show: the names of links, why a resync was
full when a fault made it so, how much a partial resync had missed, faults, and what could not be recorded (comments.py).
Other captures have no such comments; of their connections, only those that turn out to replicate are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tap.bus import Told
from tap.capture.assembly import Assembler, Bytes, Ended, Gap, Item, Opened, Unseen
from tap.capture.cut_packets import CutPackets
from tap.capture.layers import Layers, Segment
from tap.capture.pcapng import Packet
from tap.capture.segments import ACK, SYN
from tap.capture.tcp_connection import TcpConnection
from tap.capture.tls import TlsConnections, TlsFinder
from tap.recording.batch import Batch
from tap.recording.byte_observer import ByteObserver
from tap.recording.comments import Comment, LinkState, parse
from tap.recording.link import Link
from tap.recording.missing import Account, Missing
from tap.recording.played import Played, resume
from tap.recording.playing import Connected, Sinks
from tap.recording.role_evidence import Missed
from tap.recording.ticking import Ticking
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.head_samples import HeadSamples
from tap.replication.memory import Memory
from tap.replication.stream import MAX_COMMAND

TICK = 100_000_000  # nanoseconds, as of a tap
MAX_COMMENTED = 1000  # packets of one time that are remembered
# Comments on events that the bytes make again; what the bytes do not say of them is in Announcements.
_IN_THE_BYTES = (events.LinkOpened, events.FullResync, events.PartialResync, events.Handshake)
LATE = 1_000_000_000  # nanoseconds: captures do not mix packets up by more
MAX_TICKS = 200  # consecutive ticks without a packet; by then everything that waits for time has been reported


class Player:
    """Takes packets in the order of the file. Their events go to *tell*, and the master's bytes to *watch*.

    every_command, every_key, max_command: see Conversation. at_once: report each command when it came. Otherwise it is
    reported after the start of its stream, as by the tap; beside an RDB on a connection of its own, that can be minutes
    later. ended: called with each connection that replicates, or that a tap recorded, once it has ended. until:
    nanoseconds; later packets are ignored. wants: see Conversation. sinks: take the bytes of connections that replicate,
    except those that a tap recorded.

    connections: number of TCP connections. replicating, recorded: how many of them replicate, and how many a tap
    recorded. cuts: packets that were cut short. tls: connections that cannot be read. account: what was not reported.
    """

    def __init__(
        self,
        tell: Callable[[Told], None],
        *,
        every_command: bool = False,
        every_key: bool = False,
        max_command: int = MAX_COMMAND,
        at_once: bool = False,
        count: Callable[[Batch], None] | None = None,
        watch: ByteObserver | None = None,
        ended: Callable[[Link], None] | None = None,
        until: int | None = None,
        wants: Callable[[type[events.Event]], bool] = lambda kind: True,
        samples: HeadSamples | None = None,
        sinks: Sinks | None = None,
    ) -> None:
        self._tell = tell
        self._count = count
        self.watch = watch
        self.ended = ended
        self._until = until
        self._every_command = every_command
        self._every_key = every_key
        self._max_command = max_command
        self._wants = wants
        self._samples = samples
        self.sinks = sinks
        self.at_once = at_once
        self._layers = Layers()
        self.cuts = CutPackets()
        self.tls = TlsConnections()
        self._tls_finders: dict[TcpConnection, TlsFinder] = {}  # for connections that may use TLS
        self._tells_cuts = False
        self._assembler = Assembler()
        self._links: dict[TcpConnection, Played] = {}
        self._numbered: dict[int, Played] = {}  # the last link of each number
        self._ticking = Ticking()
        self._memories: dict[str, Memory] = {}
        self._commented_at = 0
        self._commented: set[tuple[bytes, tuple[str, ...]]] = set()  # packets of that time
        self._now = 0
        self._came = 0  # _now of the last packet
        self._next_tick = 0
        self._numbers = 0
        self.packets = 0
        self.connections = 0
        self.replicating = 0
        self.recorded = 0
        self.account = Account()

    @property
    def remarks(self) -> list[str]:
        """Sentences for stderr that change no exit code."""
        return self.account.remarks

    def remark(self, text: str, kind: str = "remarks") -> None:
        """Add, once, a remark on the capture that makes no answer incomplete. See Account."""
        self.account.remark(text, kind)

    @property
    def links(self) -> list[Played]:
        """The open connections that replicate, as far as this is known, and those that a tap recorded; oldest first."""
        return [link for link in self._links.values() if link.is_reported]

    @property
    def unread(self) -> dict[str, int]:
        """How many packets held no TCP that could be read, by their kind, most first."""
        return self._layers.unread

    def packet(self, packet: Packet) -> None:
        """Take the next packet."""
        account = self.account
        account.first = min(account.first or packet.time, packet.time)
        account.last = max(account.last, packet.time)
        if self._until is not None and packet.time > self._until:
            return
        self.packets += 1
        is_copy = bool(packet.comments) and self._is_copy(packet)
        self._now = self._came  # rest() used another clock, which may have been ahead
        self._pass_time(packet.time)
        self._came = self._now
        said = [] if is_copy else [one for comment in packet.comments if (one := parse(comment)) is not None]
        found = self._layers.segment(packet)
        if packet.size > len(packet.data) or (found is not None and found.missing):
            self.cuts.add(packet)
        if found is None:
            return
        # A tap first states what it reported since the previous packet, and then what this packet made it report.
        link = self._hear(found, said) if said else None
        for item in self._assembler.reassemble(found, packet.time, opens=_opened(said) is not None):
            link = self._item(item, said) or link
        if said:
            self._hear_after(said, link)

    def _hear(self, found: Segment, said: list[Comment]) -> Played | None:
        """Take the comments on a segment before its bytes. Returns the link that it belongs to, if there is one yet."""
        connection = self._assembler.find(found)
        link = None if connection is None or found.flags & (SYN | ACK) == SYN else self._links.get(connection)
        if link is not None:
            self.wake(link)
        opened = _opened(said)
        for one in said:
            state = one.state
            if state is not None:
                link = self._stand(found, link, state)
                continue
            if link is not None:
                link.announce(one)
                self._all(link.left_out(one, self._assembler))
            if one.kind != events.LinkClosed.kind and one.connection != opened:
                self._comment(one, link)
        return link

    def _hear_after(self, said: list[Comment], link: Played | None) -> None:
        """Take the comments that follow the bytes: the end of a link, and everything about a link that the bytes open."""
        opened = _opened(said)
        for one in said:
            if one.kind == events.LinkClosed.kind or one.connection == opened:
                self._comment(one, link)

    def _is_copy(self, packet: Packet) -> bool:
        """Whether the same packet came before with the same comments, as when a copy of the recording is read, too."""
        if packet.time != self._commented_at:
            self._commented_at = packet.time
            self._commented.clear()
        key = packet.data, packet.comments
        is_copy = key in self._commented
        if len(self._commented) < MAX_COMMENTED:
            self._commented.add(key)
        return is_copy

    def rest(self, seconds: float) -> None:
        """Note that nothing has come for this time, in a capture that is still being made."""
        if self._now:
            self._pass_time(self._now + int(seconds * 1e9))

    def close(self) -> None:
        """End the capture: report what is pending."""
        for connection, link in list(self._links.items()):
            self._all(self._assembler.finish(connection, self._now))
            link.end()
            self._remove(connection)
        if self._tells_cuts:
            self.remark(str(self.cuts))
        if self.tls and (self.replicating or self.recorded):
            self.remark(str(self.tls))

    # ---- time ----

    def _pass_time(self, time: int) -> None:
        if time <= self._now:
            return
        if self._next_tick < time - MAX_TICKS * TICK:
            for _ in range(MAX_TICKS if self._now else 0):
                self._tick()
            self._next_tick = time
        while self._next_tick < time:
            self._tick()
        self._now = time

    def _tick(self) -> None:
        self._now = max(self._now, self._next_tick)
        self._all(self._assembler.overdue(self._now))
        self._ticking.tick(self._now / 1e9)
        self._next_tick += TICK

    # ---- what comes ----

    def _all(self, items: Iterable[Item]) -> None:
        for item in items:
            self._item(item)

    def _item(self, item: Item, said: Sequence[Comment] = ()) -> Played | None:
        """Take an item. said: the comments on its packet. Returns a link that the item opens."""
        link = self._links.get(item.connection)
        if link is not None:
            self.wake(link)
            if isinstance(item, Bytes):
                if item.connection not in self._tls_finders or not self._is_tls(item):
                    link.receive(item.side, item.data, is_late=self._now - item.time > LATE)
            elif isinstance(item, Gap):
                if item.connection in self._tls_finders:
                    self._tls_finders[item.connection].missing(item.side)
                link.missing(item.side, Missed(item.size, item.is_cut))
            elif isinstance(item, Unseen):
                link.unmatch(item.side)
            elif isinstance(item, Ended):
                link.ended(item)
                if item.closed and not link.is_ours:  # a comment on it may follow
                    self._remove(item.connection)
        elif isinstance(item, Opened):
            return self._open(item, said)
        return None

    def _is_tls(self, item: Bytes) -> bool:
        """Inspect the next bytes of a connection that may use TLS. If it does, nothing more of it is read."""
        is_tls = self._tls_finders[item.connection].see(item.side, item.data)
        if is_tls is not None:
            del self._tls_finders[item.connection]
        if is_tls:
            self._remove(item.connection)
            self.tls.add(item.connection)
        return bool(is_tls)

    def _open(self, item: Opened, said: Sequence[Comment]) -> Played:
        self.connections += 1
        opened = next((opening for one in said if (opening := one.opening) is not None), None)
        self.recorded += opened is not None
        link = self._put(Played(self, item.connection, opened, said=said))
        if opened is None:
            self._tls_finders[item.connection] = TlsFinder(item.connection.from_start)
        return link

    def _put(self, link: Played) -> Played:
        self._links[link.connection] = self._numbered[link.number] = link
        self._ticking.wake(link)
        return link

    def _remove(self, connection: TcpConnection) -> Played | None:
        """Forget a connection: it has ended, or its later packets belong to another link."""
        self._tls_finders.pop(connection, None)
        link = self._links.pop(connection, None)
        if link is not None:
            self._ticking.forget(link)
            if self._numbered.get(link.number) is link:
                del self._numbered[link.number]
        return link

    def _stand(self, found: Segment, link: Played | None, state: LinkState) -> Played:
        """Take a link's state from a tap. Returns the link that goes on from there."""

        def join() -> tuple[Played | None, TcpConnection]:
            """Read on from here: files of the recording before this one were not read."""
            connection = self._assembler.find(found)
            before = None if connection is None else self._remove(connection)
            self.connections += 1
            self.recorded += 1
            return before, self._assembler.join(found, (state.from_replica, state.from_master), state.held)

        resumed = resume(self, link, state, join)
        if resumed is not link:
            self._put(resumed)
            for one in state.comments:
                if one.kind == events.Secured.kind:
                    self._comment(one, resumed)
        return resumed

    def _comment(self, said: Comment, link: Played | None) -> None:
        """Report the event of a comment, unless it is also made from the bytes."""
        told = said.told
        if told is None or isinstance(told.event, _IN_THE_BYTES):
            return
        event = told.event
        if isinstance(event, events.LinkClosed) and link is not None:
            self._remove(link.connection)
            link.close(told.time)
        if isinstance(event, events.RecordingGap) and link is None:  # nothing else of that connection was recorded
            self.account.lacks(_missing(event, told.time, told.link, told.connection))
        self._tell(told)

    # ---- for the links ----

    def remark_cuts(self) -> None:
        """Packets of a reported link were cut short: say so once, when all of them have been counted."""
        self._tells_cuts = True

    @property
    def now(self) -> int:
        """Nanoseconds."""
        return self._now

    def number(self, wanted: int | None) -> int:
        """The number of the next connection."""
        self._numbers = max(self._numbers + 1, wanted or 0)
        return self._numbers if wanted is None else wanted

    def conversation(self, link: Connected) -> Conversation:
        conversation = Conversation(
            link.tell,
            memory=self._memory(link.name),
            connection=link.number,
            peer_host=link.peer.host,
            peer_port=link.peer.port,
            every_command=self._every_command,
            every_key=self._every_key,
            max_command=self._max_command,
            tell_heads=None if self._count is None else link.count,
            wants=self._wants,
        )
        conversation.samples = self._samples
        if self.sinks is not None:
            conversation.notices_secret = link.note
        # A tap reports acknowledgements ahead of the master; the recorded bytes may lack what the ACK is about. It also
        # reports that a replica has caught up; a recording does not say when the tap could not read.
        conversation.compares_acks = conversation.measures = not link.is_ours
        return conversation

    def _memory(self, link: str) -> Memory:
        if link not in self._memories:
            beside = next(iter(self._memories.values()), None)
            self._memories[link] = Memory(link, beside=beside, master=link)
        return self._memories[link]

    def find(self, number: int | None) -> Conversation | None:
        """The conversation of the connection with that number."""
        link = None if number is None else self._numbered.get(number)
        return None if link is None else link.conversation

    def wake(self, link: Connected) -> None:
        """Tick the link again from here on, because something about it changes."""
        if self._links.get(link.connection) is link:
            self._ticking.wake(link)

    def tell(self, told: Told) -> None:
        self._tell(told)

    def count(self, batch: Batch) -> None:
        assert self._count is not None
        self._count(batch)


def _opened(said: Sequence[Comment]) -> int | None:
    """The number of the connection that these comments open."""
    return next((one.connection for one in said if one.kind == events.LinkOpened.kind), None)


def _missing(gap: events.RecordingGap, time: float, link: str, connection: int) -> Missing:
    return Missing(
        cause="gap",
        link=link,
        connection=connection,
        side=gap.side,
        start=gap.start,
        end=gap.end,
        lost_bytes=gap.bytes,
        is_rdb=False,
        replid=None,
        from_offset=gap.from_offset,
        to_offset=gap.to_offset,
        since=time,
        until=time,
        reason="",
    )
