"""One connection of a capture as it is played: who is who in it, what a tap said of it, what of it is missing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap.bus import Told
from tap.recording.assembly import Assembler, Connection, Ended, Item
from tap.recording.boundary import AckFinder, BoundaryFinder, is_acknowledging
from tap.recording.segments import Endpoint
from tap.recording.state import LinkState
from tap.recording.stats import Batch
from tap.replication import events
from tap.replication.conversation import Phase
from tap.replication.events import Event, Role, Side
from tap.replication.heads import Head
from tap.replication.standing import Standing
from tap.replication.stream import Stream

if TYPE_CHECKING:
    from tap.recording.reader import Player
    from tap.replication.conversation import Conversation

MAX_UNDECIDED = 2**20  # bytes of a connection of which it is not known yet who the replica is
MAX_WITHOUT_ACK = 100  # bytes of a replica that follows a stream: longer than two acknowledgements
MAX_HELD = 1000  # events of a connection of which it is not known yet whether it replicates

_HANDSHAKE = re.compile(
    rb"\*\d\r\n\$\d\r\n(?:PSYNC|SYNC|AUTH|HELLO)\r\n|\*\d+\r\n\$8\r\nREPLCONF\r\n\$\d+\r\n(?!ACK|GETACK)", re.IGNORECASE
)
_PING = re.compile(rb"\*1\r\n\$4\r\nPING\r\n|PING\r\n", re.IGNORECASE)
_REPLICA, _MASTER = 0, 1


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


class Played:
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
        self._unbegun: Stream | None = None  # before a gap: the tap's comment on its beginning comes behind that
        self._waiting: list[Event] = []  # what is told meanwhile
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
        if state.standing is not None:
            self._stand_at(state.standing)
        elif not state.begins:
            self.conversation.skip(state.from_master, state.from_replica)
            self.conversation.lost(Side.MASTER, "its handshake was too long to stand in this file, too")
        if self.conversation.role is not None and self.conversation.role is not Role.ORDINARY:
            self._is_replication()

    def _stand_at(self, standing: Standing) -> None:
        try:
            self.conversation.stand(standing, self._player.find(standing.main))
        except ValueError as error:
            self.conversation.lost(Side.MASTER, f"the file says of it what cannot be: {error}")
        if self.conversation.phase in (Phase.STREAM, Phase.LOADING):
            self._acks = AckFinder()

    def go_on(self, state: LinkState) -> None:
        """The tap has told how the connection stands where it has been read up to: take over what is not known."""
        standing = state.standing
        if standing is None or state.held or self._position != standing.from_master or not self._lacks(standing):
            return
        if self._finder is not None:
            self._close_finder()
            self._finder = None
        self._leave(self.conversation)
        before, acks = self.conversation, self._acks
        self.conversation = self._player.conversation(self)
        self._stand_at(dataclasses.replace(standing, from_replica=before.from_replica))
        self._acks = acks or self._acks

    def _lacks(self, standing: Standing) -> bool:
        """Whether that tells what is not known here."""
        if self._finder is not None:
            return True
        stream = self.conversation.stream
        if stream is None or stream.scanner.broken:
            return standing.phase == Phase.STREAM.value
        return (stream.offset is None and standing.offset is not None) or (stream.db is None and standing.db is not None)

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
        if self._unbegun is not None:
            self._waiting.append(event)
            if len(self._waiting) > MAX_HELD:
                self._begin_unbegun()
            return
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
        if self._unbegun is not None:
            self._begin_unbegun()
        elif self.conversation.stream is not None:
            self.conversation.stream.begin()

    def _begin_unbegun(self) -> None:
        stream, self._unbegun = self._unbegun, None
        waiting, self._waiting = self._waiting, []
        assert stream is not None
        stream.end()
        for event in waiting:
            self.tell(event)

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
        if self._finder is None and self.conversation.has_missed_rdb_end:
            self._lose("the end of the RDB is not in the capture")

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

    def _close_finder(self) -> None:
        """What it holds is all that comes for it."""
        assert self._finder is not None
        found = self._finder.close()
        if found is not None:
            self._join(found)

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
            begin = self._replica_position
            self._tell_gap(Side.REPLICA, begin, begin + size, None)
            conversation.skip_from_replica(begin + size - conversation.from_replica)
            self._acks = AckFinder()
            return
        begin = self._position
        omits, self._omits_rdb = self._omits_rdb, False
        if omits and conversation.skip_rdb(size):
            return
        in_rdb = 0 if self._finder is not None else conversation.skip_in_rdb(size)
        if in_rdb:
            self._tell_gap(Side.MASTER, begin, begin + in_rdb, None)
            begin, size = begin + in_rdb, size - in_rdb
            if not size:
                return
        replid, offset, position = self._joins_at
        stream = conversation.stream
        if self._finder is not None:
            skipped = self._finder.skipped + self._finder.kept
            offset, position = None if offset is None else offset + skipped, position + skipped
        elif stream is None or stream.base is None:
            self._lose(f"{size} bytes are not in the capture")
            replid, offset, position = self._joins_at
        else:
            replid, offset, position = conversation.replid, conversation.offset, conversation.from_master
            if self.is_ours and self._tells_resyncs and stream.is_continuing:
                self._unbegun = stream
            else:
                stream.end()
        self._tell_gap(Side.MASTER, begin, begin + size, offset)
        self._joins_at = replid, None if offset is None else offset + size, position + size
        self._finder = BoundaryFinder()

    def _lose(self, why: str) -> None:
        """It can only be read on from the next command that is found, of which the offset is not known."""
        self.conversation.lost(Side.MASTER, why)
        self._joins_at = None, None, self.conversation.from_master
        self._finder = BoundaryFinder()

    @property
    def _position(self) -> int:
        """Bytes of the master until now."""
        if self._finder is None:
            return self.conversation.from_master
        return self._joins_at[2] + self._finder.skipped + self._finder.kept

    @property
    def _replica_position(self) -> int:
        """Bytes of the replica until now."""
        waiting = 0 if self._acks is None else self._acks.skipped + self._acks.kept
        return self.conversation.from_replica + waiting

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
        if self._unbegun is not None:
            self._begin_unbegun()
        if self._finder is not None:
            self._close_finder()
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
                    bytes_from_replica=self._replica_position,
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
            bytes_from_replica=self._replica_position,
            full_resyncs=self._resyncs[events.FullResync.kind],
            partial_resyncs=self._resyncs[events.PartialResync.kind],
        )

    def _ends(self) -> tuple[str, str]:
        """The addresses of replica and master."""
        if self._opened is not None:
            return str(self._opened["peer"]), str(self._opened["master"])
        ends = self.connection.ends
        return _place(self.peer), _place(ends[1] if self.peer == ends[0] else ends[0])


def _place(end: Endpoint) -> str:
    return f"[{end.host}]:{end.port}" if ":" in end.host else f"{end.host}:{end.port}"
