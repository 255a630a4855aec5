"""One connection of a replica with its master: bytes of both directions in, events out.

Each direction is read by a grammar: FROM MASTER replies, then perhaps one RDB, then the stream; from the replica
requests, then acknowledgements. What the conversation has come to is its phase, and NEXT says what may follow what.
What cannot be understood makes it opaque: from there on bytes are only counted.

Protocol facts, unless said otherwise: Redis 7.0 replication.c, syncWithMaster and readSyncBulkPayload for the
replica's side, syncCommand and replconfCommand for the master's.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections import deque
from collections.abc import Callable

from tap.rdb.keys import Key
from tap.replication import events, strangers
from tap.replication.acks import acknowledged, acknowledgements
from tap.replication.events import Channel, Event, Reason, Role, Side
from tap.replication.heads import Head
from tap.replication.memory import Memory, Past
from tap.replication.passing import Passing, ReplyCounter
from tap.replication.payload import MARK_SIZE, Payload
from tap.replication.reasons import why_full, why_sync
from tap.replication.replies import MAX_LINE, LineReader, LineTooLong, ReplyReader
from tap.replication.requests import (
    COMPRESSIONS,
    UNDERSTOOD,
    Newlines,
    Nonsense,
    Request,
    RequestReader,
    hidden_answer,
    masked,
)
from tap.replication.standing import RdbStanding, Standing
from tap.replication.stream import MAX_COMMAND, Stream
from tap.replication.talkback import TalkBack
from tap.replication.unasked import UnaskedErrors, whole_errors
from tap.replication.watcher import Watcher


class Phase(enum.Enum):
    """What a connection has come to. The values are what users see and write."""

    CONNECT = "connect"  # nothing asked yet
    HANDSHAKE = "handshake"  # PING, AUTH, REPLCONF
    PSYNC = "psync"  # the master has not answered PSYNC yet
    WAITING = "waiting"  # for the RDB: granted, or SYNC sent
    RDB = "rdb"
    LOADING = "loading"  # the RDB is through, the replica has not acknowledged; see Conversation.phase
    STREAM = "stream"
    DONE = "done"  # the RDB was all that this connection was for
    ORDINARY = "ordinary"  # no replication so far: passed on, followed for a request that asks to
    OPAQUE = "opaque"  # no longer understood: passed on, counted


NEXT = {
    Phase.CONNECT: {  # to the RDB or behind it when a recording begins there, see join() and stand()
        Phase.HANDSHAKE,
        Phase.PSYNC,
        Phase.WAITING,
        Phase.RDB,
        Phase.STREAM,
        Phase.DONE,
        Phase.ORDINARY,
        Phase.OPAQUE,
    },
    Phase.HANDSHAKE: {Phase.PSYNC, Phase.WAITING, Phase.ORDINARY, Phase.OPAQUE},
    Phase.PSYNC: {Phase.HANDSHAKE, Phase.WAITING, Phase.STREAM, Phase.OPAQUE},
    Phase.WAITING: {Phase.HANDSHAKE, Phase.RDB, Phase.OPAQUE},
    Phase.RDB: {Phase.STREAM, Phase.DONE, Phase.OPAQUE},
    Phase.STREAM: {Phase.OPAQUE},
    Phase.DONE: {Phase.OPAQUE},
    Phase.ORDINARY: {Phase.HANDSHAKE},
    Phase.OPAQUE: set(),
}

# The phase of a main connection by that of its RDB channel; else it waits.
_AS_MAIN = {
    Phase.RDB: Phase.RDB,
    Phase.LOADING: Phase.LOADING,
    Phase.DONE: Phase.LOADING,
    Phase.OPAQUE: Phase.OPAQUE,
}

REPLIES = (Phase.CONNECT, Phase.HANDSHAKE, Phase.PSYNC, Phase.WAITING)  # what the master sends are replies to requests

# What replicas say before they ask to replicate; REPLPING is KeyDB's PING (KeyDB 6.3 replication.cpp, syncWithMaster).
# Another request makes it an ordinary connection, until it asks all the same.
SET_UP = frozenset({b"PING", b"REPLPING", b"AUTH", b"HELLO", b"CLIENT", b"SELECT", b"REPLCONF", b"PSYNC", b"SYNC"})

# What of REPLCONF matters later; of the rest nothing is kept.
OPTIONS = frozenset(
    {
        "listening-port",
        "ip-address",
        "rdb-only",
        "rdb-filter-only",
        "rdb-channel",
        "main-ch-client-id",
        "set-rdb-client-id",
    }
)

MAX_NAME = 255  # bytes that are kept of a name that the peer gives itself
MAX_NOVELTIES = 8  # capabilities nobody knows that are remembered

MAX_SET_UP = 64  # requests; a replica needs less than ten, a health check never stops

# Bytes of memory that the requests of one connection take, all together; later ones are cut short, as they may wait for
# replies. A replica needs less, with a token for a password, too; whoever connects has not authenticated yet, and the
# master may never answer.
MAX_KEPT = 8 * 1024


class Conversation:
    """One connection. Each event goes to *tell* the moment it is known, with this conversation's own or, for the RDB
    of a two-connection sync, through that of the main connection it belongs to.

    The receive methods never raise on what a peer sent. An exception out of them is a bug in redis-tap.
    """

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
        """memory: shared by the conversations with one master. connection: its number, for others to refer to.

        peer_host, peer_port: the replica's source address; the host is its name until it announces another, the port is
        0 where it is unknown. every_command: tell Commands one by one, too; of those of more than max_command bytes,
        which they take several times in memory, without the arguments. every_key: tell the keys of an RDB one by one.
        tell_heads: gets names, keys and sizes of the commands as they come, instead of every_command. wants: asked
        before each Ack, Command and RdbKey is told. opaque: from the first byte on.
        """
        self._tell = tell
        self._memory = Memory() if memory is None else memory
        self.connection = connection
        self.peer_host = peer_host
        self.peer_port = peer_port
        self._every_command = every_command
        self._every_key = every_key
        self._max_command = max_command
        self._tell_heads = tell_heads
        self._wants = wants

        self.watcher: Watcher | None = None
        self.notices_secret: Callable[[bytes, int, int], None] | None = None  # see Stream, before it begins
        self.compares_acks = True  # see Stream, before it begins
        self.carried_db: int | None = None  # over a partial resync, where more is known than the memory holds
        self.forced = ""  # what a fault did so that the next resync is a full one
        self._phase = Phase.CONNECT
        self.role: Role | None = None
        self.from_master = 0  # bytes received in each direction
        self.from_replica = 0
        self._options: dict[str, str] = {}  # of REPLCONF: what the replica said of itself
        self._configured_itself = False  # with any REPLCONF
        self._called = b""  # as CLIENT SETNAME says
        self._user = b""  # of AUTH
        self._novelties: list[str] = []  # capabilities that the master was told of, and we do not know

        # handshake
        self._requests = RequestReader()
        self._replies = ReplyReader()
        self._lines = LineReader()
        self._unanswered: deque[Request] = deque()
        self._requests_seen = 0
        self._requests_memory = 0
        self._reply_begin = 0  # position of the first byte not yet part of a whole reply
        self.waiting_from: int | None = None  # position in the master's bytes where Phase.WAITING began
        self._unasked = False  # an error is being read that no request had asked for
        self._unasked_errors = UnaskedErrors(self._tell_unasked)
        self._matches = True  # replies to requests, by their count; only PSYNC and SYNC are among the unanswered if not
        self._first_reply = b""  # of all on the connection, where they are not matched
        self._passing: Passing | None = None  # of an ordinary connection, and of what is unanswered when it was one
        self._older = 0  # replies still to come to requests of before, when it was one
        self.ordinary_until: int | None = None  # position in the master's bytes; before it they are an ordinary client's
        self._reading_replica = True
        self._lacks_replica = False  # some of its bytes are not at hand
        self._asked: tuple[str | None, int] | None = None  # by the first PSYNC
        self._refusal: str | None = None
        self._kept_alive: set[Side] = set()  # sides whose keepalive of this wait was told
        self._talk_back: TalkBack | None = None

        # two-connection sync
        self.main: Conversation | None = None  # of an RDB channel
        self._rdb_channel: Conversation | None = None  # of a main connection
        self._dual_channel = False  # Valkey's kind, as the main connection

        # RDB
        self.rdb: Payload | None = None
        self._acknowledges = False  # the replica does, or did while there was nothing yet
        self._rdb_start = 0
        self.rdb_end: int | None = None  # position behind it and its mark
        self._rdb_began = 0.0
        self._rdb_grew = 0.0
        self._rdb_told = False
        self._rdb_problem_told = False

        # stream
        self.replid: str | None = None
        self._base: int | None = None  # replication offset before the first stream byte
        self._db: int | None = None  # in force there
        self.stream: Stream | None = None
        self._acked: int | None = None  # by a replica whose stream is not understood
        if opaque:
            self._enter(Phase.OPAQUE)
            self._reading_replica = False

    # ---- what it has come to ----

    @property
    def is_in_rdb(self) -> bool:
        """Whether the master is sending an RDB on this connection."""
        return self._phase is Phase.RDB

    @property
    def phase(self) -> Phase:
        """The phase as the replica lives it: on a main connection that waits for its RDB channel, that one's."""
        if self._phase is Phase.STREAM and self.stream is not None and self.stream.acked is None:
            if not self.stream.is_placed and self.role is Role.REPLICA and not self.stream.has_begun:
                return Phase.WAITING
            if self._rdb_channel is not None:
                return _AS_MAIN.get(self._rdb_channel.phase, Phase.WAITING)
            loads = self.rdb is not None and self.role is Role.REPLICA and not self._lacks_replica
            return Phase.LOADING if loads else Phase.STREAM
        if self._phase is Phase.RDB and self.rdb is not None and self.rdb.looks_complete:
            return Phase.LOADING
        return Phase.STREAM if self.lacks_answer else self._phase

    @property
    def replica(self) -> str:
        """The replica's name: the address it announces, or its source host with the announced port.

        Of one that announces none, or port 0 as RedisShake does, its source address: several of them are not the same.
        """
        if self._is_nameless:
            return _address(self._options.get("ip-address", self.peer_host), str(self.peer_port))
        return self._announced

    @property
    def _is_nameless(self) -> bool:
        port = self._options.get("listening-port")
        return self.peer_port > 0 and (port == "0" or (port is None and self.role is Role.REPLICA))

    @property
    def _announced(self) -> str:
        return _address(self._options.get("ip-address", self.peer_host), self._options.get("listening-port"))

    @property
    def offset(self) -> int | None:
        """Replication offset of the last stream byte received from the master, or of the RDB before there is one.

        Where the master was not understood so far, what the replica acknowledged last. None while unknown, and on a
        connection that has no stream.
        """
        if self.stream is None:
            known = self._base if self._acked is None else self._acked
            return known if self.role is Role.REPLICA else None
        return self.stream.offset

    @property
    def base(self) -> int | None:
        """Replication offset of the RDB, and before the stream's first byte; None while unknown."""
        return self._base

    @property
    def rdb_start(self) -> int | None:
        """Position of the RDB's first byte, None until its header has been read."""
        return None if self.rdb is None else self._rdb_start

    @property
    def rdb_filter(self) -> str | None:
        """What alone the RDB holds, at the wish of who asked for it; None: all.

        "functions" for redis-cli --functions-rdb, "", which is nothing, for redis-cli --replica (Redis 7.0 redis-cli.c).
        """
        return self._options.get("rdb-filter-only")

    @property
    def undecided_from_replica(self) -> int:
        """Position of the first byte that is not part of a whole request yet; of all received, where none are read.

        On an ordinary connection that of a request whose name has not come.
        """
        if self._passing is not None and self._phase is Phase.ORDINARY:
            return self._passing.undecided
        return self._requests.position if self._reading_replica else self.from_replica

    @property
    def undecided_from_master(self) -> int:
        """Position of the first byte that is not part of a whole reply yet; of all received, behind the replies."""
        return self._reply_begin if self._phase in REPLIES else self.from_master

    @property
    def only_counts(self) -> bool:
        """Whether the bytes of both sides are counted from here on, and nothing of them is read."""
        is_passed_by = self._phase in (Phase.ORDINARY, Phase.OPAQUE)
        return is_passed_by and not self._reading_replica and self.stream is None

    @property
    def is_followed(self) -> bool:
        """Whether it is an ordinary connection that may still ask to replicate."""
        return self._phase is Phase.ORDINARY and self._passing is not None

    def skippable(self, side: Side) -> float:
        """So many of the side's next bytes need not be read: skipped() takes their number instead."""
        if self.only_counts:
            return math.inf
        if self._passing is None or self._phase is not Phase.ORDINARY:
            return 0
        return self._passing.skippable(side is Side.MASTER)

    def skipped(self, side: Side, size: int) -> None:
        if self._passing is not None:
            self._passing.skip(side is Side.MASTER, size)
        if side is Side.MASTER:
            self.from_master += size
        else:
            self.from_replica += size

    @property
    def rdb_channel(self) -> Conversation | None:
        """The connection that carries the RDB of this main connection's sync."""
        return self._rdb_channel

    def _enter(self, phase: Phase) -> None:
        """The only place that changes the phase."""
        if phase is self._phase:
            return
        if phase not in NEXT[self._phase]:
            raise _Lost(f"{phase.value} does not follow {self._phase.value}")
        self._phase = phase
        self._kept_alive.clear()
        self._requests.is_lenient = phase is Phase.STREAM

    # ---- from the master ----

    def receive_from_master(self, data: bytes | memoryview, at: float = 0.0) -> None:
        """Take the master's next bytes: any slice of the connection, however cut. at: seconds, of one clock."""
        begin = self.from_master
        self.from_master += len(data)
        if self._passing is not None and self._phase is Phase.ORDINARY:
            self._passing.from_master(data)
            return
        i = 0
        try:
            while i < len(data):
                if self.stream is not None:
                    problem = self.stream.receive(data[i:] if i else data, at)
                    if problem is not None:
                        self._lose(Side.MASTER, *problem)
                    return
                if self._phase is Phase.RDB:
                    i += self._read_rdb(data[i:] if i else data, at)
                elif self._phase in (Phase.DONE, Phase.ORDINARY, Phase.OPAQUE):
                    return
                else:
                    data = bytes(data)  # lines: a few bytes, or the chunk in which the RDB begins
                    i = self._read_reply(data, i, begin, at)
                    self._take_given(begin + i, at)
        except LineTooLong as error:
            self._lose(Side.MASTER, begin + error.at, str(error))
        except _Lost as lost:
            self._lose(Side.MASTER, begin + i if lost.at is None else lost.at, str(lost))

    def _read_reply(self, data: bytes, i: int, begin: int, at: float) -> int:
        """Read one reply, or a part of it. Returns where reading stopped; data[0] is byte number *begin*."""
        if self._passing is not None or self._older:
            return self._read_older(data, i, begin, at)
        head = self._unanswered[0] if self._unanswered and not self._unasked else None
        if not self._matches:
            return self._read_unmatched(head, data, i, begin, at)
        if head is not None and head.name not in _SYNCS:
            i, line = self._replies.feed(data, i)
            if line is not None and self._is_granted(line, self._reply_begin, begin + i, at):
                self._reply_begin = begin + i
            elif line is not None:
                self._unanswered.popleft()
                self._replied(head, begin + i)
                self._answered(head, line)
            return i
        if head is None and not self._unasked:
            if data[i] != 0x2D:  # not an error, as a master sends unasked when it refuses a client
                raise _Lost(f"the master sent byte 0x{data[i]:02x} without being asked: this is not replication")
            end = whole_errors(data, i, MAX_LINE)
            if end > 0:
                self._unasked_errors.heard(data[i:end])
                self._reply_begin = begin + end
                return end
            self._unasked = True
        i, line = self._lines.feed(data, i)
        if line is None:
            return i
        start = begin + i - self._lines.size
        if not line:
            i = _NEWLINES.match(data, i).end()  # type: ignore[union-attr]
            if self.watcher is not None:
                self.watcher.newlines(Side.MASTER, start, begin + i)
            self._reply_begin = begin + i
        elif line.startswith(b"$") and self.watcher is not None:
            self.watcher.header(line, self._reply_begin, begin + i)
            self._reply_begin = begin + i
        else:
            self._replied(head, begin + i)
        self._read_line(head, line, start, begin + i, at)
        return i

    def _read_older(self, data: bytes, i: int, begin: int, at: float) -> int:
        """As _read_reply(), of replies to what was asked while the connection was an ordinary one: of these none is told.

        What grants a resync is no such reply, whatever their count: see tap.replication.passing.
        """
        line: bytes | None = b"?"
        if self._passing is None:
            i, line = self._replies.feed(data, i)
        else:
            i += self._passing.from_master(memoryview(data)[i:], 1)
            if not self._passing.is_between_replies:
                line = None
        self.ordinary_until = begin + i
        if line is None:
            return i
        self._passing = None
        start, self._reply_begin = self._reply_begin, begin + i
        if not self._is_granted(line, start, begin + i, at):
            self._older = max(0, self._older - 1)
        return i

    def _is_granted(self, line: bytes, start: int, end: int, at: float) -> bool:
        """Whether this answers the PSYNC of one that was an ordinary client, and no other request, whatever the count."""
        if self.ordinary_until is None or not (line in (b"", b"+CONTINUE") or _GRANTS.fullmatch(line)):
            return False
        syncs = [number for number, request in enumerate(self._unanswered) if request.name in _SYNCS]
        if not syncs:
            return False
        self._older = 0
        for _ in range(syncs[0]):
            self._unanswered.popleft()
        self.ordinary_until = min(self.ordinary_until, start)
        head = self._unanswered[0]
        if self.watcher is not None and line:
            self.watcher.reply(head, start, end)
        self._lines.size = end - start
        self._read_line(head, line, start, end, at)
        return True

    def _read_unmatched(self, head: Request | None, data: bytes, i: int, begin: int, at: float) -> int:
        """As _read_reply(), of replies to whatever requests. What answers PSYNC and SYNC is known by its words.

        head: the PSYNC or SYNC that is at hand and has no answer yet.
        """
        awaits_rdb = head is not None or self._phase is Phase.WAITING
        i, line = self._replies.feed(data, i, lambda line: _is_header(line, awaits_rdb))
        if line is None:
            return i
        start, end = self._reply_begin, begin + i
        self._reply_begin = end
        try:
            if not line:
                if self._phase in (Phase.PSYNC, Phase.WAITING):
                    self._keepalive(Side.MASTER, start, end)
            elif self._phase is Phase.WAITING:
                self._payload_announced(head, line, start, end, at)
            elif _GRANTS.fullmatch(line) or (head is not None and line.startswith((b"-", b"+CONTINUE"))):
                self._infer_request(line)
                self._psync_answered(head, line, start, end, at)
            elif _is_header(line, awaits_rdb):
                self._infer_request(line)
                self._enter(Phase.WAITING)
                self._payload_announced(head, line, start, end, at)
            elif self._phase is Phase.PSYNC and line.startswith(b"*"):
                raise _Lost("what answered PSYNC is not at hand, and this is no answer")  # but the stream behind it
            else:
                if not start:
                    self._first_reply = line
                self._answered(None, line)
        except _Lost as lost:
            lost.at = start
            raise
        return i

    def _infer_request(self, line: bytes) -> None:
        """Only PSYNC or SYNC is answered so: it was asked, if it is not at hand."""
        if self._phase in (Phase.CONNECT, Phase.HANDSHAKE):
            self._enter(Phase.PSYNC)
        if self.role is not None:
            return
        role = Role.SYNC_CLIENT if line.startswith(b"$") else Role.REPLICA
        if line.startswith(b"$ENDOFF:"):
            role = Role.RDB_CHANNEL
            self._belong_to(self._main_by_host(dual=True))
        elif line.startswith(b"+FULLRESYNC") and self._first_reply == b"+OK":
            # An RDB channel does not begin with PING, as replicas do (Redis 8.0 replication.c, rdbChannelSendHandshake).
            main = self._main_by_host(dual=False)
            if main is not None:
                role = Role.RDB_CHANNEL
                self._belong_to(main)
        self._identify(role, self.from_replica, self.from_replica)

    def _replied(self, request: Request | None, end: int) -> None:
        if self.watcher is not None and request is not None:
            self.watcher.reply(request, self._reply_begin, end)
        self._reply_begin = end

    def _take_given(self, position: int, at: float) -> None:
        """Read the replies that a fault gives in the master's place, once those before them have come."""
        if self._passing is not None or self._older:
            return
        while self._unanswered and self._unanswered[0].given is not None and self._reply_begin == position:
            head = self._unanswered[0]
            assert head.given is not None
            if self.watcher is not None:
                self.watcher.given(head.given, position)
            if head.name in _SYNCS:
                self._read_line(head, head.given, position, position, at)
            else:
                self._unanswered.popleft()
                self._answered(head, head.given)

    def _read_line(self, head: Request | None, line: bytes, start: int, end: int, at: float) -> None:
        """A line that answers PSYNC or SYNC, or comes unasked."""
        try:
            if head is None:
                self._unasked = False
                self._unasked_errors.heard(line + b"\n")
            elif not line:
                self._keepalive(Side.MASTER, start, start + self._lines.size)
            elif head.name == b"PSYNC" and self._phase is Phase.PSYNC:
                self._psync_answered(head, line, start, end, at)
            else:
                self._payload_announced(head, line, start, end, at)
        except _Lost as lost:
            lost.at = start
            raise

    def _tell_unasked(self, line: bytes, count: int) -> None:
        self._tell(events.Handshake(start=0, end=0, request=(), reply=_text(line), count=count))

    def _answered(self, request: Request | None, line: bytes | None) -> None:
        """Tell a request and its reply; None for what is not at hand."""
        if request is None:
            self._tell(events.Handshake(start=0, end=0, request=(), reply=None if line is None else _text(line)))
            return
        reply = None if line is None else _text(hidden_answer(request, line))
        sent = None if request.sent is None else masked(dataclasses.replace(request, args=request.sent))
        self._tell(
            events.Handshake(start=request.start, end=request.end, request=masked(request), reply=reply, sent=sent)
        )

    def _psync_answered(self, request: Request | None, line: bytes, start: int, end: int, at: float) -> None:
        """request: None if it is not at hand."""
        words = line.split()
        answer = words[0] if words else b""
        if line.startswith(b"-"):
            self._pop_unanswered()
            self._refusal = _text(line)
            self._tell(events.ResyncRefused(start=start, end=end, reply=self._refusal))
            self._enter(Phase.HANDSHAKE)
        elif answer == b"+FULLRESYNC" and len(words) >= 3 and _is_number(words[2]):
            self._granted_full(_text(words[1]), int(words[2]), start, end, request, line)
            self.waiting_from = end
            self._enter(Phase.WAITING)
        elif answer == b"+CONTINUE" and self._rdb_channel is not None:
            self._pop_unanswered()
            self._answered(request, line)
            self._enter(Phase.STREAM)
            stream = self._begin_stream(end, self._rdb_channel._db)
            if self._rdb_channel.phase is Phase.DONE:
                stream.begin()
        elif answer == b"+CONTINUE" and self._asked is not None and self._asked[0] is not None:
            self._pop_unanswered()
            self._enter(Phase.STREAM)
            replid = _text(words[1]) if len(words) > 1 else self._asked[0]
            self._granted_partial(self._asked[0], self._asked[1] - 1, replid, start, end, at)
        elif answer == b"+CONTINUE" and self._asked is None:
            self._enter(Phase.STREAM)
            self.replid = _text(words[1]) if len(words) > 1 else None
            stream = self._begin_stream(end, None)
            if self._dual_channel:  # what it goes on from was told on a connection that is not known
                self._answered(request, line)
                stream.begin()
            else:
                stream.continues(None, start, end, previous_link=None, least=0, expected=None)
        elif answer == b"+RDBCHANNELSYNC" and len(words) >= 2:
            self._pop_unanswered()
            self._answered(request, line)
            self._memory.await_channel(_redis_key(_text(words[1])), self)
            self.waiting_from = end
            self._enter(Phase.STREAM)
            self._begin_stream(end, None)
        elif answer == b"+DUALCHANNELSYNC":
            self._pop_unanswered()
            self._answered(request, line)
            # A replica whose announced port is not at hand has no name of its own.
            unnamed = "" if request is not None else f" of connection {self.connection}"
            self._memory.await_channel(_valkey_key(self._announced + unnamed), self)
            self._dual_channel = True
            self.waiting_from = end
            self._enter(Phase.HANDSHAKE)
        else:
            raise _Lost(f"an answer to PSYNC that nobody knows: {_text(line[:80])}")

    def _pop_unanswered(self) -> None:
        if self._unanswered:  # else its request is not at hand
            self._unanswered.popleft()

    def _granted_full(self, replid: str, offset: int, start: int, end: int, request: Request | None, line: bytes) -> None:
        self.replid = replid
        self._base = offset
        if self.role is Role.RDB_CHANNEL:
            self._answered(request, line)
        self._full_resync_of(self.main or self, replid, offset, start, end)

    def _full_resync_of(self, main: Conversation, replid: str, offset: int, start: int, end: int) -> None:
        """Tell the full resync that these bytes grant to *main*: this conversation, or the one it is the channel of."""
        if main.forced:
            reason = Reason(code="forced_by_fault", text=main.forced)
        elif main._asked is None:
            reason = Reason(code="unknown", text="the request for it was not seen")
        else:
            reason = why_full(self._memory, main.replica, *main._asked, replid, offset)
        main._tell(
            events.FullResync(start=start, end=end, replid=replid, offset=offset, reason=reason, channel=self._channel)
        )
        self._memory.history(replid)
        if main is not self:
            main.replid = replid
            main._base = offset
            main._rdb_channel = self
            if main.stream is not None and not main.stream.is_placed:  # else it knows, from where it began to be read
                main.stream.rebase(replid, offset)

    def _granted_partial(self, asked: str, offset: int, replid: str, start: int, end: int, at: float) -> None:
        known_end = self._memory.history(asked).end
        past = self._memory.past(self.replica)
        previous_link = None
        if replid != asked:
            self._memory.succeed(asked, replid)
            if self._memory.elsewhere(replid) is None:
                previous_link = self._memory.elsewhere(asked)
        self.replid = replid
        self._base = offset
        db = self._memory.history(replid).db_at(offset)
        stream = self._begin_stream(end, self.carried_db if db is None else db)
        stream.continues(
            None if replid == asked else asked,
            start,
            end,
            previous_link=previous_link,
            least=0 if known_end is None else max(0, known_end - offset),
            expected=None if past is None else past.expected(asked, offset, at),
        )

    def _payload_announced(self, head: Request | None, line: bytes, start: int, end: int, at: float) -> None:
        """A line after +FULLRESYNC or SYNC that is not empty: the RDB's header, or an error.

        head: what it answers, None if that is not at hand.
        """
        if line.startswith(b"$ENDOFF:"):
            self._dual_channel_announced(head, line, start, end)
        elif line.startswith(b"$"):
            if self.replid is None and self.main is None:
                if head is not None and head.name == b"SYNC":
                    reason = why_sync(self._refusal)
                else:
                    what = "the request for it" if head is None else "the answer that granted it"
                    reason = Reason(code="unknown", text=f"{what} was not seen")
                self._tell(events.FullResync(start=start, end=end, replid=None, offset=None, reason=reason))
            self._pop_unanswered()
            self._begin_rdb(line[1:], end, at)
        elif line.startswith(b"-"):
            self._pop_unanswered()
            self._refusal = _text(line)
            self._tell(events.ResyncRefused(start=start, end=end, reply=self._refusal))
            self._enter(Phase.HANDSHAKE)
        else:
            raise _Lost(f"where the RDB was expected: {_text(line[:80])}")

    def _dual_channel_announced(self, head: Request | None, line: bytes, start: int, end: int) -> None:
        """$ENDOFF:<offset> <replid> <db> <client id>: Valkey 8.0 replication.c, sendCurrentOffsetToReplica."""
        words = line[len(b"$ENDOFF:") :].split()
        if self.replid is not None or len(words) < 4 or not _is_number(words[0]):
            raise _Lost(f"where the RDB was expected: {_text(line[:80])}")
        self._answered(head, line)
        self.replid = _text(words[1])
        self._base = int(words[0])
        self._db = int(words[2]) if _is_number(words[2]) else None  # -1: none selected yet
        self._memory.await_channel(_rdb_client_key(_text(words[3])), self)
        self._full_resync_of(self.main or self, self.replid, self._base, start, end)

    # ---- RDB ----

    @property
    def _channel(self) -> Channel:
        return Channel.RDB if self.role is Role.RDB_CHANNEL else Channel.MAIN

    def _begin_rdb(self, header: bytes, end: int, at: float) -> None:
        """header: what follows the $ of its line."""
        try:
            self.rdb = Payload(header, self._tell_keys if self._wants_keys else None)
        except ValueError:
            raise _Lost(f"an RDB header that nobody knows: ${_text(header[:80])}") from None
        self._enter(Phase.RDB)
        if self._acknowledges or self._lacks_replica:
            self.rdb.watch()
        self._rdb_start = end
        self._rdb_began = self._rdb_grew = at
        if self.rdb.is_complete:
            self._finish_rdb()

    def _read_rdb(self, data: bytes | memoryview, at: float) -> int:
        """Returns how many bytes were the RDB's."""
        assert self.rdb is not None
        taken = self.rdb.feed(data)
        self._rdb_grew = at
        self._tell_rdb_started()
        self._tell_rdb_problem()
        if self.rdb.reached_milestone:
            self._tell_rdb_progress(at)
        if self.rdb.is_complete:
            self._finish_rdb()
        if self.main is not None and self.main.watcher is not None:
            self.main.watcher.other_channel_read()
        return taken

    def _tell_rdb_started(self, *, at_last: bool = False) -> None:
        """Once its heading is known; at_last: or will never be."""
        rdb = self.rdb
        if rdb is None or self._rdb_told or (rdb.heading is None and not at_last):
            return
        self._rdb_told = True
        (self.main or self)._tell(
            events.RdbStarted(
                start=self._rdb_start,
                end=self._rdb_start,
                transfer=rdb.transfer,
                size=rdb.size,
                version=rdb.version,
                aux=rdb.heading or {},
                channel=self._channel,
            )
        )

    def _tell_rdb_problem(self) -> None:
        rdb = self.rdb
        if rdb is None or rdb.joined or rdb.problem is None or rdb.problem.kind == "checksum" or self._rdb_problem_told:
            return
        self._rdb_problem_told = True
        problem = rdb.problem
        (self.main or self)._tell(
            events.RdbProblem(
                start=self._rdb_start + problem.position,
                end=self._rdb_start + problem.position,
                problem=problem.kind,
                text=problem.text if problem.position else problem.text + (self.main or self)._way_out,
                position=problem.position,
                keys=rdb.summary.keys,
                db=problem.db,
                key=problem.key,
                channel=self._channel,
            )
        )

    def _tell_rdb_progress(self, at: float) -> None:
        rdb = self.rdb
        assert rdb is not None
        elapsed = at - self._rdb_began
        rate = rdb.received / elapsed if elapsed > 0 else None
        left = None
        keys, announced = rdb.summary.keys, rdb.summary.announced
        if rate and rdb.size is not None:
            left = (rdb.size - rdb.received) / rate
        elif rate and 0 < keys <= announced:
            left = elapsed * (announced - keys) / keys
        (self.main or self)._tell(
            events.RdbProgress(
                start=self._rdb_start,
                end=self._rdb_start + rdb.received,
                bytes=rdb.received,
                size=rdb.size,
                keys=keys,
                keys_announced=announced,
                bytes_per_second=rate,
                seconds_left=left,
                channel=self._channel,
            )
        )

    @property
    def _wants_keys(self) -> bool:
        return self._every_key or (self.watcher is not None and self.watcher.wants_keys)

    def _tell_keys(self, keys: list[Key]) -> None:
        """Keys of the RDB that have passed."""
        if self.watcher is not None:
            self.watcher.keys(keys, self._rdb_start)
        if not self._every_key:
            return
        self._tell_rdb_started()
        for key in keys:
            if not self._wants(events.RdbKey):
                continue
            position = self._rdb_start + key.position
            (self.main or self)._tell(
                events.RdbKey(
                    start=position,
                    end=position + key.serialized_bytes,
                    db=key.db,
                    key=key.key,
                    type=key.type,
                    encoding=key.encoding,
                    rdb_type=key.rdb_type,
                    serialized_bytes=key.serialized_bytes,
                    elements=key.elements,
                    expires_at_ms=key.expires_at_ms,
                    freq=key.freq,
                    idle_s=key.idle_s,
                    channel=self._channel,
                )
            )

    def _finish_if_complete(self) -> None:
        """The replica has acknowledged, or has left: if the RDB looks complete it is."""
        if self._phase is Phase.RDB and self.rdb is not None and self.rdb.looks_complete:
            self._finish_rdb()

    def _finish_rdb(self) -> None:
        rdb = self.rdb
        assert rdb is not None
        self.rdb_end = self._rdb_start + rdb.received
        rdb.close()
        if rdb.joined:  # of what it holds nothing is known
            self._leave_rdb(self.rdb_end)
            return
        self._tell_rdb_started(at_last=True)
        self._tell_rdb_problem()
        main = self.main or self
        summary = rdb.summary
        main._tell(
            events.RdbFinished(
                start=self._rdb_start,
                end=self._rdb_start + rdb.rdb_bytes,
                transfer=rdb.transfer,
                bytes=rdb.rdb_bytes,
                seconds=self._rdb_grew - self._rdb_began,
                keys=summary.keys,
                expiring=summary.expiring,
                functions=summary.functions,
                by_type={
                    name: events.TypeShare(keys=keys, bytes=size, elements=elements)
                    for name, (keys, size, elements) in summary.by_type().items()
                },
                largest=tuple(
                    events.LargeKey(
                        db=key.db,
                        key=key.key,
                        type=key.type,
                        serialized_bytes=key.serialized_bytes,
                        elements=key.elements,
                    )
                    for key in summary.biggest()
                ),
                checksum=rdb.checksum or "unread",
                channel=self._channel,
            )
        )
        self._leave_rdb(self.rdb_end)

    def _leave_rdb(self, position: int) -> None:
        """What comes next begins at *position*."""
        main = self.main or self
        if main is not self:
            self._enter(Phase.DONE)
            if main.stream is not None:
                main.stream.begin(buffered=main.stream.received)
        elif self.role in (Role.RDB_CLIENT, Role.RDB_CHANNEL):
            self._enter(Phase.DONE)
        else:
            self._enter(Phase.STREAM)
            self._begin_stream(position, None).begin()

    def _begin_stream(
        self, position: int, db: int | None, *, unfinished: bytes = b"", in_transaction: bool = False
    ) -> Stream:
        """The byte at *position* is the first of the stream, and *db* is in force there."""
        self.stream = Stream(
            self._tell,
            self._memory,
            position,
            replid=self.replid,
            base=self._base,
            db=db,
            every_command=self._every_command,
            unfinished=unfinished,
            in_transaction=in_transaction,
            max_command=self._max_command,
            tell_heads=self._tell_heads,
            wants=self._wants,
            compares_acks=self.compares_acks,
            notices_secret=self.notices_secret,
        )
        if self.watcher is not None:
            self.watcher.stream_begins(self.stream)
        return self.stream

    # ---- from the replica ----

    def receive_from_replica(self, data: bytes | memoryview, at: float = 0.0) -> None:
        """Take the replica's next bytes, as receive_from_master."""
        start = self.from_replica
        self.from_replica += len(data)
        if not self._reading_replica:
            return
        if self._passing is not None and self._phase is Phase.ORDINARY:
            found = self._followed(data)
            if found is None:
                return
            data = found
        if self.stream is not None and self.watcher is None:
            is_between = self._requests.position == start
            ack = acknowledged(data) if is_between else None
            if ack is not None:
                self._requests.skip(len(data))
                offset, fsynced = ack
                self._acknowledged(offset, fsynced, start, self.from_replica, at)
                return
            begun = b"" if is_between else self._requests.take_array()
            if is_between or begun:
                data = self._read_acks(begun + bytes(data), at)
        self._requests.feed(data)
        try:
            while self._reading_replica and (item := self._requests.next()) is not None:
                if isinstance(item, Newlines):
                    self._newlines(item)
                elif isinstance(item, Nonsense):
                    self._unreadable(item)
                else:
                    self._requested(item, at)
            if self._reading_replica:
                words = self._requests.words_so_far(strangers.WORDS)
                if strangers.is_named(words) and self._is_a_stranger(words):
                    self._passes_by(words, self._requests.position)
        except _Lost as lost:
            self._lose(Side.REPLICA, self._requests.position, str(lost))

    def _read_acks(self, data: bytes, at: float) -> bytes:
        """Read the acknowledgements at the front, between two requests. Returns the rest."""
        start = self._requests.position
        found, end = acknowledgements(data, Side.REPLICA in self._kept_alive)
        self._requests.skip(end)
        for offset, fsynced, first, behind in found:
            self._acknowledged(offset, fsynced, start + first, start + behind, at)
        return data[end:]

    def _newlines(self, item: Newlines) -> None:
        if self.watcher is not None:
            self.watcher.newlines(Side.REPLICA, item.start, item.end)
        if not item.again:
            self._keepalive(Side.REPLICA, item.start, item.start + 1)

    def _unreadable(self, item: Nonsense) -> None:
        words = self._requests.words_so_far(strangers.WORDS)
        if words and self._is_a_stranger(words):
            self._passes_by(words, item.start)
        else:
            self._lose(Side.REPLICA, item.start, item.why)

    def _requested(self, request: Request, at: float) -> None:
        name = request.name
        if self.watcher is not None:
            request = self.watcher.request(request)
        if name == b"REPLCONF" and len(request.args) > 2 and request.args[1].upper() in (b"ACK", b"GETACK"):
            self._maybe_acknowledged(request, at)
            return
        if self._phase not in REPLIES:
            # Servers ignore it, or end the connection (6.2: answer into the stream, which then shows).
            if self._phase in (Phase.RDB, Phase.STREAM):
                self._talked_back(request)
            return
        words = tuple(word.upper() for word in request.args[: strangers.WORDS])
        if self._is_a_stranger(words):
            self._passes_by(words, request.start)
            return
        self._requests_seen += 1
        if self._requests_seen > MAX_SET_UP:
            if self._phase not in (Phase.CONNECT, Phase.HANDSHAKE):
                raise _Lost(f"more than {MAX_SET_UP} requests before the stream")
            self._pass_by(
                request.start,
                request.end,
                Role.ORDINARY,
                f"a connection without PSYNC in {MAX_SET_UP} requests, as a health check: passed on, not read",
            )
            return
        if self._matches or name in _SYNCS:
            self._requests_memory += request.memory
            self._unanswered.append(request if self._requests_memory <= MAX_KEPT else request.shortened())
        else:
            self._answered(request, None)
        if name == b"REPLCONF":
            self._configured(request)
        elif name == b"AUTH" and len(request.args) > 2:
            self._user = request.args[1][:MAX_NAME]
        elif name == b"CLIENT" and len(request.args) > 2 and request.args[1].upper() == b"SETNAME":
            self._called = request.args[2][:MAX_NAME]
        if name == b"PSYNC":
            self._psync_requested(request)
        elif name == b"SYNC":
            self._sync_requested(request)
        elif self._phase is Phase.CONNECT:
            self._enter(Phase.HANDSHAKE)
        self._take_given(self.from_master, at)

    def _talked_back(self, request: Request) -> None:
        if self._talk_back is None:
            self._talk_back = TalkBack(self._tell)
        if self.stream is not None and self.stream.is_continuing:
            self.stream.begin()
        self._talk_back.heard(request)

    def _configured(self, request: Request) -> None:
        self._configured_itself = True
        options = request.args[1:]
        for option, value in zip(options[::2], options[1::2], strict=False):
            name = _text(option).lower()
            if name in OPTIONS:
                self._options[name] = _text(value[:MAX_NAME])
        told = (request.sent or request.args)[1:]
        for option, value in zip(told[::2], told[1::2], strict=False):
            capability = _text(value[:64]).lower()
            if option.lower() == b"capa" and capability not in UNDERSTOOD and len(self._novelties) < MAX_NOVELTIES:
                self._novelties.append(capability)
        main_id = self._options.get("main-ch-client-id")
        if self.role in (None, Role.ORDINARY) and self._options.get("rdb-channel") == "1":
            key = _valkey_key(self._announced) if main_id is None else _redis_key(main_id)
            main = self._memory.main_of(key)
            if main is None and main_id is None:
                main = self._main_by_port()
            self._belong_to(main)
            self._identify(Role.RDB_CHANNEL, request.start, request.end)
        channel_id = self._options.get("set-rdb-client-id")
        if self._dual_channel and self.stream is None and channel_id is not None:
            # The ID is certain where the name was a guess: replicas behind one address can have the same.
            channel = self._memory.main_of(_rdb_client_key(channel_id))
            if channel is not None and channel.replid is not None and channel._base is not None:
                channel._belong_to(self)
                self._rdb_channel = channel
                self.replid = channel.replid
                self._base = channel._base

    def _belong_to(self, main: Conversation | None) -> None:
        """Be the RDB channel of *main*, if that is known, under its name: what it announces is not always repeated."""
        self.main = main
        if main is not None:
            self._options |= {
                name: main._options[name] for name in ("ip-address", "listening-port") if name in main._options
            }

    def _main_by_port(self) -> Conversation | None:
        """The main connection that waits for a Valkey RDB channel with our port, if there is only one.

        Valkey 8.1 does not repeat the announced address on the second connection.
        """
        port = self._options.get("listening-port")
        waiting = [main for main in self._memory.waiting() if main._dual_channel and main._rdb_channel is None]
        waiting = [main for main in waiting if main._options.get("listening-port") == port]
        return waiting[0] if len(waiting) == 1 else None

    def _main_by_host(self, *, dual: bool) -> Conversation | None:
        """The main connection from the same host that waits for its RDB channel, if there is only one. dual: Valkey's."""
        waiting = [main for main in self._memory.waiting() if main._dual_channel is dual and main._rdb_channel is None]
        waiting = [main for main in waiting if main.peer_host == self.peer_host and main is not self]
        return waiting[0] if len(waiting) == 1 else None

    def _psync_requested(self, request: Request) -> None:
        if len(request.args) < 3 or not _is_number(request.args[2].removeprefix(b"-")):
            self._enter(Phase.PSYNC)
            return
        replid = None if request.args[1] == b"?" else _text(request.args[1])
        offset = int(request.args[2])
        self._enter(Phase.PSYNC)
        if self.role is Role.RDB_CHANNEL or (self._dual_channel and self._rdb_channel is not None):
            return  # a step of a sync whose request has been told; the reply is told as a Handshake
        self._identify(Role.REPLICA, request.start, request.end)
        self._asked = (replid, offset)
        self._tell(
            events.PsyncRequested(
                start=request.start,
                end=request.end,
                replid=replid,
                offset=offset,
                failover=len(request.args) > 3 and request.args[3].upper() == b"FAILOVER",
            )
        )

    def _sync_requested(self, request: Request) -> None:
        self._enter(Phase.WAITING)
        self.waiting_from = self.from_master
        if self.role is Role.RDB_CHANNEL:
            if self.main is None:
                self._belong_to(self._memory.main_of(_valkey_key(self._announced)) or self._main_by_port())
            return
        if self._options.get("rdb-only") == "1":
            role = Role.RDB_CLIENT
        elif "listening-port" in self._options or self._refusal is not None:
            role = Role.REPLICA
        else:
            role = Role.SYNC_CLIENT
        self._identify(role, request.start, request.end)
        self._tell(events.SyncRequested(start=request.start, end=request.end, inline=request.inline))

    def _identify(self, role: Role, start: int, end: int) -> None:
        """start, end: of the request that tells."""
        if self.role not in (None, Role.ORDINARY):
            return
        text = _ROLES[role]
        if self.role is Role.ORDINARY:
            text += ", an ordinary connection until now: no request of that time was told, and no fault fired on them"
        self.role = role
        if role is Role.RDB_CHANNEL and self.main is not None:
            text = f"{text} of connection {self.main.connection}"
        self._tell(
            events.Identified(
                start=start,
                end=end,
                role=role,
                replica=self.replica,
                text=text,
                main_connection=None if self.main is None else self.main.connection,
            )
        )

    def _is_a_stranger(self, words: tuple[bytes, ...]) -> bool:
        """Whether no replica begins a request with these words before it asks to replicate."""
        return self._phase in (Phase.CONNECT, Phase.HANDSHAKE) and words[0] not in SET_UP

    def _passes_by(self, words: tuple[bytes, ...], start: int) -> None:
        """start: of the request with these words; its end may not be here yet."""
        self._pass_by(start, start, *strangers.what_it_is(words, self._called, self._user))

    def _pass_by(self, start: int, end: int, role: Role, text: str) -> None:
        """start, end: of the request that no replica sends. What follows on the connection is not told."""
        passing = self._passing_from(start) if role is Role.ORDINARY else None
        rest, self._requests = self._requests.rest, RequestReader()
        self._unanswered.clear()
        is_new, self.role = self.role is not role, role
        self._enter(Phase.ORDINARY)
        if is_new:
            self._tell(events.Identified(start=start, end=end, role=role, replica=self.replica, text=text))
        self._passing = passing
        self._reading_replica = passing is not None
        if passing is not None and (found := self._followed(rest)) is not None:
            self._requests.feed(found)

    def _passing_from(self, start: int) -> Passing | None:
        """Follows the connection from its request at *start* on; None where what the master is saying cannot be."""
        if self._unasked or self._lines.unfinished or self._passing is not None:
            return None
        more, left, line = self._replies.unfinished
        replies = ReplyCounter(more, left)
        replies.feed(line)
        unanswered = self._older + sum(request.given is None for request in self._unanswered)
        has_been_read = self._requests.position > start
        return Passing(self._requests.position, unanswered + has_been_read, replies)

    def _followed(self, data: bytes | memoryview) -> bytes | None:
        """The next bytes of an ordinary connection. Returns those to read, from a request on that replicas send."""
        passing = self._passing
        assert passing is not None
        found: bytes | None = passing.from_replica(data)
        if passing.broken:
            self._stop_following()
        if found is None:
            return None
        self._requests = RequestReader()
        self._requests.skip(passing.position)
        self._requests_seen = self._requests_memory = 0
        self._older = passing.unanswered if self._matches else 0
        self._reply_begin = self.ordinary_until = self.from_master
        self._replies, self._lines = ReplyReader(), LineReader()
        if passing.is_between_replies:
            self._passing = None
        self._enter(Phase.HANDSHAKE)
        return found

    def _stop_following(self) -> None:
        """It is no connection that could ask to replicate any more."""
        self._passing = None
        self._reading_replica = False

    def _maybe_acknowledged(self, request: Request, at: float) -> None:
        """REPLCONF ACK <offset> [FACK <offset>], or GETACK, which says nothing here."""
        words = request.args
        if words[1].upper() == b"ACK" and _is_number(words[2]):
            with_fsynced = len(words) > 4 and words[3].upper() == b"FACK" and _is_number(words[4])
            fsynced = int(words[4]) if with_fsynced else None
            self._acknowledged(int(words[2]), fsynced, request.start, request.end, at)

    def _acknowledged(self, offset: int, fsynced: int | None, start: int, end: int, at: float) -> None:
        if self._rdb_channel is not None:
            self._rdb_channel._finish_if_complete()
        self._finish_if_complete()
        self._acknowledges = True
        if self.stream is None and self.rdb is not None:
            self.rdb.watch()
        if self.stream is not None:
            self.stream.acknowledge(offset, fsynced, start, end, at)
        elif (self._phase is Phase.OPAQUE and self.role is Role.REPLICA) or (
            self._phase in REPLIES and not self._matches
        ):
            self._identify(Role.REPLICA, start, end)
            self._acked = offset
            ack = events.Ack(start=start, end=end, offset=offset, fsynced=fsynced, lag_bytes=None, lag_seconds=None)
            self._tell(ack)

    # ---- what a recording does not hold ----

    def join(self, from_master: int, from_replica: int, replid: str | None, offset: int | None) -> None:
        """Begin in the middle of a stream: the next byte of the master is the first of a command.

        from_master, from_replica: bytes of each direction that have gone before. replid, offset: of the byte before the
        next one of the master, None if unknown. To be called before anything is received; tells that the stream begins.
        """
        self.skip(from_master, from_replica)
        self.role = Role.REPLICA
        self.replid = replid
        self._base = offset
        self._enter(Phase.STREAM)
        self._begin_stream(from_master, None).begin()

    def skip_rdb(self, size: int) -> bool:
        """The next bytes of the master, the rest of the RDB with its mark, are not at hand: go on behind them.

        Returns False, and does nothing, where no RDB has begun.
        """
        if self._phase is not Phase.RDB:
            return False
        self.from_master += size
        self._tell_rdb_started(at_last=True)
        self.rdb_end = self.from_master
        self._leave_rdb(self.from_master)
        return True

    def skip_in_rdb(self, size: int) -> int:
        """So many of the master's next bytes are not at hand. Returns how many of them are the RDB's, and passed over.

        Of a diskless one whose own end has not come that is all of them; where its mark was among them, or may have been,
        it is has_missed_rdb_end that tells. 0 where there is no RDB.
        """
        rdb = self.rdb
        if self._phase is not Phase.RDB or rdb is None or (rdb.size is None and self._acknowledges):
            return 0
        taken = rdb.skip(size)
        self.from_master += taken
        self._tell_rdb_started(at_last=True)
        self._tell_rdb_problem()
        if rdb.is_complete:
            self._finish_rdb()
        return taken

    def skip_replies(self, size: int) -> bool:
        """So many of the master's next bytes are not at hand; behind them a reply or a line begins. See unmatch().

        Returns False, and does nothing, where the master sends no replies.
        """
        if self._phase not in (*REPLIES, Phase.ORDINARY):
            return False
        self.from_master += size
        self._reply_begin = self.from_master
        self._replies, self._lines, self._unasked = ReplyReader(), LineReader(), False
        self.unmatch()
        return True

    def unmatch(self, *, lacks_replica: bool = False) -> None:
        """Some requests or replies are not at hand, so that the count of them says nothing any more.

        From here on each is told without the other, and what answers PSYNC is known by its words. lacks_replica: it is
        the replica's that are not.
        """
        self._lacks_replica = self._lacks_replica or lacks_replica
        self._matches = False
        waiting, self._unanswered = self._unanswered, deque()
        for request in waiting:
            if request.name in _SYNCS:
                self._unanswered.append(request)
            else:
                self._answered(request, None)

    @property
    def is_unmatched(self) -> bool:
        """See unmatch()."""
        return not self._matches

    @property
    def lacks_answer(self) -> bool:
        """Whether the replica acknowledges a stream, and what granted it was not at hand."""
        return self._phase in REPLIES and self._acked is not None

    @property
    def has_missed_rdb_end(self) -> bool:
        """Whether the replica acknowledges while the end of a diskless RDB that lacks bytes has not come."""
        rdb = self.rdb
        return self._phase is Phase.RDB and rdb is not None and rdb.size is None and rdb.lacks and self._acknowledges

    def skip(self, from_master: int, from_replica: int) -> None:
        """Before anything is received: so many bytes of each direction have gone before."""
        self.from_master = self._reply_begin = from_master
        self.skip_from_replica(from_replica)

    def skip_from_replica(self, size: int) -> None:
        """The next bytes of the replica are not at hand; behind them a request begins.

        Replies are then not matched to requests any more, see unmatch(), but where PSYNC waits: it does so alone.
        """
        if size and self._phase in REPLIES and not self._unasked:
            self._lacks_replica = True
            if not any(request.name in _SYNCS for request in self._unanswered):
                self.unmatch()
        self.from_replica += size
        self._requests = RequestReader(is_lenient=self._phase is Phase.STREAM)
        self._requests.skip(self.from_replica)

    def pass_over(self, side: Side, size: int) -> None:
        """The next bytes of an ordinary connection are not at hand. Where a request begins behind them nobody can say."""
        self._stop_following()
        self.skipped(side, size)

    @property
    def is_beginning(self) -> bool:
        """Whether it is only to be understood from its first byte on, and of few bytes yet: see standing()."""
        if self._phase in REPLIES:
            return True
        stream = self.stream  # of which, on a main connection, the RDB channel has not told yet where it begins
        return self._phase is Phase.STREAM and stream is not None and not stream.has_begun and not stream.is_placed

    def standing(self, *, at_boundary: bool = False) -> Standing:
        """Where it stands behind all that was received; at_boundary: behind the last whole command of the stream.

        Not while is_beginning: who wants to read on then needs all bytes since the first.
        """
        stream, rdb = self.stream, self.rdb if self._phase is Phase.RDB else None
        position, offset, unfinished = self.from_master, self.offset, b""
        if stream is not None:
            unfinished = stream.unfinished
            if at_boundary:
                position, unfinished = stream.boundary, b""
            offset = stream.offset_at(position)
        return Standing(
            phase=self._phase.value,
            role=self.role,
            from_master=position,
            from_replica=self.from_replica,
            options=dict(self._options),
            replid=self.replid,
            offset=self._base if rdb is not None else offset,
            db=self._db if stream is None else stream.db,
            in_transaction=stream is not None and stream.in_transaction,
            unfinished=unfinished.decode("latin-1"),
            has_begun=stream is not None and stream.has_begun,
            acknowledges=self._acknowledges,
            rdb=None
            if rdb is None
            else RdbStanding(
                header=rdb.header.decode("latin-1"),
                start=self._rdb_start,
                end=None if rdb.size is None else self._rdb_start + rdb.size,
                received=rdb.received,
                ended=rdb.ended,
                mark_received=rdb.mark_received,
            ),
            main=None if self.main is None else self.main.connection,
            awaited=self._memory.keys_of(self),
            passing=self._passing.standing() if self.is_followed and self._passing is not None else None,
        )

    def stand(self, standing: Standing, main: Conversation | None) -> None:
        """Read on from where another one stood. main: the conversation whose RDB this one carries, if it is known.

        To be called before anything is received. Tells that the stream begins, if it had or it is known where. Raises
        ValueError for a standing that cannot be.
        """
        self.skip(standing.from_master, standing.from_replica)
        self._options = dict(standing.options)
        self.role = standing.role
        self.replid, self._base, self._db = standing.replid, standing.offset, standing.db
        self._acknowledges = standing.acknowledges
        for key in standing.awaited:
            self._memory.await_channel(key, self)
        self.main = main
        if main is not None:
            main._rdb_channel = self
        phase, rdb = Phase(standing.phase), standing.rdb
        is_passing = standing.passing is not None
        if phase in REPLIES or (phase is Phase.RDB) != (rdb is not None) or (is_passing and phase is not Phase.ORDINARY):
            raise ValueError(f"nobody stands so: {standing}")
        self._enter(phase)
        if standing.passing is not None:
            self._passing = Passing(0, 0, ReplyCounter())
            self._passing.stand(standing.passing)
        self._reading_replica = phase not in (Phase.ORDINARY, Phase.OPAQUE) or self._passing is not None
        if rdb is not None:
            self.rdb = Payload(rdb.header.encode("latin-1"))
            self.rdb.join(rdb.received, ended=rdb.ended, mark_received=rdb.mark_received)
            if self._acknowledges:
                self.rdb.watch()
            self._rdb_start = rdb.start
            self._rdb_told = True
        elif phase is Phase.STREAM:
            self._begin_stream(
                self.from_master,
                standing.db,
                unfinished=standing.unfinished.encode("latin-1"),
                in_transaction=standing.in_transaction,
            )
            if self.stream is not None and (standing.has_begun or self.stream.is_placed):
                self.stream.begin()

    # ---- time and end ----

    def tick(self, at: float, *, held_back: bool = False) -> None:
        """Some time has passed: tell what waits for that.

        To be called about ten times a second. A partial resync is told some ticks late, when it is known how much
        the replica had missed; a batch of commands once a second. held_back: the master is not read at the moment,
        for the replica does not take what was.
        """
        if self.stream is not None:
            self.stream.tick(at, held_back=held_back)

    def close(self, at: float = 0.0) -> None:
        """Both directions have ended: tell what is still to be told. Nothing may be received afterwards."""
        unloaded = self.phase.value if self.phase in (Phase.WAITING, Phase.RDB, Phase.LOADING) else ""
        self._finish_if_complete()
        self._tell_rdb_started(at_last=True)
        if self.stream is not None:
            if not self._matches:  # what it waits for may be on a connection that is not known
                self.stream.begin()
            self.stream.end()
        self._unasked_errors.close()
        if self._talk_back is not None:
            self._talk_back.close()
        was_served = self.from_master or not self.from_replica
        if self.role is None and self._phase is Phase.HANDSHAKE and was_served and not self._configured_itself:
            here, text = self.from_replica, "a connection that ended without PSYNC, as a health check"
            self._pass_by(here, here, Role.ORDINARY, text)
        if self.role is Role.REPLICA and self.replid is not None and not self._is_nameless:
            rate = 0.0 if self.stream is None else self.stream.rate
            self._memory.left(self.replica, Past(self.replid, self.offset, at, rate, unloaded))
        self._memory.forget_channels(self)
        if self._rdb_channel is not None:
            self._rdb_channel.main = None  # what it still brings is nobody's sync

    def lost(self, side: Side, why: str) -> None:
        """Stop understanding what *side* sends: reading it failed."""
        position = self.from_master if side is Side.MASTER else self.from_replica
        self._lose(side, position, why)

    def _lose(self, side: Side, position: int, why: str) -> None:
        if self.stream is not None and self.stream.is_continuing:
            self.stream.begin()
        if side is Side.REPLICA:
            self._reading_replica = False
            self._requests = RequestReader()
            rdb = self.rdb if self._phase is Phase.RDB else None
            ends_alone = rdb is not None and (rdb.size is not None or rdb.problem is None)
            if self._phase is Phase.STREAM or ends_alone:
                # The master's bytes can still be understood, but for the end of a diskless RDB that cannot be read.
                self._tell(events.Opaque(start=position, end=position, side=side, reason=why))
                return
        if self._phase is Phase.ORDINARY:
            self._stop_following()
        elif self._phase is not Phase.OPAQUE:
            self._passing, self._older = None, 0
            if not self._matches and self._phase in REPLIES:
                why = f"bytes of its handshake are not in the capture; {why}"
            self._enter(Phase.OPAQUE)
            if side is Side.MASTER and (self.stream is None or position == self.stream.begins_at):
                why += self._way_out
            self._tell(events.Opaque(start=position, end=position, side=side, reason=why))

    @property
    def _way_out(self) -> str:
        """What would have the master speak plainly, if it may be a new capability that makes it speak otherwise."""
        if not self._novelties:
            return ""
        masks = dict.fromkeys("compression" if name in COMPRESSIONS else name for name in self._novelties)
        return (
            f"; the replica offered capa {', '.join(self._novelties)}, which redis-tap cannot read: "
            f"{' '.join(f'--mask capa:{name}' for name in masks)} has them do without"
        )

    def _keepalive(self, side: Side, start: int, end: int) -> None:
        if side not in self._kept_alive:
            self._kept_alive.add(side)
            self._tell(events.Keepalive(start=start, end=end, side=side))


