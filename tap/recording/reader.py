"""Plays a recording, or any capture of replication links, to conversations, and tells what they say as if it were live.

A recording of ours carries in packet comments what bytes alone do not say: the names of links, why a resync was full when
a fault made it so, how much a partial one had missed, faults, and what could not be recorded. Another capture has none;
of its connections those are told that turn out to replicate.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tap.bus import Told
from tap.recording.assembly import Assembler, Bytes, Connection, Ended, Gap, Item, Opened
from tap.recording.boundary import AckFinder, BoundaryFinder, is_acknowledging
from tap.recording.files import GoesOn, packets
from tap.recording.layers import KNOWN_LINK_TYPES, Segment, segment
from tap.recording.pcapng import MAX_TIME, Packet
from tap.recording.segments import ACK, SYN, Endpoint
from tap.recording.state import LinkState, from_comment
from tap.recording.stats import Batch
from tap.replication import events
from tap.replication.conversation import Conversation, Phase
from tap.replication.events import Event, Role, Side
from tap.replication.heads import Head
from tap.replication.memory import Memory
from tap.replication.stream import MAX_COMMAND, Stream

TICK = 100_000_000  # nanoseconds, as of a tap
MAX_TICKS = 200  # one behind the other, in which nothing came: then everything that waits for time has been told
MAX_UNDECIDED = 2**20  # bytes of a connection of which it is not known yet who the replica is
MAX_WITHOUT_ACK = 100  # bytes of a replica that follows a stream: longer than two acknowledgements
MAX_HELD = 1000  # events of a connection of which it is not known yet whether it replicates

_HANDSHAKE = re.compile(
    rb"\*\d\r\n\$\d\r\n(?:PSYNC|SYNC|AUTH|HELLO)\r\n|\*\d+\r\n\$8\r\nREPLCONF\r\n\$\d+\r\n(?!ACK|GETACK)", re.IGNORECASE
)
_PING = re.compile(rb"\*1\r\n\$4\r\nPING\r\n|PING\r\n", re.IGNORECASE)
_REPLICA, _MASTER = 0, 1
# Of a comment's fields, so far as it has them.
_TYPES: dict[str, type | tuple[type, ...]] = {"time": (int, float), "connection": int}
_TYPES |= dict.fromkeys(("link", "replica", "peer", "master"), str)
_OPENED = {"link", "connection", "peer", "master"}


class Watch(Protocol):
    """Sees the bytes of replication themselves, behind the conversation's own reading of them."""

    def received(self, connection: int, link: str, conversation: Conversation, data: bytes, time: int) -> None:
        """The master's next bytes, the last of conversation.from_master. connection: counted as they began, from 1.

        Behind a gap in the bytes there is a new conversation of the same connection. time: nanoseconds.
        """

    def ended(self, conversation: Conversation) -> None:
        """It has been told all that it will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One connection, as it ended, or as it was when the recording did.

    name, connection, replica: as of tap.bus.Told. peer, master: the addresses that it is between. opened, closed:
    seconds since the epoch, None where that is not in the recording. role: None if that never showed. replid: the
    history at its end. first_offset, last_offset: before the first byte of its stream, and after the last. All three None
    if unknown.
    """

    name: str
    connection: int
    replica: str
    peer: str
    master: str
    opened: float | None
    closed: float | None
    role: Role | None
    replid: str | None
    first_offset: int | None
    last_offset: int | None
    bytes_from_master: int
    bytes_from_replica: int
    full_resyncs: int
    partial_resyncs: int


