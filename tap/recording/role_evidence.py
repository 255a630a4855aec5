"""Decides, without the beginning of a connection, whether it replicates and which end is the replica.

A client's pipelined writes are, byte for byte, what a stream of commands could hold, and a value may hold anything. So
neither amounts nor ports nor commands decide. Only bytes that no other client or server sends decide:

- a replica that follows a stream sends acknowledgements, and nothing else;
- a replica that asks for a resync sends REPLCONF, PSYNC or SYNC;
- a master that grants one sends +FULLRESYNC, +CONTINUE with a replication ID, $EOF:, or a line of a two-connection sync.

All of these count only at the beginning of a segment, because replica and master write each of them separately;
elsewhere they may be part of a value. Nothing is decided before one of them comes, however much comes and whatever is
missing. Bytes are held as long as they may turn out to be a stream: while one end has sent only acknowledgements.
"""

from __future__ import annotations

import enum
import re
from collections import deque
from dataclasses import dataclass

from tap.replication.grants import stands_near
from tap.replication.identity import SET_UP
from tap.replication.requests import Newlines, Request, RequestReader

MAX_HELD = 2**20  # bytes held per connection
ITEM_BYTES = 100  # memory of an object and its place in the queue
MAX_LOOKED_AT = 4096  # bytes: the replies to a whole handshake may stand before a grant
# Number of segments with only acknowledgements that decide when the same end also sends other things, as a replica that
# replies to its master does, or when the other end is silent.
ENOUGH_ACKS = 2

_ACKS = re.compile(
    rb"(?:\n|\*[35]\r\n\$8\r\nREPLCONF\r\n\$3\r\nACK\r\n\$\d\d?\r\n\d+\r\n(?:\$4\r\nFACK\r\n\$\d\d?\r\n\d+\r\n)?)+",
    re.IGNORECASE,
)
_ACK_BEGINS = re.compile(rb"\*[35]\r\n\$8\r\nREPLCONF\r\n\$3\r\nACK\r\n\$[\d\r\n]*", re.IGNORECASE)
_ASKS = re.compile(rb"REPLCONF|SYNC", re.IGNORECASE)
_NEVER_STREAMED = re.compile(rb"\*\d+\r\n\$(?:5\r\nPSYNC|8\r\nREPLCONF\r\n\$\d+\r\n(?!GETACK))", re.IGNORECASE)
_PING = re.compile(rb"\*1\r\n\$4\r\nPING\r\n|PING\r\n", re.IGNORECASE)


class RoleEvidence(enum.Enum):
    """What decided."""

    ACKS = "acks"
    REQUEST = "request"
    GRANT = "grant"


@dataclass(frozen=True, slots=True)
class Missed:
    """*size* bytes that are not in the capture. is_cut: they were cut off a packet that is in it."""

    size: int
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class RoleVerdict:
    """replica: the end that is the replica, if the connection replicates. is_whole: its first request is known."""

    replica: int
    evidence: RoleEvidence
    is_whole: bool = False


