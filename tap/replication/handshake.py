"""The exchange before the data: the replica's requests, and the master's replies to them.

Replies do not name their requests, so they are matched by count: the next reply answers the oldest request without one.
Each pair is reported as a Handshake. The answer to PSYNC and SYNC, and the lines after it, are passed to the resync. If
requests or replies are missing, counting is useless: from then on requests and replies are reported separately, and the
answer to PSYNC is recognized by its words, see unmatch().

Other clients talk to masters, too. The first request that no replica sends makes the connection an ordinary one. Nothing
on it is reported from there on, but both directions are followed (passing.py): a client that asks to replicate later, as
some modules do, is treated as a replica from that request on. The replies to its earlier requests come first.
"""

from __future__ import annotations

import re
from collections import deque

from tap.replication import events, strangers
from tap.replication.events import Role, Side
from tap.replication.grants import announces_rdb, is_grant
from tap.replication.identity import SET_UP
from tap.replication.passing import Passing, PassingStanding
from tap.replication.phase import REPLIES, Lost, Phase
from tap.replication.replies import MAX_LINE, LineReader, ReplyReader
from tap.replication.reply_counter import ReplyCounter
from tap.replication.requests import Request, RequestReader
from tap.replication.resync import Resync
from tap.replication.state import State
from tap.replication.unasked_errors import UnaskedErrors, whole_errors

MAX_SET_UP = 64  # requests; a replica needs fewer than ten, a health check never stops

# Bytes of memory for all requests of one connection; beyond it requests are shortened, because the peer has not
# authenticated yet, and the requests may wait for replies for ever. A replica needs less, even with a token as its
# password.
MAX_KEPT = 8 * 1024

SYNCS = (b"PSYNC", b"SYNC")
_NEWLINES = re.compile(rb"\n*+")


