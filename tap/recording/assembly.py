"""TCP segments into connections: bytes in order, each once; what the capture lacks is a gap of known size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tap.recording.layers import Segment
from tap.recording.segments import ACK, FIN, RST, SYN, Endpoint

MAX_PENDING = 2**24  # bytes that wait for what should stand before them: more than a receive window holds
EARLY_TIME = 100_000_000  # nanoseconds that a segment waits for those that it acknowledges: captures mix up directions
MAX_EARLY = 64  # segments that do
GAP_TIME = 1_000_000_000  # nanoseconds after which bytes that were acknowledged without being seen will not come
MAX_DISTANCE = 2**30  # of a sequence number from the one expected: further away it is from another connection
MAX_CLOSED = 10_000  # connections that are remembered, so that what is sent again is not taken for a new one


@dataclass(slots=True)
class Half:
    """One direction. position: bytes of it that have been given out or skipped."""

    following: int | None = None  # the sequence number of the next byte
    position: int = 0
    pending: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # by sequence number: data, bytes missing behind
    pending_bytes: int = 0
    hole_since: int | None = None
    acknowledged: int | None = None  # by the other direction
    fin: int | None = None  # its sequence number
    has_ended: bool = False
    is_heard: bool = False  # a packet of its sender is in the capture, with or without bytes
    unseen: int | None = None  # up to this sequence number bytes were waited for, in vain


class Connection:
    """ends: who opened it first; where that was not seen (from_start is false), whoever was heard first."""

    def __init__(self, ends: tuple[Endpoint, Endpoint], from_start: bool) -> None:
        self.ends = ends
        self.from_start = from_start
        self.halves = Half(), Half()
        self.early: list[tuple[int, Segment]] = []  # with the times they came
        self.is_closed = False

    def side(self, segment: Segment) -> int:
        """The number of its sender."""
        return 0 if self.ends[0] == segment.source else 1

    def waiting(self, side: int) -> int:
        """Bytes of a side that have come, and are not given out yet."""
        early = sum(len(segment.data) for _, segment in self.early if self.side(segment) == side)
        return early + self.halves[side].pending_bytes

    def lacks(self, side: int) -> bool:
        """Whether the other has received bytes of the side that have not come."""
        half = self.halves[side]
        if half.following is None or half.acknowledged is None:
            return False
        return _distance(half.acknowledged, half.following) > half.has_ended  # a FIN has a number, too


@dataclass(frozen=True, slots=True)
class Opened:
    connection: Connection
    time: int


@dataclass(frozen=True, slots=True)
class Bytes:
    """The next ones of a side."""

    connection: Connection
    time: int
    side: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """size bytes of a side are not in the capture."""

    connection: Connection
    time: int
    side: int
    size: int


@dataclass(frozen=True, slots=True)
class Unseen:
    """What comes next answers bytes of a side that have not come. They may, out of order, or never."""

    connection: Connection
    time: int
    side: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A side has sent all, or the connection is reset; closed: it was the end of the connection."""

    connection: Connection
    time: int
    side: int
    is_reset: bool
    closed: bool


Item = Opened | Bytes | Gap | Unseen | Ended