class _Lost(Exception):
    """Understanding ends here. Caught where bytes come in. at: the byte, None for the one being read."""

    at: int | None = None


_ROLES = {
    Role.REPLICA: "a replica",
    Role.RDB_CHANNEL: "the RDB channel",
    Role.RDB_CLIENT: "a client that takes the RDB only, as redis-cli --rdb does",
    Role.SYNC_CLIENT: "a client that follows with SYNC, as redis-cli --replica does",
}


_SYNCS = (b"PSYNC", b"SYNC")
_NEWLINES = re.compile(rb"\n*+")
# What only PSYNC is answered with. A script may answer with a word; none answers with a replication ID.
_GRANTS = re.compile(
    rb"\+(?:FULLRESYNC [0-9a-f]{40} \d+|CONTINUE [0-9a-f]{40}|RDBCHANNELSYNC \d+|DUALCHANNELSYNC)(?: .*)?", re.IGNORECASE
)


def _is_header(line: bytes, awaits_rdb: bool) -> bool:
    """Whether it announces an RDB, and begins no reply."""
    if awaits_rdb:
        return line.startswith(b"$")
    return line.startswith(b"$ENDOFF:") or (line.startswith(b"$EOF:") and len(line) == 5 + MARK_SIZE)


def _address(host: str, port: str | None) -> str:
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _redis_key(client_id: str) -> str:
    return f"main client {client_id}"


def _valkey_key(replica: str) -> str:
    return f"replica {replica}"


def _rdb_client_key(client_id: str) -> str:
    return f"rdb client {client_id}"


def _is_number(word: bytes) -> bool:
    """Digits, and no more than 64 bits have: int() raises on thousands of them."""
    return word.isdigit() and len(word) < 20


def _text(word: bytes) -> str:
    """A line of the protocol as text; anything unprintable as in a Python bytes literal."""
    text = word.decode("latin-1")
    return text if text.isascii() and text.isprintable() else repr(word)[2:-1]
