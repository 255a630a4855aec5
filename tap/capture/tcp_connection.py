"""One TCP connection as a capture shows it: how far each direction has come, and which segments can belong to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tap.capture.layers import Segment
from tap.capture.pending_segments import PendingSegments
from tap.capture.segments import ACK, FIN, RST, SYN, Endpoint

REACH = 2**25  # bytes from the expected number at which a segment is near: more than pending holds and most windows have


@dataclass(slots=True)
class HalfConnection:
    """One direction. position: bytes of it that have been given out or skipped."""

    first: int | None = None  # the sequence number of the first byte, if the beginning is known
    following: int | None = None  # the sequence number of the next byte
    position: int = 0
    pending: PendingSegments = field(default_factory=PendingSegments)
    hole_since: int | None = None
    acknowledged: int | None = None  # the highest number that the other direction acknowledged
    fin: int | None = None  # the sequence number of the FIN
    reset: tuple[int, int] | None = None  # sequence number and time of a RST that waits
    has_ended: bool = False
    is_heard: bool = False  # a packet of its sender is in the capture, with or without bytes
    unseen: int | None = None  # bytes up to this sequence number were waited for in vain

    def begin(self, number: int) -> None:
        """Start counting at this sequence number if nothing is known yet."""
        if self.following is None:
            self.first = self.following = number

    def is_near(self, number: int) -> bool:
        """Whether a sequence number can belong to this direction."""
        if self.following is None or -self.position - REACH <= distance(number, self.following) <= REACH:
            return True
        return self.acknowledged is not None and abs(distance(number, self.acknowledged)) <= REACH

    def can_have_come_to(self, number: int) -> bool:
        """Whether the receiver can be expecting the byte with this number, as far as the capture shows."""
        assert self.following is not None
        ahead = distance(number, self.following)
        known = 0 if self.acknowledged is None else distance(self.acknowledged, self.following)
        if ahead <= 0:
            return ahead >= (min(known, 0) if self.acknowledged is not None else -REACH)
        if ahead == known or (ahead == 1 and self.fin == self.following):
            return True
        return self.pending.has_end(self.position + ahead)

    def ahead(self) -> int:
        """Bytes from position to the nearest pending segment; below 0 if other segments have brought its beginning."""
        return self.pending.first() - self.position


class TcpConnection:
    """One TCP connection.

    ends: the endpoint that opened it comes first; if the opening was not captured (from_start is false), the one whose
    packet came first. disbelieved: by kind, packets with its addresses whose numbers it cannot have.
    """

    def __init__(self, ends: tuple[Endpoint, Endpoint], from_start: bool) -> None:
        self.ends = ends
        self.from_start = from_start
        self.halves = HalfConnection(), HalfConnection()
        self.early: list[tuple[int, Segment]] = []  # with the times of arrival, as the rivals
        self.rivals: list[tuple[int, Segment]] = []
        self.disbelieved: Counter[str] = Counter()
        self.is_closed = False
        self.reset_by: int | None = None

    def side(self, segment: Segment) -> int:
        """The number of the segment's sender."""
        opener, other = self.ends
        source = segment.source
        if source is opener or source is other:  # the usual case: endpoints are cached, and identity is fast to test
            return 0 if source is opener else 1
        return 0 if source == opener else 1

    def waiting(self, side: int) -> int:
        """Bytes of a side that have arrived but have not been given out."""
        early = sum(len(segment.data) for _, segment in self.early if self.side(segment) == side)
        return early + self.halves[side].pending.bytes

    def lacks(self, side: int) -> bool:
        """Whether the other side has acknowledged bytes of this side that have not been seen."""
        half = self.halves[side]
        if half.following is None or half.acknowledged is None:
            return False
        return distance(half.acknowledged, half.following) > half.has_ended  # a FIN takes a sequence number, too

    def has(self, segment: Segment, side: int) -> bool:
        """Whether the numbers of a segment can be those of this connection. side: the sender's."""
        half, other = self.halves[side], self.halves[1 - side]
        if segment.flags & SYN:
            return half.following is None or half.first == (segment.sequence + 1) & 0xFFFFFFFF
        if not half.is_near(segment.sequence):
            return False
        return not segment.flags & ACK or bool(segment.flags & RST) or other.is_near(segment.acknowledged)

    def disbelieve(self, segment: Segment) -> None:
        flags = segment.flags
        self.disbelieved["RST" if flags & RST else "SYN" if flags & SYN else "FIN" if flags & FIN else "segment"] += 1

    def forget_rivals(self) -> None:
        for _, segment in self.rivals:
            self.disbelieve(segment)
        self.rivals.clear()


def distance(sequence: int, following: int) -> int:
    """How far sequence is ahead of following; negative if it comes before it. Sequence numbers wrap at 2^32."""
    return (sequence - following + 0x80000000 & 0xFFFFFFFF) - 0x80000000