class Undecided:
    """Takes the bytes of both ends until there is a verdict.

    held: what came, to be read once decided: (end, bytes), or (end, what is missing). skipped: number of bytes of each
    end before those held.
    """

    def __init__(self) -> None:
        self.held: deque[tuple[int, bytes | Missed]] = deque()
        self.skipped = [0, 0]
        self._held_bytes = 0
        self._acks = [0, 0]  # segments
        self._says_more = [False, False]  # than acknowledgements
        self._cut_ack: int | None = None  # the end whose last segment is an acknowledgement, cut short

    def heard(self, end: int, data: bytes) -> RoleVerdict | None:
        """Take the next bytes, a segment or part of one."""
        verdict = self._judge(end, data)
        if verdict is not None and verdict.evidence is not RoleEvidence.ACKS:
            verdict = self._from_the_beginning(verdict, data)
        self._hold(end, data)
        if verdict is None:
            self._limit()
        return verdict

    def missing(self, end: int, missed: Missed) -> RoleVerdict | None:
        """Note that the next bytes of an end are not in the capture."""
        acknowledges, self._cut_ack = self._cut_ack == end, None
        self._hold(end, missed)
        if acknowledges:
            return RoleVerdict(end, RoleEvidence.ACKS)
        self._limit()
        return None

    def _judge(self, end: int, data: bytes) -> RoleVerdict | None:
        self._cut_ack = None
        if not data.strip(b"\n"):
            return None  # keep-alives of a replica while it loads, or of a master while it forks
        if is_acknowledging(data):
            self._acks[end] += 1
            if not self._says_more[end] or self._acks[end] >= ENOUGH_ACKS:
                return RoleVerdict(end, RoleEvidence.ACKS)
            return None
        if not self._says_more[end] and _ACK_BEGINS.fullmatch(data):
            self._cut_ack = end
            return None
        self._says_more[end] = True
        if stands_near(data, MAX_LOOKED_AT):
            return RoleVerdict(1 - end, RoleEvidence.GRANT)
        if _ASKS.search(data) and any(map(_asks, _requests(data))):
            return RoleVerdict(end, RoleEvidence.REQUEST)
        return None

    def _from_the_beginning(self, verdict: RoleVerdict, data: bytes) -> RoleVerdict:
        """Keep the held bytes if they are a whole handshake; otherwise reading begins at the segment that decides."""
        said = [one for end, one in self.held if end == verdict.replica]
        is_gapless = not any(isinstance(one, Missed) for _, one in self.held)
        if verdict.evidence is RoleEvidence.REQUEST and is_gapless and not any(self.skipped):
            requests = _requests(b"".join(one for one in [*said, data] if isinstance(one, bytes)))
            if requests and all(request.name in SET_UP for request in requests):
                first = self.held[0] if self.held else (verdict.replica, data)
                begins = first[0] == verdict.replica and isinstance(first[1], bytes) and _PING.match(first[1])
                return RoleVerdict(verdict.replica, verdict.evidence, is_whole=bool(begins))
        self._drop(0)
        return verdict

    def _hold(self, end: int, item: bytes | Missed) -> None:
        self.held.append((end, item))
        self._held_bytes += _cost(item)

    def _limit(self) -> None:
        if all(self._says_more):
            self._drop(0)
        elif self._held_bytes > MAX_HELD:
            self._drop(MAX_HELD // 2)

    def _drop(self, left: int) -> None:
        """Drop the oldest items until at most *left* bytes are held."""
        while self.held and self._held_bytes > left:
            end, item = self.held.popleft()
            self.skipped[end] += item.size if isinstance(item, Missed) else len(item)
            self._held_bytes -= _cost(item)


def _cost(item: bytes | Missed) -> int:
    return ITEM_BYTES + (0 if isinstance(item, Missed) else len(item))


def is_acknowledging(data: bytes) -> bool:
    """Whether these bytes are only acknowledgements and newlines."""
    return _ACKS.fullmatch(data) is not None


def may_be_a_replica(data: bytes) -> bool:
    """Whether a segment is what a replica sends before the stream, or an acknowledgement."""
    if not data.strip(b"\n") or is_acknowledging(data) or _ACK_BEGINS.fullmatch(data):
        return True
    requests = _requests(data)
    return all(request.name in SET_UP for request in requests) and (bool(requests) or data.startswith(b"*"))


def may_be_a_stream(data: bytes) -> bool:
    """Whether no command near the beginning of these bytes is one that a master never sends."""
    return _NEVER_STREAMED.search(data, 0, MAX_LOOKED_AT) is None


def _requests(data: bytes) -> list[Request]:
    """The whole requests at the beginning of these bytes."""
    reader = RequestReader()
    reader.feed(data)
    found = []
    while isinstance(item := reader.next(), Request | Newlines):
        if isinstance(item, Request):
            if not item.name.isalpha():
                break  # a reply, or a word of a module
            found.append(item)
    return found


def _asks(request: Request) -> bool:
    if request.name in (b"PSYNC", b"SYNC"):
        return True
    return request.name == b"REPLCONF" and len(request.args) > 1 and request.args[1].upper() not in (b"ACK", b"GETACK")