class Assembler:
    """All connections of a capture. Segments may come twice, in another order, and overlap; the first copy counts."""

    def __init__(self) -> None:
        self.connections: dict[tuple[Endpoint, Endpoint], Connection] = {}
        self._waiting: dict[Connection, None] = {}  # those with early segments, and some that had them

    def find(self, segment: Segment) -> Connection | None:
        """The connection that the segment is of, if it is known."""
        ends = segment.source, segment.target
        return self.connections.get(ends) or self.connections.get((ends[1], ends[0]))

    def take(self, segment: Segment, time: int) -> Iterator[Item]:
        """To be iterated to its end."""
        connection = self.find(segment)
        if segment.flags & SYN and not segment.flags & ACK and connection is not None:
            opener = connection.halves[connection.side(segment)]
            if connection.is_closed or opener.position or opener.following != (segment.sequence + 1) & 0xFFFFFFFF:
                yield from self.finish(connection, time)  # its ports are used again
                connection = None
        if connection is None:
            if not (segment.data or segment.flags & SYN):
                return
            connection = self._open(segment)
            yield Opened(connection, time)
        if connection.is_closed:
            return
        connection.halves[connection.side(segment)].is_heard = True
        early = connection.early
        if _is_early(connection, segment):
            early.append((time, segment))
            self._waiting[connection] = None
        else:
            yield from self._take(connection, segment, time)
        while early:
            overdue = time - early[0][0] > EARLY_TIME or len(early) > MAX_EARLY
            ready = (n for n, (_, one) in enumerate(early) if not _is_early(connection, one))
            number = 0 if overdue else next(ready, None)
            if number is None:
                break
            yield from self._release(connection, early.pop(number)[1], time)

    def overdue(self, time: int) -> Iterator[Item]:
        """Of all connections, what has waited long enough, in the order in which it came."""
        while True:
            self._waiting = {one: None for one in self._waiting if one.early}
            due = [one for one in self._waiting if _is_due(one, time)]
            if not due:
                return
            connection = min(due, key=lambda one: one.early[0][0])
            yield from self._release(connection, connection.early.pop(0)[1], time)

    def _release(self, connection: Connection, segment: Segment, time: int) -> Iterator[Item]:
        """Take one that has waited."""
        if _is_early(connection, segment):
            yield from self._catch_up(connection, segment, time)
        yield from self._take(connection, segment, time)
        yield from self._drain(connection, 1 - connection.side(segment), time)

    def _take(self, connection: Connection, segment: Segment, time: int) -> Iterator[Item]:
        if connection.is_closed:
            return
        side = connection.side(segment)
        half, other = connection.halves[side], connection.halves[1 - side]
        sequence = segment.sequence
        if segment.flags & SYN:
            sequence = (sequence + 1) & 0xFFFFFFFF
            if half.following is None:
                half.following = sequence
        if segment.flags & ACK:
            if other.following is None:
                other.following = segment.acknowledged
            other.acknowledged = segment.acknowledged
        if half.following is None:
            half.following = sequence
        if segment.data or segment.missing:
            yield from self._data(connection, side, sequence, segment, time)
        if segment.flags & FIN and half.fin is None:
            half.fin = (sequence + len(segment.data) + segment.missing) & 0xFFFFFFFF
        if segment.flags & RST:
            while connection.early:
                yield from self._release(connection, connection.early.pop(0)[1], time)
            yield from self._flush(connection, time)
            connection.is_closed = True
            yield Ended(connection, time, side, is_reset=True, closed=True)
            return
        for number in (side, 1 - side):
            yield from self._overdue(connection, number, time)
            yield from self._fin(connection, number, time)

    def join(self, segment: Segment, positions: tuple[int, int], held: int) -> Connection:
        """Begin with a connection in its middle. positions: bytes of the segment's source and of its target before.

        held: bytes of the target that come behind the segment, and are among these.
        """
        self.connections.pop((segment.target, segment.source), None)
        connection = self._open(segment)
        for half, following, position in zip(
            connection.halves, (segment.sequence, segment.acknowledged + held & 0xFFFFFFFF), positions, strict=True
        ):
            half.following, half.position = following, position
        return connection

    def skip(self, connection: Connection, side: int, position: int, time: int) -> Iterator[Item]:
        """The bytes of a side up to a position are known not to be in the capture."""
        half = connection.halves[side]
        size = position - half.position
        if size > 0 and half.following is not None:
            yield from self._gap(connection, side, size, time)

    def finish(self, connection: Connection, time: int) -> Iterator[Item]:
        """Nothing more comes of it."""
        while connection.early:
            yield from self._release(connection, connection.early.pop(0)[1], time)
        if not connection.is_closed:
            connection.is_closed = True
            yield from self._flush(connection, time)

    def _open(self, segment: Segment) -> Connection:
        ends = segment.source, segment.target
        if segment.flags & SYN and segment.flags & ACK:
            ends = segment.target, segment.source
        known = self.connections
        known.pop((ends[1], ends[0]), None)
        known.pop(ends, None)
        if len(known) > MAX_CLOSED:
            closed = [key for key, one in known.items() if one.is_closed]
            for key in closed[: len(closed) // 2]:
                del known[key]
        connection = known[ends] = Connection(ends, bool(segment.flags & SYN))
        return connection

    def _data(self, connection: Connection, side: int, sequence: int, segment: Segment, time: int) -> Iterator[Item]:
        half = connection.halves[side]
        assert half.following is not None
        ahead = _distance(sequence, half.following)
        if abs(ahead) > MAX_DISTANCE:
            return
        if ahead > 0:
            known = half.pending.get(sequence)
            if known is None or len(known[0]) < len(segment.data):
                half.pending[sequence] = segment.data, segment.missing
                half.pending_bytes += len(segment.data) - (0 if known is None else len(known[0]))
            if half.hole_since is None:
                half.hole_since = time
            return
        yield from self._next(connection, side, segment.data, segment.missing, -ahead, time)
        yield from self._drain(connection, side, time)

    def _next(
        self, connection: Connection, side: int, data: bytes, missing: int, known: int, time: int
    ) -> Iterator[Item]:
        """Give out what is behind the first *known* bytes of data and missing."""
        half = connection.halves[side]
        assert half.following is not None
        if known < len(data):
            new = data[known:] if known else data
            half.position += len(new)
            half.following = (half.following + len(new)) & 0xFFFFFFFF
            yield Bytes(connection, time, side, new)
        lacking = len(data) + missing - max(known, len(data))
        if lacking > 0:
            yield from self._gap(connection, side, lacking, time)

    def _gap(self, connection: Connection, side: int, size: int, time: int) -> Iterator[Item]:
        half = connection.halves[side]
        assert half.following is not None
        half.position += size
        half.following = (half.following + size) & 0xFFFFFFFF
        yield Gap(connection, time, side, size)

    def _catch_up(self, connection: Connection, segment: Segment, time: int) -> Iterator[Item]:
        """What it acknowledges and has not come in all that time is not in the capture; the rest comes before it."""
        side = 1 - connection.side(segment)
        half = connection.halves[side]
        while half.pending:
            assert half.following is not None
            following = half.following
            ahead = min(_distance(one, following) for one in half.pending)
            if not 0 < ahead <= _distance(segment.acknowledged, following):
                break
            yield from self._gap(connection, side, ahead, time)
            yield from self._drain(connection, side, time, segment.acknowledged)
        if _is_early(connection, segment):  # that it is given out all the same shows nothing of a gap
            half.unseen = segment.acknowledged
            yield Unseen(connection, time, side)

    def _drain(self, connection: Connection, side: int, time: int, end: int | None = None) -> Iterator[Item]:
        """What waited for the bytes before it. end: and has no number from here on."""
        half = connection.halves[side]
        while half.pending:
            assert half.following is not None
            following = half.following
            sequence = following
            if sequence not in half.pending:
                sequence = min(half.pending, key=lambda one: _distance(one, following))
            ahead = _distance(sequence, following)
            if ahead > 0 or (end is not None and _distance(end, following) <= 0):
                half.hole_since = time if half.hole_since is None else half.hole_since
                return
            data, missing = half.pending.pop(sequence)
            half.pending_bytes -= len(data)
            if -ahead < len(data) + missing:
                yield from self._next(connection, side, data, missing, -ahead, time)
        half.hole_since = None

    def _overdue(self, connection: Connection, side: int, time: int) -> Iterator[Item]:
        """Go on behind a hole that will not be filled any more."""
        half = connection.halves[side]
        while half.pending:
            assert half.following is not None
            assert half.hole_since is not None
            acknowledged = half.acknowledged is not None and _distance(half.acknowledged, half.following) > 0
            if half.pending_bytes <= MAX_PENDING and not (acknowledged and time - half.hole_since > GAP_TIME):
                return
            yield from self._leap(connection, side, time)

    def _leap(self, connection: Connection, side: int, time: int) -> Iterator[Item]:
        half = connection.halves[side]
        assert half.following is not None
        following = half.following
        half.hole_since = None
        yield from self._gap(connection, side, min(_distance(one, following) for one in half.pending), time)
        yield from self._drain(connection, side, time)

    def _flush(self, connection: Connection, time: int) -> Iterator[Item]:
        for side in (0, 1):
            while connection.halves[side].pending:
                yield from self._leap(connection, side, time)

    def _fin(self, connection: Connection, side: int, time: int) -> Iterator[Item]:
        half = connection.halves[side]
        if half.fin is None or half.has_ended or half.following is None or _distance(half.fin, half.following) > 0:
            return
        half.has_ended = True
        connection.is_closed = connection.halves[1 - side].has_ended
        yield Ended(connection, time, side, is_reset=False, closed=connection.is_closed)


def _is_due(connection: Connection, time: int) -> bool:
    """Whether its first early segment has waited long enough, or is early no more."""
    came, segment = connection.early[0]
    return time - came > EARLY_TIME or not _is_early(connection, segment)


def _is_early(connection: Connection, segment: Segment) -> bool:
    """Whether it acknowledges bytes of the other side that have not been seen yet."""
    if not segment.data or not segment.flags & ACK:
        return False
    half = connection.halves[1 - connection.side(segment)]
    if half.following is None:
        return False
    known = half.following
    if half.unseen is not None:
        if half.position == 0 and not half.pending:
            return False  # of a direction that is not in the capture, no more will come either
        if _distance(half.unseen, known) > 0:
            known = half.unseen
    return half.has_ended < _distance(segment.acknowledged, known) < MAX_DISTANCE  # a FIN has a number, too


def _distance(sequence: int, following: int) -> int:
    """How far it is ahead, below 0 behind; numbers wrap at 2^32."""
    return (sequence - following + 0x80000000 & 0xFFFFFFFF) - 0x80000000