class HandshakeReader:
    """requests: reads the replica's bytes, those after the handshake too. is_read: whether they are still read.

    reply_begin: position of the master's first byte that is not part of a whole reply yet.
    """

    __slots__ = (
        "_first_reply",
        "_is_unasked",
        "_lines",
        "_older",
        "_replies",
        "_requests_memory",
        "_requests_seen",
        "_resync",
        "_state",
        "_unanswered",
        "_unasked_errors",
        "is_read",
        "reply_begin",
        "requests",
    )

    def __init__(self, state: State, resync: Resync) -> None:
        self.requests = RequestReader()
        self.is_read = True
        self.reply_begin = 0
        self._state = state
        self._resync = resync
        self._replies = ReplyReader()
        self._lines = LineReader()
        self._unanswered: deque[Request] = deque()  # if replies are not matched, only PSYNC and SYNC
        self._requests_seen = 0
        self._requests_memory = 0
        self._is_unasked = False  # the line being read is an error that answers no request
        self._unasked_errors = UnaskedErrors(self._tell_unasked)
        self._first_reply = b""  # of the connection; only if replies are not matched
        self._older = 0  # outstanding replies to requests from when the connection was an ordinary one

    # ---- replies ----

    def read_reply(self, data: bytes, i: int, begin: int, at: float) -> int:
        """Read one reply, or a part of it, from data[i:]. Returns where reading stopped. begin: position of data[0]."""
        state = self._state
        if state.passing is not None or self._older:
            return self._read_older(data, i, begin, at)
        head = self._unanswered[0] if self._unanswered and not self._is_unasked else None
        if state.is_unmatched:
            return self._read_unmatched(head, data, i, begin, at)
        if head is not None and head.name not in SYNCS:
            i, line = self._replies.feed(data, i)
            if line is not None and self._is_granted(line, self.reply_begin, begin + i, at):
                self.reply_begin = begin + i
            elif line is not None:
                self._unanswered.popleft()
                self._replied(head, begin + i)
                state.exchanged(head, line)
            return i
        if head is None and not self._is_unasked:
            if data[i] != 0x2D:  # only errors come unasked, when a master refuses a client
                raise Lost(f"the master sent byte 0x{data[i]:02x} without being asked: this is not replication")
            end = whole_errors(data, i, MAX_LINE)
            if end > 0:
                self._unasked_errors.heard(data[i:end])
                self.reply_begin = begin + end
                return end
            self._is_unasked = True
        i, line = self._lines.feed(data, i)
        if line is None:
            return i
        start = begin + i - self._lines.size
        if not line:
            i = _NEWLINES.match(data, i).end()  # type: ignore[union-attr]
            if state.watcher is not None:
                state.watcher.newlines(Side.MASTER, start, begin + i)
            self.reply_begin = begin + i
        elif line.startswith(b"$") and state.watcher is not None:
            state.watcher.header(line, self.reply_begin, begin + i)
            self.reply_begin = begin + i
        else:
            self._replied(head, begin + i)
        self._read_line(head, line, start, begin + i, at)
        return i

    def _read_older(self, data: bytes, i: int, begin: int, at: float) -> int:
        """As read_reply(), for replies to requests from when the connection was an ordinary one; these are not reported.

        A line that grants a resync always answers PSYNC, even against the count: see tap.replication.passing.
        """
        state = self._state
        line: bytes | None = b"?"
        if state.passing is None:
            i, line = self._replies.feed(data, i)
        else:
            i += state.passing.from_master(memoryview(data)[i:], 1)
            if not state.passing.is_between_replies:
                line = None
        state.ordinary_until = begin + i
        if line is None:
            return i
        state.passing = None
        start, self.reply_begin = self.reply_begin, begin + i
        if not self._is_granted(line, start, begin + i, at):
            self._older = max(0, self._older - 1)
        return i

    def _is_granted(self, line: bytes, start: int, end: int, at: float) -> bool:
        """Take a line that must answer a former ordinary client's PSYNC or SYNC, even against the count.

        Returns False, and does nothing, for any other line.
        """
        state = self._state
        if state.ordinary_until is None or not (line in (b"", b"+CONTINUE") or is_grant(line)):
            return False
        syncs = [number for number, request in enumerate(self._unanswered) if request.name in SYNCS]
        if not syncs:
            return False
        self._older = 0
        for _ in range(syncs[0]):
            self._unanswered.popleft()
        state.ordinary_until = min(state.ordinary_until, start)
        head = self._unanswered[0]
        if state.watcher is not None and line:
            state.watcher.reply(head, start, end)
        self._lines.size = end - start
        self._read_line(head, line, start, end, at)
        return True

    def _read_unmatched(self, head: Request | None, data: bytes, i: int, begin: int, at: float) -> int:
        """As read_reply(), for replies that are not matched. The answer to PSYNC and SYNC is recognized by its words.

        head: the PSYNC or SYNC without an answer, if it is known.
        """
        state = self._state
        awaits_rdb = head is not None or state.step is Phase.WAITING

        def is_header(line: bytes) -> bool:
            return line.startswith(b"$") if awaits_rdb else announces_rdb(line)

        i, line = self._replies.feed(data, i, is_header)
        if line is None:
            return i
        start, end = self.reply_begin, begin + i
        self.reply_begin = end
        try:
            if not line:
                if state.step in (Phase.PSYNC, Phase.WAITING):
                    state.keep_alive(Side.MASTER, start, end)
            elif state.step is Phase.WAITING:
                self._announced(head, line, start, end, at)
            elif is_grant(line) or (head is not None and line.startswith((b"-", b"+CONTINUE"))):
                self._resync.infer(line, first_reply=self._first_reply)
                self._psync_answered(head, line, start, end, at)
            elif is_header(line):
                self._resync.infer(line, first_reply=self._first_reply)
                state.enter(Phase.WAITING)
                self._announced(head, line, start, end, at)
            elif state.step is Phase.PSYNC and line.startswith(b"*"):
                raise Lost("the answer to PSYNC is missing, and this is not one")  # probably the stream
            else:
                if not start:
                    self._first_reply = line
                state.exchanged(None, line)
        except Lost as lost:
            lost.at = start
            raise
        return i

    def _replied(self, request: Request | None, end: int) -> None:
        if self._state.watcher is not None and request is not None:
            self._state.watcher.reply(request, self.reply_begin, end)
        self.reply_begin = end

    def take_given(self, position: int, at: float) -> None:
        """Read the replies that a fault gives in the master's place, once all earlier replies have been read."""
        state = self._state
        if state.passing is not None or self._older:
            return
        while self._unanswered and self._unanswered[0].given is not None and self.reply_begin == position:
            head = self._unanswered[0]
            assert head.given is not None
            if state.watcher is not None:
                state.watcher.given(head.given, position)
            if head.name in SYNCS:
                self._read_line(head, head.given, position, position, at)
            else:
                self._unanswered.popleft()
                state.exchanged(head, head.given)

    def _read_line(self, head: Request | None, line: bytes, start: int, end: int, at: float) -> None:
        """Take a line that answers PSYNC or SYNC (*head*), or an unasked one (None)."""
        try:
            if head is None:
                self._is_unasked = False
                self._unasked_errors.heard(line + b"\n")
            elif not line:
                self._state.keep_alive(Side.MASTER, start, start + self._lines.size)
            elif head.name == b"PSYNC" and self._state.step is Phase.PSYNC:
                self._psync_answered(head, line, start, end, at)
            else:
                self._announced(head, line, start, end, at)
        except Lost as lost:
            lost.at = start
            raise

    def _psync_answered(self, head: Request | None, line: bytes, start: int, end: int, at: float) -> None:
        if self._resync.answered(head, line, start, end, at) and self._unanswered:  # empty if the request is missing
            self._unanswered.popleft()

    def _announced(self, head: Request | None, line: bytes, start: int, end: int, at: float) -> None:
        if self._resync.announced(head, line, start, end, at) and self._unanswered:
            self._unanswered.popleft()

    def _tell_unasked(self, line: bytes, count: int) -> None:
        self._state.tell(events.Handshake(start=0, end=0, request=(), reply=self._state.shown(line), count=count))

    # ---- requests ----

    def next_request(self) -> object:
        """The replica's next item, see RequestReader.next(); None if it is incomplete, or not read any more."""
        self.requests.is_lenient = self._state.step is Phase.STREAM
        return self.requests.next() if self.is_read else None

    def requested(self, request: Request, at: float) -> None:
        """Take a whole request, in a phase in which the master sends replies."""
        state = self._state
        if self._is_a_stranger(tuple(word.upper() for word in request.args[: strangers.WORDS]), request.start):
            return
        state.heard_secrets.heard(request)
        self._requests_seen += 1
        if self._requests_seen > MAX_SET_UP:
            if state.step not in (Phase.CONNECT, Phase.HANDSHAKE):
                raise Lost(f"more than {MAX_SET_UP} requests before the stream")
            text = f"a connection without PSYNC in {MAX_SET_UP} requests, as a health check: passed on, not read"
            self._pass_by(request.start, request.end, Role.ORDINARY, text)
            return
        if not state.is_unmatched or request.name in SYNCS:
            self._requests_memory += request.memory
            self._unanswered.append(request if self._requests_memory <= MAX_KEPT else request.shortened())
        else:
            state.exchanged(request, None)
        state.identity.heard(request)
        if request.name == b"REPLCONF":
            self._resync.configured(request)
        if request.name == b"PSYNC":
            self._resync.requested_psync(request)
        elif request.name == b"SYNC":
            self._resync.requested_sync(request)
        elif state.step is Phase.CONNECT:
            state.enter(Phase.HANDSHAKE)
        self.take_given(state.from_master, at)

    # ---- ordinary connections ----

    def is_a_stranger_so_far(self) -> bool:
        """Whether no replica sends the incomplete or malformed request; if so, make the connection an ordinary one."""
        words = self.requests.words_so_far(strangers.WORDS)
        return strangers.is_named(words) and self._is_a_stranger(words, self.requests.position)

    def is_strangers_nonsense(self, start: int) -> bool:
        """As is_a_stranger_so_far(), for a malformed request at *start*."""
        words = self.requests.words_so_far(strangers.WORDS)
        return bool(words) and self._is_a_stranger(words, start)

    def _is_a_stranger(self, words: tuple[bytes, ...], start: int) -> bool:
        """Whether no replica sends a request that begins with these words; if so, make the connection an ordinary one.

        start: of the request, whose end may not have come yet.
        """
        state = self._state
        if state.step not in (Phase.CONNECT, Phase.HANDSHAKE) or words[0] in SET_UP:
            return False
        self._pass_by(start, start, *strangers.what_it_is(words, state.identity.called, state.identity.user))
        return True

    def _pass_by(self, start: int, end: int, role: Role, text: str) -> None:
        """Make the connection an ordinary one, and report nothing more. start, end: the request that no replica sends."""
        state = self._state
        passing = self._passing_from(start) if role is Role.ORDINARY else None
        rest, self.requests = self.requests.rest, RequestReader()
        self._unanswered.clear()
        state.heard_secrets.are_unknown = True
        is_new, state.role = state.role is not role, role
        state.enter(Phase.ORDINARY)
        if is_new:
            state.tell(events.Identified(start=start, end=end, role=role, replica=state.replica, text=text))
        state.passing = passing
        self.is_read = passing is not None
        if passing is not None and (found := self.follow(passing, rest)) is not None:
            self.requests.feed(found)

    def _passing_from(self, start: int) -> Passing | None:
        """A follower from the request at *start* on; None if the master is in a line that it could not take over."""
        if self._is_unasked or self._lines.unfinished or self._state.passing is not None:
            return None
        more, left, line = self._replies.unfinished
        replies = ReplyCounter(more, left)
        replies.feed(line)
        unanswered = self._older + sum(request.given is None for request in self._unanswered)
        has_been_read = self.requests.position > start
        return Passing(self.requests.position, unanswered + has_been_read, replies)

    def follow(self, passing: Passing, data: bytes | memoryview) -> bytes | None:
        """Take the next bytes of an ordinary connection. Returns those from the first request on that only replicas send.

        None while there is no such request.
        """
        state = self._state
        found: bytes | None = passing.from_replica(data)
        if passing.broken:
            self.stop_following()
        if found is None:
            return None
        self.requests = RequestReader()
        self.requests.skip(passing.position)
        self._requests_seen = self._requests_memory = 0
        self._older = 0 if state.is_unmatched else passing.unanswered
        self.reply_begin = state.ordinary_until = state.from_master
        self._replies, self._lines = ReplyReader(), LineReader()
        if passing.is_between_replies:
            state.passing = None
        state.enter(Phase.HANDSHAKE)
        return found

    def stop_following(self) -> None:
        """Stop looking for a request to replicate."""
        self._state.passing = None
        self.is_read = False

    def stand(self, standing: PassingStanding | None) -> None:
        """Continue from a standing in a later phase. standing: for an ordinary connection that is followed."""
        state = self._state
        if standing is not None:
            state.passing = Passing(0, 0, ReplyCounter())
            state.passing.stand(standing)
        self.is_read = state.step not in (Phase.ORDINARY, Phase.OPAQUE) or state.passing is not None

    def forget_older(self) -> None:
        """Stop expecting replies to requests of an ordinary connection: it is not understood any more."""
        self._state.passing, self._older = None, 0

    # ---- missing bytes ----

    def skip_replies(self, size: int) -> bool:
        """The master's next *size* bytes are missing; after them a reply or a line begins. See unmatch().

        Returns False, and does nothing, if the master does not send replies in this phase.
        """
        state = self._state
        if state.step not in (*REPLIES, Phase.ORDINARY):
            return False
        state.from_master += size
        self.reply_begin = state.from_master
        self._replies, self._lines, self._is_unasked = ReplyReader(), LineReader(), False
        self.unmatch()
        return True

    def unmatch(self) -> None:
        """Stop matching replies by count, because some requests or replies are missing.

        From here on they are reported separately, and the answer to PSYNC is recognized by its words.
        """
        state = self._state
        state.is_unmatched = True
        waiting, self._unanswered = self._unanswered, deque()
        for request in waiting:
            if request.name in SYNCS:
                self._unanswered.append(request)
            else:
                state.exchanged(request, None)

    def skip_requests(self, size: int) -> None:
        """The replica's next bytes are missing; after them a request begins.

        Replies are then no longer matched to requests, see unmatch(), unless a PSYNC waits for its answer: a replica
        sends no other request meanwhile.
        """
        state = self._state
        if size and state.step in REPLIES and not self._is_unasked:
            state.lacks_replica = state.heard_secrets.are_unknown = True
            if not any(request.name in SYNCS for request in self._unanswered):
                self.unmatch()
        state.from_replica += size
        self.requests = RequestReader()
        self.requests.skip(state.from_replica)

    # ---- the end ----

    def close(self) -> None:
        """Both directions have ended: report the unasked errors that are not reported yet."""
        self._unasked_errors.close()

    def close_unidentified(self) -> None:
        """Both directions have ended: report a health check, if the peer sent nothing that only a replica sends."""
        state = self._state
        was_served = state.from_master or not state.from_replica
        if state.role is None and state.step is Phase.HANDSHAKE and was_served and not state.identity.has_configured:
            here, text = state.from_replica, "a connection that ended without PSYNC, as a health check"
            self._pass_by(here, here, Role.ORDINARY, text)
