"""TCP segments into connections: the bytes of each direction in order and once; what the capture lacks is a gap.

A capture is not what the endpoints saw. Its packets may be repeated, reordered, cut short or missing, and some carry a
connection's addresses without belonging to it: the RST of a middlebox, the SYN of a scanner, a late packet of an earlier
connection with the same ports.

Each direction (tcp_connection.py) knows the sequence number it expects next, following, and how many bytes precede it,
position:

    given out as Bytes and Gaps  │  hole   │  pending segments, with holes of their own
    ─────────────────────────────┼─────────┼──────────────────────
                             following   pending.first()

A segment at following is given out at once. One that is ahead waits in pending. The hole becomes a Gap when the other
side has acknowledged its bytes and GAP_TIME has passed, when too much is waiting, or when the connection ends. A segment
that acknowledges bytes which have not been seen waits in early, for EARLY_TIME at the most, because many captures mix up
the two directions and a reply must not come out before its request.

Which segments belong to the connection? An endpoint believes what lies in its window (RFC 9293, 3.10.7.4; RFC 5961 for
RST and SYN). We may not know that window: its scale is in the SYNs alone, and the packets that moved it may be missing.
So a segment is judged by the distance of its numbers, and a distant one by whether others continue it:

- A segment is near if its numbers are within REACH of what the connection has come to, or belong to bytes that have been
  given out: a copy, however late, brings nothing new.
- Any other is a rival. Rivals are set aside, and dropped as soon as the connection itself brings new bytes. They are
  believed once they are answered, once one follows a rival SYN, or once PROOF of them follow one another. Then they
  continue this connection after a large hole if one of their directions is near, and otherwise open another connection
  with the same ports.
- A RST ends a connection that can have come to its number, which lies between what was acknowledged and what was seen. A
  RST further ahead may follow missing bytes: it waits for them, or for the end of the capture, and is dropped if its
  sender goes on. A FIN waits in the same way.

What always holds: the Bytes and Gaps of a direction follow one another without overlap, and their sizes add up to its
position. Packets that were not believed are counted in disbelieved, so that they can be reported. The cost is the data
that waits, 16 MiB per direction at the most, and a small record of each connection, MAX_CLOSED of them after their end.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from tap.capture.layers import Segment
from tap.capture.segments import ACK, FIN, RST, SYN, Endpoint
from tap.capture.tcp_connection import REACH, TcpConnection, distance

PROOF = 3  # segments that follow one another: not a coincidence
EARLY_TIME = 100_000_000  # nanoseconds that a segment waits for the bytes it acknowledges
MAX_EARLY = 64  # segments that wait for them
GAP_TIME = 1_000_000_000  # nanoseconds after which bytes acknowledged but not seen are taken to be missing
MAX_CLOSED = 10_000  # closed connections remembered, so that a retransmission is not taken for a new connection


@dataclass(frozen=True, slots=True)
class Opened:
    connection: TcpConnection
    time: int


@dataclass(slots=True)  # not frozen: that would double the time to create one
class Bytes:
    """The next bytes of a side."""

    connection: TcpConnection
    time: int
    side: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """size bytes of a side are missing from the capture. is_cut: they were cut off a packet that it contains."""

    connection: TcpConnection
    time: int
    side: int
    size: int
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Unseen:
    """The next item of the other side answers bytes of this side that have not been seen. They may still come, late."""

    connection: TcpConnection
    time: int
    side: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A side has sent all its bytes, or the connection was reset. closed: this ends the connection."""

    connection: TcpConnection
    time: int
    side: int
    is_reset: bool
    closed: bool


Item = Opened | Bytes | Gap | Unseen | Ended