class Player:
    """Packets in, in the order of the file; what they say goes to *tell*, and the master's bytes to *watch*.

    every_command, every_key, max_command: see Conversation. at_once: tell each command when it came, not behind the
    beginning of its stream as a tap told it, which for a partial resync can be seconds later.
    ended: gets each connection of replication, or of a tap, when nothing more comes of it. until: nanoseconds; later
    packets are as if they were not in the file. connections: over TCP. replicating, recorded: those of replication, and
    those that a tap recorded. others: packets without TCP.
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
        watch: Watch | None = None,
        ended: Callable[[Link], None] | None = None,
        until: int | None = None,
    ) -> None:
        self._tell = tell
        self._count = count
        self.watch = watch
        self.ended = ended
        self._until = until
        self._every_command = every_command
        self._every_key = every_key
        self._max_command = max_command
        self.at_once = at_once
        self._assembler = Assembler()
        self._links: dict[Connection, _Played] = {}
        self._memories: dict[str, Memory] = {}
        self._now = 0
        self._came = 0  # _now of the last packet
        self._next_tick = 0
        self._numbers = 0
        self.packets = 0
        self.others = 0
        self.connections = 0
        self.replicating = 0
        self.recorded = 0
        self.unknown_link_types: set[int] = set()

    def packet(self, packet: Packet) -> None:
        """The next one."""
        if self._until is not None and packet.time > self._until:
            return
        self.packets += 1
        self._now = self._came  # a rest was measured by another clock, and may have been shorter
        self._pass_time(packet.time)
        self._came = self._now
        said = [one for comment in packet.comments if (one := _said(comment)) is not None]
        found = segment(packet)
        if found is None:
            self.others += 1
            if packet.link_type not in KNOWN_LINK_TYPES:
                self.unknown_link_types.add(packet.link_type)
            return
        if not said:
            self._all(self._assembler.take(found, packet.time))
            return
        # A tap says first what it told since the packet before, and then what this one made it tell.
        connection = self._assembler.find(found)
        link = None if connection is None or found.flags & (SYN | ACK) == SYN else self._links.get(connection)
        state = next((state for one in said if (state := from_comment(one)) is not None), None)
        if state is not None and (link is None or not link.knows(state)):
            link = self._join(found, state)
        # What was told of a link before its first packet comes behind its opening.
        opened = next((one.get("connection") for one in said if one["event"] == "link_opened"), None)
        for one in said:
            if link is not None:
                link.announce(one)
                self._all(link.left_out(one, self._assembler))
            if one["event"] != "link_closed" and one.get("connection") != opened:
                self._comment(one, link)
        for item in self._assembler.take(found, packet.time):
            if isinstance(item, Opened):
                link = self._open(item, said)
            else:
                self._item(item)
        for one in said:
            if one["event"] == "link_closed" or one.get("connection") == opened:
                self._comment(one, link)

    def rest(self, seconds: float) -> None:
        """For so long nothing has come, of a capture that is still being made."""
        if self._now:
            self._pass_time(self._now + int(seconds * 1e9))

    def close(self) -> None:
        """The capture ends here: tell what is still to be told."""
        for connection, link in list(self._links.items()):
            self._all(self._assembler.finish(connection, self._now))
            link.end()
        self._links.clear()

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
        for link in self._links.values():
            link.tick()
        self._next_tick += TICK

    # ---- what comes ----

    def _all(self, items: Iterable[Item]) -> None:
        for item in items:
            self._item(item)

    def _item(self, item: Item) -> None:
        if isinstance(item, Opened):
            self._open(item, [])
            return
        link = self._links.get(item.connection)
        if link is None:
            return
        if isinstance(item, Bytes):
            link.receive(item.side, item.data)
        elif isinstance(item, Gap):
            link.missing(item.side, item.size)
        else:
            link.ended(item)
            if item.closed and not link.is_ours:  # there its comment may come behind
                del self._links[item.connection]

    def _open(self, item: Opened, said: list[dict[str, Any]]) -> _Played:
        self.connections += 1
        opened = next((one for one in said if one["event"] == "link_opened" and one.keys() >= _OPENED), None)
        self.recorded += opened is not None
        link = self._links[item.connection] = _Played(self, item.connection, opened)
        for one in said:
            link.announce(one)
        return link

    def _join(self, found: Segment, state: LinkState) -> _Played:
        """Read on from here, in a recording whose files before this one were not read."""
        connection = self._assembler.find(found)
        before = None if connection is None else self._links.pop(connection, None)
        if before is not None:
            before.break_off(state)
        connection = self._assembler.join(found, (state.from_replica, state.from_master), state.held)
        self.connections += 1
        self.recorded += 1
        link = self._links[connection] = _Played(self, connection, None, state)
        for one in state.said:
            if one.get("event") == events.Secured.kind:
                self._comment(one, link)
        return link

    def _comment(self, said: dict[str, Any], link: _Played | None) -> None:
        try:
            event = events.from_dict(said)
            time, link_name, connection, replica = (said[key] for key in ("time", "link", "connection", "replica"))
        except (KeyError, TypeError, ValueError):
            return  # not of ours after all
        if event is None or isinstance(event, events.LinkOpened | events.FullResync | events.Handshake):
            return
        if isinstance(event, events.PartialResync):
            if link is not None:
                link.begin()
            return
        if isinstance(event, events.LinkClosed) and link is not None:
            link.closed = time
            link.end()
            self._links.pop(link.connection, None)
        self._tell(Told(time, link_name, connection, replica, event))

    # ---- for the links ----

    @property
    def now(self) -> int:
        """Nanoseconds."""
        return self._now

    def number(self, wanted: int | None) -> int:
        """Of the next connection."""
        self._numbers = max(self._numbers + 1, wanted or 0)
        return self._numbers if wanted is None else wanted

    def conversation(self, link: _Played) -> Conversation:
        return Conversation(
            link.tell,
            memory=self._memory(link.name),
            connection=link.number,
            peer_host=link.peer.host,
            every_command=self._every_command,
            every_key=self._every_key,
            max_command=self._max_command,
            tell_heads=None if self._count is None else link.count,
        )

    def _memory(self, link: str) -> Memory:
        if link not in self._memories:
            self._memories[link] = Memory(link, beside=next(iter(self._memories.values()), None))
        return self._memories[link]

    def find(self, number: int | None) -> Conversation | None:
        """The conversation of the connection with that number."""
        return next((link.conversation for link in reversed(self._links.values()) if link.number == number), None)

    def tell(self, told: Told) -> None:
        self._tell(told)

    def count(self, batch: Batch) -> None:
        assert self._count is not None
        self._count(batch)


class _Played:
    """One connection of a capture. opened, state: the comment on its first packet, where a tap recorded it."""

    def __init__(
        self, player: Player, connection: Connection, opened: dict[str, Any] | None, state: LinkState | None = None
    ) -> None:
        self._player = player
        self._serial = player.connections
        self.connection = connection
        self.is_ours = opened is not None
        self._sides: tuple[int, int] | None = (0, 1) if connection.from_start else None  # what each end is
        self.peer, master = connection.ends
        self.name = _place(master) if opened is None else str(opened["link"])
        self.number = player.number(None if opened is None else int(opened["connection"]))
        self._held: list[Told] | None = None if self.is_ours else []
        self._announced: dict[str, dict[str, Any]] = {}
        self._undecided: list[tuple[int, bytes]] = []
        self._undecided_bytes = 0
        self._finder: BoundaryFinder | None = None
        self._acks: AckFinder | None = None
        self._joins_at: tuple[str | None, int | None, int] = (None, None, 0)  # replid, offset, at this position
        self._first_end: tuple[Side, str] | None = None
        self._omits_rdb = False
        self._tells_resyncs = True  # the tap, in comments
        self._is_other = False  # no replication, of which nothing is read
        self._has_ended = False
        self._opened = opened
        self._opened_at = player.now / 1e9 if connection.from_start else None
        self.closed: float | None = None
        self._first_offset: int | None = None
        self._resyncs = {events.FullResync.kind: 0, events.PartialResync.kind: 0}
        self.conversation = player.conversation(self)
        if state is not None:
            self._stand(state)
        elif self._sides is not None:
            said_peer, said_master = self._ends()
            self.tell(events.LinkOpened(peer=said_peer, master=said_master))

    def _stand(self, state: LinkState) -> None:
        """The tap has told how the connection stood."""
        self.is_ours = True
        self._held = None
        self._sides = (0, 1)
        self.name = state.link
        self._opened = {"peer": state.peer, "master": state.master}
        self.number = self._player.number(state.connection)
        self.conversation = self._player.conversation(self)
        for said in state.said:
            self.announce(said)
        if state.standing is None:
            if not state.begins:
                self.conversation.lost(Side.MASTER, "its handshake was too long to stand in this file, too")
            return
        try:
            self.conversation.stand(state.standing, self._player.find(state.standing.main))
        except ValueError as error:
            self.conversation.lost(Side.MASTER, f"the file says of it what cannot be: {error}")
        if self.conversation.phase in (Phase.STREAM, Phase.LOADING):
            self._acks = AckFinder()
        if self.conversation.role is not None and self.conversation.role is not Role.ORDINARY:
            self._is_replication()

    def knows(self, state: LinkState) -> bool:
        """Whether it has read all that was before this."""
        come = self._position + self.connection.waiting(_MASTER)
        return self.is_ours and self.number == state.connection and come >= state.from_master - state.held

    def break_off(self, state: LinkState) -> None:
        """It goes on in a state that is further on, or its addresses are another one's now."""
        begin, offset = self._position, self.conversation.offset
        self.end()
        if state.standing is not None and self.is_ours and self.number == state.connection:
            self.tell(
                events.RecordingGap(
                    start=begin,
                    end=state.from_master,
                    side=Side.MASTER,
                    bytes=state.from_master - begin,
                    from_offset=offset,
                    to_offset=None if offset is None else state.standing.offset,
                )
            )

    # ---- events ----

    def tell(self, event: Event) -> None:
        if isinstance(event, events.FullResync | events.PartialResync):
            self._resyncs[event.kind] += 1
            said = self._announced.pop(event.kind, None)
            if said is not None:
                event = self._as_announced(event, said)
        if isinstance(event, events.Handshake):
            said = self._announced.pop(f"handshake {event.start}", None)
            if said is not None:
                event = self._as_announced(event, said)
        if isinstance(event, events.Identified) and event.role is not Role.ORDINARY:
            self._is_replication()
        if isinstance(event, events.StreamStarted) and self._first_offset is None:
            self._first_offset = event.offset
        told = Told(self._player.now / 1e9, self.name, self.number, self.conversation.replica, event)
        if self._held is None:
            self._player.tell(told)
        elif len(self._held) < MAX_HELD:
            self._held.append(told)

    def count(self, stream: Stream, heads: list[Head]) -> None:
        """Commands have come."""
        self._player.count(Batch(self._at, self.name, self.number, stream.replid, stream.base, heads))

    def _as_announced(self, event: Event, said: dict[str, Any]) -> Event:
        """What the tap told then: it knew of faults and of time what the bytes do not say."""
        try:
            then = events.from_dict(said)
        except (KeyError, TypeError, ValueError):
            return event
        if isinstance(event, events.FullResync) and isinstance(then, events.FullResync):
            return dataclasses.replace(event, reason=then.reason)
        if isinstance(event, events.PartialResync) and isinstance(then, events.PartialResync):
            return dataclasses.replace(event, bytes_behind=then.bytes_behind)
        if isinstance(event, events.Handshake) and isinstance(then, events.Handshake):
            return dataclasses.replace(event, sent=then.sent)
        return event

    def _is_replication(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            for told in held:
                self._player.tell(told)
        self._player.replicating += 1

    def announce(self, said: dict[str, Any]) -> None:
        """A comment on the packet that comes next."""
        kind = said.get("event")
        if kind in ("full_resync", "partial_resync"):
            self._announced[kind] = said
        elif kind == "handshake":
            self._announced[f"handshake {said.get('start')}"] = said
        elif kind == "rdb_omitted":
            self._omits_rdb = True
        elif kind == "not_understood":  # with --opaque
            self._tells_resyncs = False
        elif kind == "carried_db" and isinstance(said.get("db"), int):
            self.conversation.carried_db = said["db"]

    def left_out(self, said: dict[str, Any], assembler: Assembler) -> Iterator[Item]:
        """Go on at once behind what the tap says that it did not record."""
        if said["event"] in ("recording_gap", "rdb_omitted") and isinstance(said.get("end"), int):
            side = _REPLICA if said.get("side") == "replica" else _MASTER
            yield from assembler.skip(self.connection, side, said["end"], self._player.now)

    def begin(self) -> None:
        """The tap told a partial resync."""
        if self.conversation.stream is not None:
            self.conversation.stream.begin()

    # ---- bytes ----

    @property
    def _at(self) -> float:
        return self._player.now / 1e9

    def receive(self, side: int, data: bytes) -> None:
        if self._is_other:
            return
        if self._sides is None:
            self._undecided.append((side, data))
            self._undecided_bytes += len(data)
            self._decide(self._undecided_bytes > MAX_UNDECIDED)
        elif self._sides[side] == _MASTER:
            self._from_master(data)
        else:
            self._from_replica(data)

    def _from_master(self, data: bytes) -> None:
        if self._finder is not None:
            found = self._finder.feed(data)
            if found is None:
                return
            self._join(found)
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        self.conversation.receive_from_master(data, self._at)
        stream = self.conversation.stream
        if self._player.at_once and stream is not None and stream.base is not None:
            stream.begin()
        if self._player.watch is not None:
            self._player.watch.received(self._serial, self.name, self.conversation, data, self._player.now)

    def _from_replica(self, data: bytes) -> None:
        if self._acks is not None:
            found = self._acks.feed(data)
            if found is None:
                return
            self.conversation.skip_from_replica(self._acks.skipped)
            self._acks = None
            data = found
        self.conversation.receive_from_replica(data, self._at)

    def _join(self, found: bytes) -> None:
        """The stream can be read from here on, in a conversation of its own."""
        assert self._finder is not None
        replid, offset, position = self._joins_at
        skipped, self._finder = self._finder.skipped, None
        before = self.conversation
        self._leave(before)
        self.conversation = self._player.conversation(self)
        self.conversation.join(
            position + skipped, before.from_replica, replid, None if offset is None else offset + skipped
        )
        self._acks = self._acks or AckFinder()
        if self._held is not None:
            self._is_replication()
        self._read(found)

    def _leave(self, conversation: Conversation) -> None:
        if self._player.watch is not None:
            self._player.watch.ended(conversation)

    def _decide(self, at_last: bool) -> None:
        """Who is the replica, of a connection whose beginning was not captured; at_last: by what there is."""
        heard = [b"".join(data for side, data in self._undecided if side == number) for number in (0, 1)]
        for number in (0, 1):
            if _HANDSHAKE.match(heard[number]) or (_PING.match(heard[number]) and _HANDSHAKE.search(heard[number])):
                return self._decided(number, begins=True)
            if is_acknowledging(heard[number]):
                return self._decided(number, begins=False)
        if not at_last:
            return None
        replica = 0 if len(heard[1]) > len(heard[0]) else 1
        if len(heard[replica]) <= MAX_WITHOUT_ACK:
            return self._decided(replica, begins=False)
        self._is_other = True  # these are replies, to a client that writes
        self._undecided.clear()
        return None

    def _decided(self, replica: int, *, begins: bool) -> None:
        self._sides = (0, 1) if replica == 0 else (1, 0)
        self.peer = self.connection.ends[replica]
        if not self.is_ours:
            self.name = _place(self.connection.ends[1 - replica])
        self.conversation = self._player.conversation(self)
        if not begins:
            self._finder, self._acks = BoundaryFinder(), AckFinder()
        undecided, self._undecided = self._undecided, []
        for side, data in undecided:
            self.receive(side, data)

    # ---- what is missing ----

    def missing(self, side: int, size: int) -> None:
        """These bytes are not in the capture."""
        if self._sides is None:
            self._decide(at_last=True)
        if self._is_other:
            return
        assert self._sides is not None
        conversation = self.conversation
        if self._sides[side] == _REPLICA:
            begin = conversation.from_replica
            self._tell_gap(Side.REPLICA, begin, begin + size, None)
            conversation.skip_from_replica(size)
            self._acks = AckFinder()
            return
        begin = self._position
        omits, self._omits_rdb = self._omits_rdb, False
        if omits and conversation.skip_rdb(size):
            return
        replid, offset, position = self._joins_at
        stream = conversation.stream
        if self._finder is None:
            replid, offset, position = conversation.replid, conversation.offset, conversation.from_master
            if stream is None or stream.base is None:
                replid, offset = None, None
                conversation.lost(Side.MASTER, f"{size} bytes are not in the capture")
            else:
                stream.end()
        else:
            skipped = self._finder.skipped + self._finder.kept
            offset, position = None if offset is None else offset + skipped, position + skipped
        self._tell_gap(Side.MASTER, begin, begin + size, offset)
        self._joins_at = replid, None if offset is None else offset + size, position + size
        self._finder = BoundaryFinder()

    @property
    def _position(self) -> int:
        """Bytes of the master until now."""
        if self._finder is None:
            return self.conversation.from_master
        return self._joins_at[2] + self._finder.skipped + self._finder.kept

    def _tell_gap(self, side: Side, begin: int, end: int, offset: int | None) -> None:
        if not self.is_ours:  # there it is told by its comment
            to = None if offset is None else offset + end - begin
            size = end - begin
            self.tell(events.RecordingGap(start=begin, end=end, side=side, bytes=size, from_offset=offset, to_offset=to))

    # ---- time and end ----

    def tick(self) -> None:
        stream = self.conversation.stream
        if self.is_ours and self._tells_resyncs and stream is not None and not stream.has_begun:
            return  # it begins when the tap said so, see begin()
        self.conversation.tick(self._at)

    def ended(self, item: Ended) -> None:
        if self._sides is None:
            self._decide(at_last=True)
        if self._is_other:
            return
        assert self._sides is not None
        side = Side.MASTER if self._sides[item.side] == _MASTER else Side.REPLICA
        how = "reset" if item.is_reset else "fin"
        self._first_end = self._first_end or (side, how)
        if item.closed and not self.is_ours:
            self.end(told=True)

    def end(self, *, told: bool = False) -> None:
        """Nothing more comes. told: the end was seen, and nobody else tells it."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._sides is None:
            self._decide(at_last=True)
        if self._is_other:
            return
        if self._finder is not None:
            found = self._finder.close()
            if found is not None:
                self._join(found)
        conversation = self.conversation
        phase, offset = conversation.phase, conversation.offset
        conversation.close(self._at)
        self._leave(conversation)
        if told and self._first_end is not None:
            by, how = self._first_end
            self.closed = self._at
            self.tell(
                events.LinkClosed(
                    by=by,
                    how=how,
                    text="",
                    role=conversation.role,
                    phase=Phase.DONE.value if conversation.phase is Phase.DONE else phase.value,
                    offset=offset,
                    bytes_from_master=conversation.from_master,
                    bytes_from_replica=conversation.from_replica,
                )
            )
        if self._player.ended is not None and self._held is None:
            self._player.ended(self._facts(offset))

    def _facts(self, offset: int | None) -> Link:
        conversation = self.conversation
        peer, master = self._ends()
        return Link(
            name=self.name,
            connection=self.number,
            replica=conversation.replica,
            peer=peer,
            master=master,
            opened=self._opened_at,
            closed=self.closed,
            role=conversation.role,
            replid=conversation.replid,
            first_offset=self._first_offset,
            last_offset=offset,
            bytes_from_master=self._position,
            bytes_from_replica=conversation.from_replica + (0 if self._acks is None else self._acks.skipped),
            full_resyncs=self._resyncs[events.FullResync.kind],
            partial_resyncs=self._resyncs[events.PartialResync.kind],
        )

    def _ends(self) -> tuple[str, str]:
        """The addresses of replica and master."""
        if self._opened is not None:
            return str(self._opened["peer"]), str(self._opened["master"])
        ends = self.connection.ends
        return _place(self.peer), _place(ends[1] if self.peer == ends[0] else ends[0])


def _said(comment: str) -> dict[str, Any] | None:
    """A comment of ours; None for anybody else's."""
    try:
        said = json.loads(comment)
    except ValueError:
        return None
    if not isinstance(said, dict) or not isinstance(said.get("event"), str):
        return None
    has_types = all(isinstance(said[key], kind) for key, kind in _TYPES.items() if key in said)
    return said if has_types and 0 <= said.get("time", 0) * 1e9 < MAX_TIME else None


def _place(end: Endpoint) -> str:
    return f"[{end.host}]:{end.port}" if ":" in end.host else f"{end.host}:{end.port}"


# ---- files ----


def play(path: Path, player: Player, goes_on: GoesOn | None = None) -> list[str]:
    """Play what a path stands for, see files.packets(). Returns what of it could not be read, a line each."""
    problems: list[str] = []
    for packet in packets(path, problems, goes_on):
        player.packet(packet)
    return problems


def nothing(player: Player) -> str | None:
    """Why there is nothing to tell of all that was played, if it is so."""
    if player.replicating or player.recorded or not player.packets:
        return None
    if player.unknown_link_types:
        types = ", ".join(str(number) for number in sorted(player.unknown_link_types))
        return f"no replication in it that could be read: its packets are of link type {types}, not known here"
    return f"no replication in it: {player.connections} TCP connections, {player.others} packets of other kinds"
