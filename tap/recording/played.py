"""One connection of a capture while it is played: its two ends, what a tap said about it, and what is missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from tap.bus import Told
from tap.capture.assembly import Assembler, Ended, Item
from tap.capture.tcp_connection import TcpConnection
from tap.recording.announcements import Announcements
from tap.recording.batch import Batch
from tap.recording.boundary import RequestFinder
from tap.recording.comments import NOT_UNDERSTOOD, Comment, LinkState, OpeningComment
from tap.recording.gap_tracker import GapTracker
from tap.recording.held_bytes import HeldBytes
from tap.recording.held_events import HeldEvents
from tap.recording.link import Link
from tap.recording.missing import Missing
from tap.recording.playing import Playing
from tap.recording.quiet_offset import QuietOffset
from tap.recording.rejoining import Rejoined, Rejoining
from tap.recording.role_evidence import Missed, RoleEvidence, RoleVerdict, may_be_a_stream
from tap.recording.sides import Sides
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Event, Role, Side
from tap.replication.heads import Head
from tap.replication.phase import Phase
from tap.replication.standing import Standing
from tap.replication.stream import Stream

_MASTER = 1  # the end of a connection that a tap recorded


class Played:
    """One connection of a capture. opened, state: the comment on its first packet, where a tap recorded it."""

    def __init__(
        self,
        player: Playing,
        connection: TcpConnection,
        opened: OpeningComment | None,
        state: LinkState | None = None,
        *,
        said: Sequence[Comment] = (),
    ) -> None:
        """said: all comments on its first packet."""
        self._player = player
        self.serial = player.connections
        self.connection = connection
        self.is_ours = opened is not None
        self._sides = Sides(is_known=connection.from_start or self.is_ours)
        self.peer, master = connection.ends
        self.name = str(master) if opened is None else opened.link
        self.number = player.number(None if opened is None else opened.connection)
        self._report = HeldEvents(player.tell, self._lacks_named, is_released=self.is_ours)
        self._bytes = HeldBytes(self, player)
        self.note = self._bytes.note
        self._announced = Announcements()
        self._rejoining: Rejoining | None = None
        self._acks: RequestFinder | None = None
        self._begins: int  # position of the master's first known byte, once its side has been decided by evidence
        self._first_end: tuple[Side, str, dict[Side, float]] | None = None  # and the seconds since each side's last byte
        self._is_cut = False  # some packets were cut short
        self._quiet = QuietOffset()
        self._gaps = GapTracker(self._report.lacks, lambda: player.now)
        self._has_ended = False
        self._said_ends = None if opened is None else (opened.peer, opened.master)
        self._heard: dict[Side, float] = {}  # when a side's last byte came
        self._opened_at = player.now / 1e9 if connection.from_start else None
        self.closed: float | None = None
        self._first_offset: int | None = None
        self._resyncs = {events.FullResync.kind: 0, events.PartialResync.kind: 0}
        self.conversation = player.conversation(self)
        if state is not None:
            self._stand(state)
        elif not self._sides.is_undecided:
            peer_address, master_address = self.ends
            self._say(events.LinkOpened(peer=peer_address, master=master_address))
        for comment in said:
            self.announce(comment)

    def _stand(self, state: LinkState) -> None:
        """Begin in the state that the tap recorded."""
        self.is_ours = True
        self._report.is_released = True
        self._sides.settle()
        self.name = state.link
        self._said_ends = state.peer, state.master
        self.number = self._player.number(state.connection)
        self.conversation = self._player.conversation(self)
        for said in state.comments:
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
            self.conversation.lost(Side.MASTER, f"the recording states an impossible state of it: {error}")
        if self.conversation.phase in (Phase.STREAM, Phase.LOADING):
            self._acks = RequestFinder()

    @property
    def is_reported(self) -> bool:
        """Whether its events are reported: it replicates, or a tap recorded it."""
        return self._report.is_released

    @property
    def opened_at(self) -> float | None:
        """Seconds since the epoch; None if its beginning was not captured."""
        return self._opened_at

    @property
    def ends(self) -> tuple[str, str]:
        """The addresses of replica and master."""
        if self._said_ends is not None:
            return self._said_ends
        ends = self.connection.ends
        return str(self.peer), str(ends[1] if self.peer == ends[0] else ends[0])

    def go_on(self, state: LinkState) -> None:
        """Take over what is not known here from the state that the tap recorded at this position."""
        standing = state.standing
        if standing is None or state.held or self._position != standing.from_master or not self._lacks(standing):
            return
        if self._rejoining is not None:
            self._close_search()
            self._rejoining = None
        self._leave(self.conversation)
        self._gaps.end_replies(is_understood=True)
        before, acks = self.conversation, self._acks
        self.conversation = self._player.conversation(self)
        self._stand_at(dataclasses.replace(standing, from_replica=before.from_replica))
        self._acks = acks or self._acks
        self._gaps.end(Side.REPLICA, before.from_replica)
        stream = self.conversation.stream
        if stream is None or not stream.is_within_command:
            self._gaps.end(Side.MASTER, standing.from_master, standing.offset)

    def _lacks(self, standing: Standing) -> bool:
        """Whether *standing* says anything that is not known here."""
        if self._rejoining is not None or (self.conversation.is_unmatched and self.conversation.stream is None):
            return True
        stream = self.conversation.stream
        if stream is None or stream.is_broken:
            return standing.phase == Phase.STREAM.value
        return (stream.offset is None and standing.offset is not None) or (stream.db is None and standing.db is not None)

    def knows(self, state: LinkState) -> bool:
        """Whether everything before this state has been read."""
        come = self._position + self.connection.waiting(_MASTER)
        return self.is_ours and self.number == state.connection and come >= state.from_master - state.held

    def break_off(self, state: LinkState) -> bool:
        """End here: either the connection goes on in a later state, or another one has its addresses now.

        Returns whether it goes on.
        """
        begin, offset = self._position, self.conversation.offset
        self.end()
        goes_on = state.standing is not None and self.is_ours and self.number == state.connection
        if goes_on and state.standing is not None:
            gap = events.RecordingGap(
                start=begin,
                end=state.from_master,
                side=Side.MASTER,
                bytes=state.from_master - begin,
                from_offset=offset,
                to_offset=None if offset is None else state.standing.offset,
            )
            self._say(gap)
            offsets = gap.from_offset, gap.to_offset
            self._gaps.gap(Side.MASTER, begin, state.from_master, self.conversation.replid, offsets)
        return goes_on

    def begin_after_gap(self) -> None:
        """Report a gap: bytes before the state are missing, so the command in which it begins cannot be read."""
        stream = self.conversation.stream
        if stream is not None and stream.is_within_command:
            self._gaps.begin_gap(self._position, self.conversation.replid, stream.begin_offset, 0)

    # ---- events ----

    def tell(self, event: Event) -> None:
        """The conversation reports an event."""
        self._player.wake(self)
        if isinstance(event, events.FullResync | events.PartialResync):
            self._resyncs[event.kind] += 1
        event = self._announced.completed(event)
        if self._sides.proves(event, self.conversation):
            self._is_replication()
        if isinstance(event, events.StreamStarted) and self._first_offset is None:
            self._first_offset = event.offset
        if isinstance(event, events.PartialResync):
            self._player.account.resynced(event)
        if isinstance(event, events.Opaque):
            self._not_understood(event)
        if isinstance(event, events.RdbProblem) and event.problem in ("damaged", "unknown"):
            self._gaps.bad_rdb(event.start, event.text)
        if isinstance(event, events.RdbFinished):
            self._gaps.end_rdb(event.end, is_whole=True)
        self._say(event)

    def _say(self, event: Event) -> None:
        """Report an event of the conversation, or one that the capture itself makes."""
        told = Told(self._player.now / 1e9, self.name, self.number, self.conversation.replica, event)
        self._report.tell(told)

    def count(self, stream: Stream, heads: list[Head]) -> None:
        """Report commands."""
        base = stream.begin_offset
        self._player.count(Batch(self._at, self.name, self.number, stream.replid, base, heads, previous=stream.previous))

    def _is_replication(self) -> None:
        if not self._report.is_released:
            self._bytes.begin(self._report.release)
        self._player.replicating += 1

    def announce(self, said: Comment) -> None:
        """Take a comment on the next packet."""
        self._announced.hear(said)
        conversation = self.conversation
        if said.kind == NOT_UNDERSTOOD:
            conversation.compares_acks = conversation.measures = True
        elif (db := said.carried_db) is not None:
            conversation.carried_db = db
        elif said.doubts_stream and conversation.stream is not None:
            conversation.stream.doubt()

    def left_out(self, said: Comment, assembler: Assembler) -> Iterator[Item]:
        """Go on at once after the bytes that the tap says it did not record."""
        if said.left_out is not None:
            side, position = said.left_out
            end = 0 if side is Side.REPLICA else 1  # of a connection that a tap recorded
            yield from assembler.skip(self.connection, end, position, self._player.now)

    # ---- bytes ----

    @property
    def _at(self) -> float:
        return self._player.now / 1e9

    def receive(self, end: int, data: bytes, *, is_late: bool = False) -> None:
        """is_late: packets captured long after these bytes were played before them."""
        sides = self._sides
        if sides.is_late(end, is_late=is_late):
            self._player.remark(
                f"{self.name}: the bytes of one side come after all those of the other, and are left out; give the "
                "capture as a file, not through a pipe"
            )
        elif sides.is_undecided:
            self._decide(sides.heard(end, data))
        elif not self._report.is_released and sides.refutes(end, data):
            self._reconsider(end, len(data))
            self.receive(end, data)
        else:
            self._pass_on(end, data)

    def _reconsider(self, end: int = 0, size: int = 0) -> None:
        """The verdict was wrong, or no longer holds: start over, before the last *size* bytes of an end."""
        positions = [half.position for half in self.connection.halves]
        positions[end] -= size
        self._sides.reconsider(positions)
        self._report.forget()
        self._gaps.forget()
        self._bytes.forget()
        self._rejoining = self._acks = None

    def _pass_on(self, end: int, data: bytes) -> None:
        side = self._sides.side(end)
        self._heard[side] = self._at
        if side is Side.MASTER:
            self._from_master(data)
        else:
            self._from_replica(data)

    def _from_master(self, data: bytes) -> None:
        if self._rejoining is None:
            self._read(data)
        elif (found := self._rejoining.feed(data)) is not None:
            self._join(found)
        self._gaps.heard(Side.MASTER)

    @property
    def _is_unproven(self) -> bool:
        """Whether only evidence, which may be wrong, says that it replicates."""
        return not self._report.is_released and self._sides.evidence is not None

    def _read(self, data: bytes) -> None:
        begin = self.conversation.from_master
        self.conversation.receive_from_master(data, self._at)
        if self.conversation.is_unmatched and self._is_lost():
            if self._is_unproven:
                self._reconsider()
                return
            self._gaps.end_replies(is_understood=False)
            self._rejoining = Rejoining(begin)
            self._from_master(data)
            return
        self._bytes.received(Side.MASTER, data)
        stream = self.conversation.stream
        if stream is not None and self._gaps.is_open(Side.MASTER) and stream.is_read:
            # The capture began inside a command, which has ended by now.
            self._gaps.end(Side.MASTER, stream.begins_at, stream.begin_offset)
        if self._player.at_once and stream is not None and stream.is_placed:
            stream.begin()
        if self._player.watch is not None:
            self._player.watch.received(self.serial, self.name, self.conversation, data, self._player.now)

    def _from_replica(self, data: bytes) -> None:
        self._gaps.heard(Side.REPLICA)
        if self._is_unproven and self._sides.confirms(data) and self._is_silent_or_streams():
            self._is_replication()
        if self._acks is not None:
            found = self._acks.feed(data)
            if found is None:
                return
            self.conversation.skip_from_replica(self._acks.skipped)
            self._acks = None
            data = found
        stream = self.conversation.stream
        if stream is not None and self._rejoining is None and not self.is_ours:
            stream.compares_acks = not self.connection.lacks(self._sides.master)
        self.conversation.receive_from_replica(data, self._at)
        self._bytes.received(Side.REPLICA, data)
        if not self.is_ours:
            self._place_by_acks()
        if self._rejoining is None and self.conversation.has_missed_rdb_end:
            self._lose("the end of the RDB is not in the capture")
        if self._rejoining is None and self.conversation.lacks_answer:
            if self._is_unproven:  # it may be acknowledging, or never have asked
                self._reconsider()
                return
            self._gaps.end_replies(is_understood=False)
            self._rejoining = Rejoining(self.conversation.from_master)

    def _place_by_acks(self) -> None:
        """Learn the offset of a stream whose beginning was not captured, once the acknowledgements show it."""
        conversation, stream, rejoining = self.conversation, self.conversation.stream, self._rejoining
        acked = conversation.acked if stream is None else stream.acked
        if acked is None or self.connection.lacks(self._sides.master):
            return
        if rejoining is not None:
            is_at_start = rejoining.offset is None and rejoining.position == rejoining.start
            if is_at_start and self._quiet.acknowledged(acked, rejoining.start, self._at):
                self._rejoining = Rejoining(rejoining.start, acked, rejoining.replid, is_boundary=True)
            return
        if stream is None or not stream.has_begun or stream.is_broken or stream.offset is not None:
            return
        if stream.boundary != self._position or stream.in_transaction:
            return
        if self._quiet.acknowledged(acked, self._position, self._at):
            standing = dataclasses.replace(conversation.standing(), offset=acked)
            self._leave(conversation)
            self.conversation = self._player.conversation(self)
            self._stand_at(standing)
            self._bytes.goes_on()
            self._acks = None  # the replica stands between two acknowledgements

    def _is_silent_or_streams(self) -> bool:
        """Whether the master's end sends nothing or a stream; if the acknowledgements were values, it would reply."""
        stream = self.conversation.stream
        return self._position == self._begins or (stream is not None and not stream.is_broken)

    def _is_lost(self) -> bool:
        """Whether the bytes after a gap in a replica's handshake cannot be understood."""
        conversation = self.conversation
        return conversation.role is Role.REPLICA and conversation.stream is None and conversation.phase is Phase.OPAQUE

    def _join(self, found: Rejoined) -> None:
        """Read the stream from here on, in a new conversation."""
        assert self._rejoining is not None
        if not self._report.is_released and not may_be_a_stream(found.data):
            self._reconsider()
            return
        replid = self._rejoining.replid
        self._rejoining = None
        before = self.conversation
        self._leave(before)
        self._gaps.end(Side.MASTER, found.position, found.offset)
        self._gaps.end(Side.REPLICA, self._replica_position)
        self.conversation = self._player.conversation(self)
        self.conversation.join(found.position, before.from_replica, replid, found.offset)
        self._acks = self._acks or RequestFinder()
        if not self._report.is_released:
            self._is_replication()
        self._bytes.goes_on()
        self._read(found.data)

    def _close_search(self) -> None:
        """End the search with the bytes that it holds; no more will come."""
        assert self._rejoining is not None
        found = self._rejoining.close()
        if found is not None:
            self._join(found)

    def _leave(self, conversation: Conversation) -> None:
        if self._player.watch is not None:
            self._player.watch.ended(conversation)
        stream = conversation.stream
        if stream is None or stream.replid is None:
            return
        begin, end = stream.begin_offset, stream.boundary_offset
        if begin is not None:
            assert end is not None  # the stream's place gives both
            self._player.account.read(self.name, self.number, stream.replid, begin, end)

    def _decide(self, verdict: RoleVerdict | None) -> None:
        """Once there is a verdict on a connection whose beginning was not captured, read the bytes held so far."""
        if verdict is None or (
            self.connection.from_start and verdict.replica == 1
        ):  # the replica is the end that connects
            return
        replica, undecided = verdict.replica, self._sides.decide(verdict)
        self.peer = self.connection.ends[replica]
        if not self.is_ours:
            self.name = str(self.connection.ends[1 - replica])
        self.conversation = self._player.conversation(self)
        skipped = undecided.skipped[1 - replica]
        self._begins = skipped
        self.conversation.skip(skipped, undecided.skipped[replica])
        if not verdict.is_whole:
            self.conversation.unmatch()
        if verdict.evidence is RoleEvidence.ACKS:
            self._rejoining, self._acks = Rejoining(skipped), RequestFinder()
        for end, item in undecided.held:
            if isinstance(item, Missed):
                self.missing(end, item)
            else:
                self._pass_on(end, item)

    # ---- what is missing ----

    def missing(self, end: int, missed: Missed) -> None:
        """Go on after bytes of an end that are not in the capture."""
        if self._sides.is_undecided:
            self._decide(self._sides.missing(end, missed))
            return
        size, is_cut = missed.size, missed.is_cut
        self._is_cut |= is_cut
        side = self._sides.side(end)
        was_beginning = not self._report.is_released and self._sides.evidence is not RoleEvidence.ACKS
        if self.conversation.phase is Phase.ORDINARY and self._rejoining is None and not was_beginning:
            self.conversation.pass_over(side, size)
            return
        if side is Side.REPLICA:
            conversation = self.conversation
            begin = self._replica_position
            lacks = ("handshake",) if conversation.stream is None and not conversation.is_in_rdb else ("acks",)
            self._tell_gap(Side.REPLICA, begin, begin + size, None, is_cut, lacks)
            self._gaps.gap(Side.REPLICA, begin, begin + size)
            conversation.skip_from_replica(begin + size - conversation.from_replica)
            self._acks = RequestFinder()
            if was_beginning:
                self._reconsider()
            return
        if self._rejoining is not None and self._rejoining.begins_with_command:
            self._close_search()  # two gaps may be too close together for a proof
        conversation = self.conversation
        begin = self._position
        omits, offsets = self._announced.take_gap()
        if omits:
            self._gaps.rdb_omitted(begin, begin + size)
            if conversation.skip_rdb(size):
                return
        if self._rejoining is None and (
            conversation.skip_replies(size) or (was_beginning and not conversation.is_in_rdb)
        ):
            self._tell_gap(Side.MASTER, begin, begin + size, None, is_cut, ("handshake",))
            if not omits:
                self._gaps.gap_in_replies(begin, begin + size, conversation.replid, offsets)
            if was_beginning:
                self._reconsider()
            return
        in_rdb = 0 if self._rejoining is not None else conversation.skip_in_rdb(size)
        if in_rdb:
            self._tell_gap(Side.MASTER, begin, begin + in_rdb, None, is_cut, ("keys", "checksum"))
            is_sure = not conversation.is_in_rdb or (conversation.rdb is not None and conversation.rdb.size is not None)
            self._gaps.gap_in_rdb(begin, begin + in_rdb, conversation.replid, offsets, is_sure=is_sure)
            begin, size = begin + in_rdb, size - in_rdb
            if not size:
                return
        self._begin_gap(begin, 0 if omits else size, offsets[0])
        stream = conversation.stream
        if self._rejoining is not None:
            before = self._rejoining
        elif stream is None or not (stream.is_placed or stream.has_begun):
            before = self._lose(f"{size} bytes are not in the capture")
        else:
            before = Rejoining(conversation.from_master, conversation.offset, conversation.replid)
            stream.compares_acks = False
            stream.end()
        self._tell_gap(Side.MASTER, begin, begin + size, before.offset, is_cut, ("commands", "db"))
        self._rejoining = before.after_gap(size)

    def unmatch(self, end: int) -> None:
        """Note that the next bytes answer bytes of this end that have not come, and may never come."""
        if not self._sides.is_undecided:
            self.conversation.unmatch(lacks_replica=self._sides.side(end) is Side.REPLICA)

    def _lose(self, why: str) -> Rejoining:
        """Lose the stream: reading goes on at the next command found, without an offset."""
        self.conversation.lost(Side.MASTER, why)
        self._rejoining = Rejoining(self.conversation.from_master)
        return self._rejoining

    @property
    def _position(self) -> int:
        """Number of the master's bytes so far."""
        return self.conversation.from_master if self._rejoining is None else self._rejoining.position

    @property
    def _replica_position(self) -> int:
        """Number of the replica's bytes so far."""
        waiting = 0 if self._acks is None else self._acks.skipped + self._acks.kept
        return self.conversation.from_replica + waiting

    def _tell_gap(
        self, side: Side, begin: int, end: int, offset: int | None, is_cut: bool, lacks: tuple[str, ...]
    ) -> None:
        if not self.is_ours:  # in a recording the tap's comment reports it
            self._say(
                events.RecordingGap(
                    start=begin,
                    end=end,
                    side=side,
                    bytes=end - begin,
                    from_offset=offset,
                    to_offset=None if offset is None else offset + end - begin,
                    is_cut=is_cut,
                    lacks=lacks,
                )
            )

    # ---- what cannot be reported ----

    def _begin_gap(self, begin: int, lost: int, offset: int | None) -> None:
        """Begin a gap of *lost* bytes of the master, which takes everything since the last reported command with it.

        offset: before the gap, if the tap recorded it.
        """
        stream = self.conversation.stream
        if self._rejoining is not None:
            begin -= self._rejoining.kept
            offset = self._rejoining.kept_offset
        elif stream is not None and not stream.is_broken:
            begin, offset = stream.boundary, stream.boundary_offset
        self._gaps.begin_gap(begin, self.conversation.replid, offset, lost)

    def _not_understood(self, event: events.Opaque) -> None:
        conversation, stream = self.conversation, self.conversation.stream
        offset = None
        if event.side is Side.MASTER and stream is not None:
            offset = stream.offset_at(event.start)
        self._gaps.begin_unread(event.side, event.start, event.reason, conversation.replid, offset)
        if conversation.only_counts:  # of the replica, too: then nothing says what the master's bytes are
            self._gaps.begin_unread(Side.MASTER, conversation.from_master, event.reason)

    def _lacks_named(self, missing: Missing) -> None:
        self._player.account.lacks(dataclasses.replace(missing, link=self.name, connection=self.number))

    # ---- time and end ----

    def ended(self, item: Ended) -> None:
        if self._sides.is_undecided:
            return
        side = self._sides.side(item.side)
        how = "reset" if item.is_reset else "fin"
        self._bytes.ended(side, how)
        if self._first_end is None:
            self._first_end = side, how, {one: self._at - heard for one, heard in self._heard.items()}
        if item.closed and not self.is_ours:
            self.end(reports=True)

    def close(self, at: float) -> None:
        """End where the tap recorded that the connection was closed. at: seconds since the epoch."""
        self.closed = at
        self.end()

    def end(self, *, reports: bool = False) -> None:
        """End the connection. reports: report its end, which the capture shows and no comment of a tap reports."""
        if self._has_ended:
            return
        self._has_ended = True
        self._player.wake(self)
        if self._sides.is_undecided:
            return
        if self._rejoining is not None:
            self._close_search()
        self._end_untold()
        conversation = self.conversation
        phase, offset = conversation.phase, conversation.offset
        conversation.close()
        self._leave(conversation)
        self._gaps.close(conversation.from_master)
        self._bytes.close(self._position, self._replica_position)
        if reports:
            assert self._first_end is not None
            by, how, silences = self._first_end
            self.closed = self._at
            self._say(
                events.LinkClosed(
                    by=by,
                    how=how,
                    text="",
                    role=conversation.role,
                    phase=Phase.DONE.value if conversation.phase is Phase.DONE else phase.value,
                    offset=offset,
                    bytes_from_master=conversation.from_master,
                    bytes_from_replica=self._replica_position,
                    master_silence=silences.get(Side.MASTER),
                    replica_silence=silences.get(Side.REPLICA),
                )
            )
        if not self._report.is_released:
            return
        if not self.is_ours:
            self._remark()
        if self._player.ended is not None:
            self._player.ended(self._facts(offset))

    def _remark(self) -> None:
        """Remark on peculiarities of its packets."""
        if self._is_cut:
            self._player.remark_cuts()
        if self.connection.disbelieved:
            what = ", ".join(f"{count} {kind}" for kind, count in self.connection.disbelieved.items())
            place = f"{self.name}/{self.number}"
            said = f"{place}: ignored {what} with sequence numbers that are not the connection's"
            self._player.remark(said, "such connections")
        for end in (0, 1):
            if not self.connection.halves[end].is_heard:
                speaks, lacks = ("replica", "resyncs, RDB and stream")
                if self._sides.side(end) is Side.REPLICA:
                    speaks, lacks = ("master", "requests and acknowledgements")
                said = f"{self.name}: only what the {speaks} sent was captured; {lacks} are not reported"
                self._player.remark(said, "such links")

    def _end_untold(self) -> None:
        """Report what could not be understood; nothing more comes that could change it."""
        rejoining, position = self._rejoining, self._position
        self._gaps.end_replies(is_understood=self.conversation.phase not in (Phase.PSYNC, Phase.WAITING))
        if rejoining is None:
            stream = self.conversation.stream
            offset = None if stream is None else stream.offset
        else:
            offset = rejoining.offset
            self._gaps.begin_unread(Side.MASTER, rejoining.start, "no whole command is among them")
        self._gaps.end(Side.MASTER, position, offset)
        self._gaps.end(Side.REPLICA, self._replica_position)

    def _facts(self, offset: int | None) -> Link:
        conversation = self.conversation
        peer, master = self.ends
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


def resume(
    player: Playing, link: Played | None, state: LinkState, join: Callable[[], tuple[Played | None, TcpConnection]]
) -> Played:
    """The connection in a state that a tap recorded: *link*, if all of its bytes before the state have been read.

    join: called otherwise; returns the one that had its addresses before, and the connection as it goes on from here.
    """
    if link is not None and link.knows(state):
        link.go_on(state)
        return link
    before, connection = join()
    goes_on = before is not None and before.break_off(state)
    resumed = Played(player, connection, None, state)
    if goes_on:
        resumed.begin_after_gap()
    return resumed
