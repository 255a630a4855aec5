"""One connection between a replica and its master: bytes of both directions in, events out.

A conversation routes. The master's bytes go to the reader of the current phase (phase.py): HandshakeReader for replies,
Snapshot for the RDB, Stream for commands; in an opaque connection they are only counted. The replica's bytes go to the
reader of requests; but once there is a stream, a fast path tries them first as an acknowledgement, the request that may
come a thousand times a second.

The parts write what they learn into the shared state, which the conversation itself is, and report events through one
callback. A callback, because in a two-connection sync the bytes of one connection cause events of the other, and only a
callback keeps the order of these events. The parts have __slots__, because a tap may carry thousands of connections.

    receive_from_master ──┬─> HandshakeReader.read_reply ──> Resync.answered, announced
                          ├─> Resync.read_rdb ──> Snapshot
                          ├─> Stream.receive
                          └─> Passing                 an ordinary connection
    receive_from_replica ─┬─> acknowledgements ──> Stream.acknowledge
                          └─> HandshakeReader.requested ──> Identity.heard, Resync.requested_...
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tap.replication import events
from tap.replication.acks import acknowledged, acknowledgements
from tap.replication.events import Event, Role, Side
from tap.replication.grants import is_number
from tap.replication.handshake import HandshakeReader
from tap.replication.heads import Head
from tap.replication.identity import Identity
from tap.replication.memory import Memory, Past
from tap.replication.phase import REPLIES, Lost, Phase
from tap.replication.replies import LineTooLong
from tap.replication.requests import Newlines, Nonsense, Request, RequestReader
from tap.replication.resuming import Resuming
from tap.replication.resync import Resync
from tap.replication.standing import Standing
from tap.replication.state import State
from tap.replication.stream import MAX_COMMAND, Stream
from tap.replication.talkback import TalkBack


class Conversation(State):
    """One connection. Each event is passed to *tell* as soon as it is known; those of an RDB channel's RDB are passed to
    the *tell* of its main connection.

    The receive methods never raise because of a peer's bytes. An exception from them is a bug in redis-tap.
    """

    __slots__ = ("_handshake", "_memory", "_talk_back", "resync")

    def __init__(
        self,
        tell: Callable[[Event], None],
        *,
        memory: Memory | None = None,
        connection: int = 0,
        peer_host: str = "",
        peer_port: int = 0,
        every_command: bool = False,
        every_key: bool = False,
        max_command: int = MAX_COMMAND,
        tell_heads: Callable[[Stream, list[Head]], None] | None = None,
        wants: Callable[[type[Event]], bool] = lambda kind: True,
        opaque: bool = False,
    ) -> None:
        """memory: shared by all conversations with one master. connection: the connection's number.

        peer_host, peer_port: the replica's source address; the host is its name until it announces another; port 0:
        unknown. every_command: report each Command, too; arguments are left out if a command has more than max_command
        bytes, because it takes several times as much memory. every_key: report each key of an RDB. tell_heads: called
        with names, keys and sizes of the commands as they arrive; an alternative to every_command. wants: called before
        each Ack, Command and RdbKey is constructed. opaque: only count, from the first byte on.
        """
        identity = Identity(peer_host, peer_port)
        super().__init__(tell, connection, identity, every_command, every_key, max_command, tell_heads, wants)
        self._memory = Memory() if memory is None else memory
        self.resync = Resync(self, self._memory)
        self._handshake = HandshakeReader(self, self.resync)
        self._talk_back: TalkBack | None = None
        if opaque:
            self.enter(Phase.OPAQUE)
            self._handshake.is_read = False

    # ---- the present state; more in State ----

    @property
    def phase(self) -> Phase:
        """The phase from the replica's point of view; see Resync.phase."""
        return self.resync.phase

    @property
    def rdb_channel(self) -> Conversation | None:
        """The connection that carries the RDB of this main connection's sync."""
        channel = self.resync.channel
        if channel is None:
            return None
        assert isinstance(channel.state, Conversation)
        return channel.state

    @property
    def undecided_from_replica(self) -> int:
        """Position of the replica's first byte that is not part of a whole request yet. If requests are not read: the
        position after all bytes received. On an ordinary connection only the name of a request has to be whole.
        """
        if self.passing is not None and self.step is Phase.ORDINARY:
            return self.passing.undecided
        return self._handshake.requests.position if self._handshake.is_read else self.from_replica

    @property
    def undecided_from_master(self) -> int:
        """Position of the master's first byte that is not part of a whole reply yet; after the handshake, of the next."""
        return self._handshake.reply_begin if self.step in REPLIES else self.from_master

    @property
    def only_counts(self) -> bool:
        """Whether the bytes of both sides are only counted from here on."""
        is_passed_by = self.step in (Phase.ORDINARY, Phase.OPAQUE)
        return is_passed_by and not self._handshake.is_read and self.stream is None

    def skippable(self, side: Side) -> float:
        """How many of the side's next bytes need not be passed to a receive method: skipped() takes their number."""
        if self.only_counts:
            return math.inf
        if self.passing is None or self.step is not Phase.ORDINARY:
            return 0
        return self.passing.skippable(side is Side.MASTER)

    def skipped(self, side: Side, size: int) -> None:
        """Count bytes that arrived and were not passed to a receive method."""
        if self.passing is not None:
            self.passing.skip(side is Side.MASTER, size)
        if side is Side.MASTER:
            self.from_master += size
        else:
            self.from_replica += size

    # ---- from the master ----

    def receive_from_master(self, data: bytes | memoryview, at: float = 0.0) -> None:
        """Take the master's next bytes, in chunks of any size. at: seconds, of any one clock."""
        begin = self.from_master
        self.from_master += len(data)
        if self.stream is not None:
            self._read_stream(self.stream, data, at)
            return
        if self.passing is not None and self.step is Phase.ORDINARY:
            self.passing.from_master(data)
            return
        i = 0
        try:
            while i < len(data):
                if self.stream is not None:
                    self._read_stream(self.stream, data[i:], at)
                    return
                if self.step is Phase.RDB:
                    i += self.resync.read_rdb(data[i:] if i else data, at)
                elif self.step in REPLIES:
                    data = bytes(data)  # a few bytes of lines, or the chunk in which the RDB begins
                    i = self._handshake.read_reply(data, i, begin, at)
                    self._handshake.take_given(begin + i, at)
                else:
                    return
        except LineTooLong as error:
            self._lose(Side.MASTER, begin + error.at, str(error))
        except Lost as lost:
            self._lose(Side.MASTER, begin + i if lost.at is None else lost.at, str(lost))

    def _read_stream(self, stream: Stream, data: bytes | memoryview, at: float) -> None:
        problem = stream.receive(data, at)
        if problem is not None:
            self._lose(Side.MASTER, *problem)

    # ---- from the replica ----

    def receive_from_replica(self, data: bytes | memoryview, at: float = 0.0) -> None:
        """Take the replica's next bytes, as receive_from_master()."""
        start = self.from_replica
        self.from_replica += len(data)
        handshake = self._handshake
        if not handshake.is_read:
            return
        if self.passing is not None and self.step is Phase.ORDINARY:
            found = handshake.follow(self.passing, data)
            if found is None:
                return
            data = found
        if self.stream is not None and self.watcher is None:
            requests = handshake.requests
            is_between = requests.position == start
            ack = acknowledged(data) if is_between else None
            if ack is not None:
                requests.skip(len(data))
                offset, fsynced = ack
                self._acknowledged(offset, fsynced, start, self.from_replica, at)
                return
            begun = b"" if is_between else requests.take_array()
            if is_between or begun:
                data = self._read_acks(requests, begun + bytes(data), at)
        handshake.requests.feed(data)
        try:
            while (item := handshake.next_request()) is not None:
                if isinstance(item, Newlines):
                    self._newlines(item)
                elif isinstance(item, Nonsense):
                    if not handshake.is_strangers_nonsense(item.start):
                        self._lose(Side.REPLICA, item.start, item.why)
                else:
                    assert isinstance(item, Request)
                    self._requested(item, at)
            if handshake.is_read:
                handshake.is_a_stranger_so_far()
        except Lost as lost:
            self._lose(Side.REPLICA, handshake.requests.position, str(lost))

    def _read_acks(self, requests: RequestReader, data: bytes, at: float) -> bytes:
        """Read the acknowledgements at the front of the data, which begin between two requests. Returns the rest."""
        start = requests.position
        found, end = acknowledgements(data, self.has_kept_alive(Side.REPLICA))
        requests.skip(end)
        for offset, fsynced, first, after in found:
            self._acknowledged(offset, fsynced, start + first, start + after, at)
        return data[end:]

    def _newlines(self, item: Newlines) -> None:
        if self.watcher is not None:
            self.watcher.newlines(Side.REPLICA, item.start, item.end)
        if not item.again:
            self.keep_alive(Side.REPLICA, item.start, item.start + 1)

    def _requested(self, request: Request, at: float) -> None:
        if self.watcher is not None:
            request = self.watcher.request(request)
        words = request.args
        if request.name == b"REPLCONF" and len(words) > 2 and words[1].upper() in (b"ACK", b"GETACK"):
            self._maybe_acknowledged(request, at)
        elif self.step in REPLIES:
            self._handshake.requested(request, at)
        elif self.step in (Phase.RDB, Phase.STREAM):
            # Servers ignore such a request, or close the connection; Redis 6.2 replies, into the stream, which then
            # stops being understood.
            self._talked_back(request)

    def _talked_back(self, request: Request) -> None:
        if self._talk_back is None:
            self._talk_back = TalkBack(self.tell)
        self._talk_back.heard(request)

    def _maybe_acknowledged(self, request: Request, at: float) -> None:
        """Read REPLCONF ACK <offset> [FACK <offset>]; ignore GETACK, which means nothing from a replica."""
        words = request.args
        if words[1].upper() == b"ACK" and is_number(words[2]):
            with_fsynced = len(words) > 4 and words[3].upper() == b"FACK" and is_number(words[4])
            fsynced = int(words[4]) if with_fsynced else None
            self._acknowledged(int(words[2]), fsynced, request.start, request.end, at)

    def _acknowledged(self, offset: int, fsynced: int | None, start: int, end: int, at: float) -> None:
        if self.resync.sync is not None or self.stream is None:
            self.resync.acknowledged()
        self.acknowledges = True
        if self.stream is None and self.rdb is not None:
            self.rdb.watch()
        if self.stream is not None:
            if self.stream.acked is None:
                self.resync.loaded(at)
            self.stream.acknowledge(offset, fsynced, start, end, at)
        elif (self.step is Phase.OPAQUE and self.role is Role.REPLICA) or (self.step in REPLIES and self.is_unmatched):
            self.resync.identify(Role.REPLICA, start, end)
            self.acked = offset
            ack = events.Ack(start=start, end=end, offset=offset, fsynced=fsynced, lag_bytes=None, lag_seconds=None)
            self.tell(ack)

    # ---- bytes that a recording lacks ----

    @property
    def _resuming(self) -> Resuming:
        return Resuming(self, self._memory, self._handshake, self.resync)

    def join(self, from_master: int, from_replica: int, replid: str | None, offset: int | None) -> None:
        """Begin in the middle of a stream: the next byte of the master is the first of a command.

        from_master, from_replica: bytes of each direction before this place. replid, offset: of the last byte before the
        master's next one; None if unknown. To be called before anything is received. Reports StreamStarted.
        """
        self._resuming.join(from_master, from_replica, replid, offset)

    def stand(self, standing: Standing, main: Conversation | None) -> None:
        """Continue where another conversation stood. main: the conversation whose RDB this one carries, None if unknown.

        To be called before anything is received. Reports StreamStarted if the other conversation had, or if the stream's
        offset is known. Raises ValueError for an impossible standing.
        """
        self._resuming.stand(standing, None if main is None else main.resync)

    def standing(self, *, at_boundary: bool = False) -> Standing:
        """Where the conversation stands after all bytes received; at_boundary: after the stream's last whole command.

        Not to be used while is_beginning: a reader then needs all bytes since the first.
        """
        return self._resuming.standing(at_boundary=at_boundary)

    def skip(self, from_master: int, from_replica: int) -> None:
        """Start at these positions: the bytes before them are missing. To be called before anything is received."""
        self._resuming.skip(from_master, from_replica)

    def skip_from_replica(self, size: int) -> None:
        """The replica's next bytes are missing; after them a request begins. See HandshakeReader.skip_requests()."""
        self._handshake.skip_requests(size)

    def skip_replies(self, size: int) -> bool:
        """The master's next bytes are missing; after them a reply begins. False: the master sends no replies."""
        return self._handshake.skip_replies(size)

    def skip_in_rdb(self, size: int) -> int:
        """The master's next bytes are missing. Returns how many of them are the RDB's: see Snapshot.skip()."""
        return self.resync.snapshot.skip(size)

    def skip_rdb(self, size: int) -> bool:
        """The master's next bytes, the rest of the RDB with its mark, are missing. Returns False if no RDB is passing."""
        return self.resync.snapshot.skip_rest(size)

    def pass_over(self, side: Side, size: int) -> None:
        """The next bytes of an ordinary connection are missing. Where a request begins after them is unknown."""
        self._handshake.stop_following()
        self.skipped(side, size)

    def unmatch(self, *, lacks_replica: bool = False) -> None:
        """Some bytes of the handshake are missing. lacks_replica: the replica's. See HandshakeReader.unmatch()."""
        self.lacks_replica |= lacks_replica
        self._handshake.unmatch()

    @property
    def lacks_answer(self) -> bool:
        """Whether the replica acknowledges a stream although the line that granted it is missing."""
        return self.resync.lacks_answer

    @property
    def has_missed_rdb_end(self) -> bool:
        """See Snapshot.has_missed_end."""
        return self.resync.snapshot.has_missed_end

    # ---- time and end ----

    def tick(self, at: float, *, held_back: bool = False, waiting: int = 0) -> None:
        """Report what is due by time. To be called about ten times a second.

        That a replica has caught up is reported once it is known; a batch of commands once a second. held_back: the
        master is not being read, because the replica does not read. waiting: bytes of the master that the system holds.
        """
        if self.stream is not None:
            self.stream.tick(at, held_back=held_back, waiting=waiting)

    def close(self) -> None:
        """Both directions have ended: report what is still pending. Nothing may be received afterwards."""
        unloaded = self.phase.value if self.phase in (Phase.WAITING, Phase.RDB, Phase.LOADING) else ""
        self.resync.snapshot.finish_if_complete()
        self.resync.snapshot.tell_started(at_last=True)
        if self.stream is not None:
            if self.is_unmatched:  # the stream may wait for an RDB on a connection that is not known
                self.stream.begin()
            self.stream.end()
        self._handshake.close()
        if self._talk_back is not None:
            self._talk_back.close()
        self._handshake.close_unidentified()
        if self.role is Role.REPLICA and not self.identity.is_nameless(self.role):
            has_said_nothing = self.step is Phase.STREAM and not unloaded and self.rdb is None and self.acked is None
            if self.replid is not None:
                self._memory.left(self.replica, Past(self.replid, self.offset, unloaded, has_said_nothing))
            elif self.step is Phase.PSYNC:
                self._memory.unanswered(self.replica)
        self.resync.close()

    def lost(self, side: Side, why: str) -> None:
        """Stop reading what *side* sends, because reading failed."""
        position = self.from_master if side is Side.MASTER else self.from_replica
        self._lose(side, position, why)

    def _lose(self, side: Side, position: int, why: str) -> None:
        handshake = self._handshake
        if side is Side.REPLICA:
            handshake.is_read = False
            handshake.requests = RequestReader()
            if self.step is Phase.STREAM or self.resync.snapshot.ends_without_replica:
                # The master's bytes can still be understood, except the end of a diskless RDB that cannot be parsed.
                self.tell(events.Opaque(start=position, end=position, side=side, reason=why))
                return
        if self.step is Phase.ORDINARY:
            handshake.stop_following()
        elif self.step is not Phase.OPAQUE:
            handshake.forget_older()
            if self.is_unmatched and self.step in REPLIES:
                why = f"bytes of its handshake are not in the capture; {why}"
            self.enter(Phase.OPAQUE)
            if side is Side.MASTER and (self.stream is None or position == self.stream.begins_at):
                why += self.identity.way_out
            self.tell(events.Opaque(start=position, end=position, side=side, reason=why))