class Assembler:
    """All connections of a capture. Segments may be repeated, reordered and overlap; the first copy of a byte counts."""

    def __init__(self) -> None:
        self.connections: dict[tuple[Endpoint, Endpoint], TcpConnection] = {}
        self._most = MAX_CLOSED
        self._waiting: dict[TcpConnection, None] = {}  # those with early segments, and some that no longer have any
        self._last: TcpConnection | None = None  # the one that find() returned last

    def find(self, segment: Segment) -> TcpConnection | None:
        """The connection that has the segment's addresses, if it is known."""
        source, target = segment.source, segment.target
        if self._last is not None:
            opener, other = self._last.ends
            if (source is opener and target is other) or (source is other and target is opener):
                return self._last
        self._last = self.connections.get((source, target)) or self.connections.get((target, source))
        return self._last

    def reassemble(self, segment: Segment, time: int, *, opens: bool = False) -> Iterator[Item]:
        """Take the next segment. The iterator must be exhausted. opens: this SYN is known to open a connection."""
        connection = self.find(segment)
        if connection is None:
            if not (segment.data or segment.flags & SYN):
                return
            connection = self._open(segment)
            opens = False
            yield Opened(connection, time)
        side = connection.side(segment)
        if opens or not connection.has(segment, side) or (connection.rivals and _is_of_rivals(connection, segment)):
            if not opens and (not segment.flags & SYN or _is_in_use(connection)):
                yield from self._rival(connection, segment, time)
                return
            yield from self.finish(connection, time)
            connection = self._open(segment)
            side = connection.side(segment)
            yield Opened(connection, time)
        if connection.is_closed:
            if connection.reset_by == side and _brings(connection, segment):
                yield from self._rival(connection, segment, time)
            return
        connection.halves[side].is_heard = True
        if connection.rivals and _brings(connection, segment):
            connection.forget_rivals()
        early = connection.early
        if segment.data and _is_early(connection, segment, side):
            early.append((time, segment))
            self._waiting[connection] = None
        else:
            yield from self._take(connection, segment, side, time)
        while early:
            overdue = time - early[0][0] > EARLY_TIME or len(early) > MAX_EARLY
            ready = (n for n, (_, one) in enumerate(early) if not _is_early(connection, one, connection.side(one)))
            number = 0 if overdue else next(ready, None)
            if number is None:
                break
            yield from self._release(connection, early.pop(number)[1], time)

    def overdue(self, time: int) -> Iterator[Item]:
        """Give out the early segments of all connections that have waited long enough, in their order of arrival."""
        self._waiting = {one: None for one in self._waiting if one.early}
        waiting = list(self._waiting)
        due = [(one.early[0][0], number) for number, one in enumerate(waiting) if _is_due(one, time)]
        heapq.heapify(due)
        while due:
            _, number = heapq.heappop(due)
            connection = waiting[number]
            yield from self._release(connection, connection.early.pop(0)[1], time)
            if connection.early and _is_due(connection, time):
                heapq.heappush(due, (connection.early[0][0], number))

    def _release(self, connection: TcpConnection, segment: Segment, time: int) -> Iterator[Item]:
        """Take a segment that has waited in early."""
        side = connection.side(segment)
        if _is_early(connection, segment, side):
            yield from self._catch_up(connection, segment, time)
        yield from self._take(connection, segment, side, time)
        yield from self._drain(connection, 1 - side, time)

    def _take(self, connection: TcpConnection, segment: Segment, side: int, time: int) -> Iterator[Item]:
        if connection.is_closed:
            return
        half, other = connection.halves[side], connection.halves[1 - side]
        flags, sequence = segment.flags, segment.sequence
        if flags & SYN:
            sequence = (sequence + 1) & 0xFFFFFFFF
        half.begin(sequence)
        assert half.following is not None
        if flags & ACK and not flags & RST:
            other.begin(segment.acknowledged)
            if other.acknowledged is None or distance(segment.acknowledged, other.acknowledged) > 0:
                other.acknowledged = segment.acknowledged
        if flags & RST:
            if half.can_have_come_to(sequence):
                yield from self._reset(connection, side, sequence, time)
            elif distance(sequence, half.following) > 0:
                half.reset = sequence, time
            else:
                connection.disbelieve(segment)
            return
        if half.reset is not None and time - half.reset[1] > EARLY_TIME:
            half.reset = None
            connection.disbelieved["RST"] += 1
        if segment.data or segment.missing:
            yield from self._data(connection, side, sequence, segment, time)
        if flags & FIN and not half.has_ended:
            end = (sequence + len(segment.data) + segment.missing) & 0xFFFFFFFF
            if distance(end, half.following) < 0:
                connection.disbelieve(segment)
            elif half.fin is None or distance(end, half.fin) < 0:
                half.fin = end
        for number in (side, 1 - side):
            half = connection.halves[number]
            if half.pending:
                yield from self._overdue(connection, number, time)
            if half.fin is not None or half.reset is not None:
                yield from self._end(connection, number, time)

    def _release_all(self, connection: TcpConnection, time: int) -> Iterator[Item]:
        while connection.early:
            yield from self._release(connection, connection.early.pop(0)[1], time)

    def _reset(self, connection: TcpConnection, side: int, sequence: int, time: int) -> Iterator[Item]:
        yield from self._release_all(connection, time)
        yield from self._flush(connection, time)
        half = connection.halves[side]
        assert half.following is not None
        missing = distance(sequence, half.following)
        if missing > 0 and half.fin != half.following:
            yield from self._gap(connection, side, missing, time)
        connection.is_closed = True
        connection.reset_by = side
        yield Ended(connection, time, side, is_reset=True, closed=True)

    # ---- segments with distant numbers ----

    def _rival(self, connection: TcpConnection, segment: Segment, time: int) -> Iterator[Item]:
        """Set a distant segment aside, or believe it together with those before it."""
        rivals = connection.rivals
        before, answered = _before(rivals, segment)
        if before and before[-1].sequence == segment.sequence:
            return  # a copy
        follows = bool(before) and segment.sequence == _end(before[-1])
        if _answers(answered, segment) or (follows and (before[0].flags & SYN or len(before) + 1 == PROOF)):
            rivals.append((time, segment))
            yield from self._believe(connection, time)
        elif segment.flags & RST or not (segment.data or segment.missing or segment.flags & SYN):
            connection.disbelieve(segment)
        else:
            if not follows:
                for one in before:
                    connection.disbelieve(one)
                rivals[:] = [(came, one) for came, one in rivals if one.source != segment.source]
            rivals.append((time, segment))

    def _believe(self, connection: TcpConnection, time: int) -> Iterator[Item]:
        """Continue with the rivals: as this connection after a gap, or as another one."""
        rivals, connection.rivals = connection.rivals, []
        if not _is_continued(connection, [one for _, one in rivals]):
            yield from self.finish(connection, time)
            connection = self._open(rivals[0][1])
            yield Opened(connection, time)
        for _, one in rivals:
            side = connection.side(one)
            half = connection.halves[side]
            if not half.is_near(one.sequence):
                yield from self._flush_half(connection, side, time)
                assert half.following is not None
                yield from self._gap(connection, side, distance(one.sequence, half.following), time)
            yield from self._take(connection, one, side, time)

    def join(self, segment: Segment, positions: tuple[int, int], held: int) -> TcpConnection:
        """Begin with a connection in its middle.

        positions: bytes of the segment's source and of its target before it. held: bytes among those of the target that
        appear in the capture after the segment.
        """
        connection = self._open(segment)
        for half, following, position in zip(
            connection.halves, (segment.sequence, segment.acknowledged + held & 0xFFFFFFFF), positions, strict=True
        ):
            half.following, half.position = following, position
        return connection

    def skip(self, connection: TcpConnection, side: int, position: int, time: int) -> Iterator[Item]:
        """Report the bytes of a side up to a position as missing: they are known not to be in the capture."""
        half = connection.halves[side]
        size = position - half.position
        if size > 0 and half.following is not None:
            yield from self._gap(connection, side, size, time)

    def finish(self, connection: TcpConnection, time: int) -> Iterator[Item]:
        """Give out everything that waits: nothing more comes of this connection."""
        connection.forget_rivals()
        yield from self._release_all(connection, time)
        if connection.is_closed:
            return
        yield from self._flush(connection, time)
        for side, half in enumerate(connection.halves):
            if half.fin is not None and half.following is not None:
                missing = distance(half.fin, half.following)
                if missing > 0:
                    yield from self._gap(connection, side, missing, time)
                yield from self._end(connection, side, time)
        for side, half in enumerate(connection.halves):
            if half.reset is not None and not connection.is_closed:
                yield from self._reset(connection, side, half.reset[0], time)
        connection.is_closed = True

    def _open(self, segment: Segment) -> TcpConnection:
        ends = segment.source, segment.target
        if segment.flags & SYN and segment.flags & ACK:
            ends = segment.target, segment.source
        known = self.connections
        known.pop((ends[1], ends[0]), None)
        known.pop(ends, None)
        if len(known) > self._most:
            closed = [key for key, one in known.items() if one.is_closed]
            for key in closed[: len(closed) // 2]:
                del known[key]
            self._most = max(MAX_CLOSED, 2 * len(known))  # so that not every new connection causes a search
        self._last = known[ends] = TcpConnection(ends, bool(segment.flags & SYN))
        return self._last

    def _data(self, connection: TcpConnection, side: int, sequence: int, segment: Segment, time: int) -> Iterator[Item]:
        half = connection.halves[side]
        assert half.following is not None
        ahead = distance(sequence, half.following)
        if ahead > 0:
            half.pending.add(half.position + ahead, segment.data, segment.missing)
            if half.hole_since is None:
                half.hole_since = time
            return
        yield from self._next(connection, side, segment.data, segment.missing, -ahead, time)
        yield from self._drain(connection, side, time)

    def _next(
        self, connection: TcpConnection, side: int, data: bytes, missing: int, known: int, time: int
    ) -> Iterator[Item]:
        """Give out data and the missing bytes after it, except the first *known* bytes of the two."""
        half = connection.halves[side]
        assert half.following is not None
        if known < len(data):
            new = data[known:] if known else data
            half.position += len(new)
            half.following = (half.following + len(new)) & 0xFFFFFFFF
            yield Bytes(connection, time, side, new)
        lacking = len(data) + missing - max(known, len(data))
        if lacking > 0:
            yield from self._gap(connection, side, lacking, time, is_cut=True)

    def _gap(self, connection: TcpConnection, side: int, size: int, time: int, *, is_cut: bool = False) -> Iterator[Item]:
        half = connection.halves[side]
        assert half.following is not None
        half.position += size
        half.following = (half.following + size) & 0xFFFFFFFF
        yield Gap(connection, time, side, size, is_cut)

    def _catch_up(self, connection: TcpConnection, segment: Segment, time: int) -> Iterator[Item]:
        """Give out what the segment acknowledges and is pending; what has not come in that time counts as missing."""
        side = 1 - connection.side(segment)
        half = connection.halves[side]
        while half.pending:
            assert half.following is not None
            ahead = half.ahead()
            if not 0 < ahead <= distance(segment.acknowledged, half.following):
                break
            yield from self._gap(connection, side, ahead, time)
            yield from self._drain(connection, side, time, segment.acknowledged)
        if _is_early(connection, segment, 1 - side):  # given out now, but its acknowledgement does not prove a gap
            half.unseen = segment.acknowledged
            yield Unseen(connection, time, side)

    def _drain(self, connection: TcpConnection, side: int, time: int, end: int | None = None) -> Iterator[Item]:
        """Give out pending segments up to the next hole. end: only those before this sequence number."""
        half = connection.halves[side]
        while half.pending:
            assert half.following is not None
            ahead = 0 if half.position in half.pending else half.ahead()
            if ahead > 0 or (end is not None and distance(end, half.following) <= 0):
                half.hole_since = time if half.hole_since is None else half.hole_since
                return
            data, missing = half.pending.pop(half.position + ahead)
            yield from self._next(connection, side, data, missing, -ahead, time)
        half.hole_since = None

    def _overdue(self, connection: TcpConnection, side: int, time: int) -> Iterator[Item]:
        """Go on after a hole that will not be filled any more."""
        half = connection.halves[side]
        while half.pending:
            assert half.following is not None
            assert half.hole_since is not None
            if not half.pending.is_too_much:
                acknowledged = half.acknowledged
                if acknowledged is None or time - half.hole_since <= GAP_TIME:
                    return
                if distance(acknowledged, half.following) < half.ahead():
                    return
            yield from self._leap(connection, side, time)

    def _leap(self, connection: TcpConnection, side: int, time: int) -> Iterator[Item]:
        half = connection.halves[side]
        half.hole_since = None
        yield from self._gap(connection, side, half.ahead(), time)
        yield from self._drain(connection, side, time)

    def _flush(self, connection: TcpConnection, time: int) -> Iterator[Item]:
        for side, half in enumerate(connection.halves):
            yield from self._flush_half(connection, side, time)
            if half.is_heard and half.following is not None and half.acknowledged is not None and half.fin is None:
                missing = distance(half.acknowledged, half.following)
                if 1 < missing <= REACH:  # a single number may be that of a FIN
                    yield from self._gap(connection, side, missing, time)

    def _flush_half(self, connection: TcpConnection, side: int, time: int) -> Iterator[Item]:
        while connection.halves[side].pending:
            yield from self._leap(connection, side, time)

    def _end(self, connection: TcpConnection, side: int, time: int) -> Iterator[Item]:
        """Let a RST or FIN that waited for the bytes before it end the connection or the direction."""
        half = connection.halves[side]
        if half.reset is not None and half.following is not None and not connection.is_closed:
            ahead = distance(half.reset[0], half.following)
            if ahead < 0:
                half.reset = None
                connection.disbelieved["RST"] += 1
            elif ahead == 0:
                yield from self._reset(connection, side, half.reset[0], time)
        if half.fin is None or half.has_ended or connection.is_closed:
            return
        assert half.following is not None
        ahead = distance(half.fin, half.following)
        if ahead < 0:  # the direction went on after it
            half.fin = None
            connection.disbelieved["FIN"] += 1
        elif ahead == 0:
            half.has_ended = True
            connection.is_closed = connection.halves[1 - side].has_ended
            yield Ended(connection, time, side, is_reset=False, closed=connection.is_closed)


def _is_in_use(connection: TcpConnection) -> bool:
    """Whether the connection has brought bytes and has not ended."""
    return not connection.is_closed and bool(connection.halves[0].position or connection.halves[1].position)


def _is_due(connection: TcpConnection, time: int) -> bool:
    """Whether the connection's first early segment has waited long enough, or is no longer early."""
    came, segment = connection.early[0]
    return time - came > EARLY_TIME or not _is_early(connection, segment, connection.side(segment))


def _is_early(connection: TcpConnection, segment: Segment, side: int) -> bool:
    """Whether the segment acknowledges bytes of the other side that have not been seen yet."""
    half = connection.halves[1 - side]
    is_lacking = half.unseen is not None and half.position == 0 and not half.pending  # from the capture, as a whole
    if not segment.flags & ACK or half.following is None or is_lacking:
        return False
    known = half.following
    if half.unseen is not None and distance(half.unseen, known) > 0:
        known = half.unseen
    return half.has_ended < distance(segment.acknowledged, known) <= REACH  # a FIN takes a sequence number, too


def _brings(connection: TcpConnection, segment: Segment) -> bool:
    """Whether a segment has bytes that have not been given out."""
    following = connection.halves[connection.side(segment)].following
    size = len(segment.data) + segment.missing
    return bool(size) and (following is None or distance(segment.sequence + size, following) > 0)


def _before(rivals: list[tuple[int, Segment]], segment: Segment) -> tuple[list[Segment], Segment | None]:
    """The rivals with the segment's sender, and the last one of the other side."""
    same = [one for _, one in rivals if one.source == segment.source]
    return same, next((one for _, one in reversed(rivals) if one.source != segment.source), None)


def _is_of_rivals(connection: TcpConnection, segment: Segment) -> bool:
    """Whether a segment continues the rivals exactly, and not the connection."""
    if segment.sequence == connection.halves[connection.side(segment)].following:
        return False
    before, answered = _before(connection.rivals, segment)
    return _answers(answered, segment) or (bool(before) and segment.sequence == _end(before[-1]))


def _answers(answered: Segment | None, segment: Segment) -> bool:
    return answered is not None and bool(segment.flags & ACK) and segment.acknowledged == _end(answered)


def _end(segment: Segment) -> int:
    """The sequence number after a segment."""
    return (segment.sequence + bool(segment.flags & SYN) + len(segment.data) + segment.missing) & 0xFFFFFFFF


def _is_continued(connection: TcpConnection, rivals: list[Segment]) -> bool:
    """Whether the rivals can continue the connection after a large hole: one direction is near, neither has gone back."""
    if connection.is_closed or any(one.flags & SYN for one in rivals):
        return False
    is_near = False
    for side, half in enumerate(connection.halves):
        number = next(one.sequence if connection.side(one) == side else one.acknowledged for one in rivals)
        if half.is_near(number):
            is_near = True
        elif half.following is None or distance(number, half.following) < 0:
            return False
    return is_near
