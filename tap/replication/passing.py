"""An ordinary connection, followed in case it asks to replicate later.

Only PSYNC or SYNC makes a connection a replica's: before it RedisShake sends INFO, KeyDB REPLPING, and a person anything.
So requests are followed, and replies are counted, to know which one answers the request to replicate.

Replies in bulk may be skipped without being read. The count is then lost, and begins again with the request to replicate:
before it clients wait for all replies, because a server refuses PSYNC while replies are pending.

The count is wrong while a server sends data that no request asked for: messages of RESP2 subscriptions and lines of
MONITOR. It is right again after the next pause, because replies are not counted while no request is unanswered. Requests
that get no reply (CLIENT REPLY OFF) make it wrong for good; the answer to PSYNC is then recognized by its words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tap.replication.number_lines import MAX_POSITION
from tap.replication.reply_counter import ReplyCounter
from tap.replication.request_follower import RequestFollower


@dataclass(frozen=True, slots=True)
class PassingStanding:
    """What a follower needs to continue where another one stood. name, head: as latin-1. unanswered: number of requests.

    counts: whether replies are counted.
    """

    requests: tuple[int, ...]
    name: str
    head: str
    replies: tuple[int, ...]
    unanswered: int
    counts: bool


class Passing:
    """Both directions of one ordinary connection. unanswered: number of requests without a whole reply."""

    def __init__(self, position: int, unanswered: int, replies: ReplyCounter) -> None:
        """position: of the replica's next byte, between two requests. replies: in the state of the master's last byte."""
        self._requests = RequestFollower(position)
        self._replies = replies
        self._unanswered = unanswered
        self._counts = True

    @property
    def unanswered(self) -> int:
        return self._unanswered if self._counts else 0

    @property
    def broken(self) -> bool:
        """Whether a server would close the connection here, because the bytes are not requests."""
        return self._requests.broken

    @property
    def position(self) -> int:
        """Position of the replica's next byte; once a wanted request was found, of its first byte."""
        return self._requests.position

    @property
    def undecided(self) -> int:
        """See RequestFollower.undecided."""
        return self._requests.undecided

    @property
    def is_between_replies(self) -> bool:
        """Whether the master's next byte begins a reply; true if replies are not counted any more."""
        return self._replies.is_between or not self._counts

    def from_replica(self, data: bytes | memoryview) -> bytes | None:
        """As RequestFollower.feed()."""
        before = self._requests.requests
        found: bytes | None = self._requests.feed(data)
        self._unanswered += self._requests.requests - before
        return found

    def from_master(self, data: bytes | memoryview, limit: int = 0) -> int:
        """As ReplyCounter.feed()."""
        if not self._counts:
            return len(data)
        before = self._replies.replies
        read: int = self._replies.feed(data, limit)
        if self._replies.broken:
            self._counts = False
        self._unanswered = max(0, self._unanswered - (self._replies.replies - before))
        return read

    def skippable(self, from_master: bool) -> float:
        """How many of a side's next bytes may be skipped. For the master inf outside a bulk: the count is lost there."""
        if not from_master:
            return self._requests.skippable
        return self._replies.skippable or math.inf

    def skip(self, from_master: bool, size: int) -> None:
        """Skip bytes of a side."""
        if not from_master:
            self._requests.skip(size)
        elif size <= self._replies.skippable:
            self._replies.skip(size)
        else:
            self._counts = False

    def standing(self) -> PassingStanding:
        numbers, name, head = self._requests.state()
        return PassingStanding(
            requests=numbers,
            name=name.decode("latin-1"),
            head=head.decode("latin-1"),
            replies=self._replies.state(),
            unanswered=self._unanswered,
            counts=self._counts,
        )

    def stand(self, standing: PassingStanding) -> None:
        """Continue from a standing. Raises ValueError for an impossible one."""
        self._requests.resume(standing.requests, standing.name.encode("latin-1"), standing.head.encode("latin-1"))
        self._replies.resume(standing.replies)
        if not 0 <= standing.unanswered <= MAX_POSITION:
            raise ValueError(f"{standing.unanswered} requests cannot be unanswered")
        self._unanswered = standing.unanswered
        self._counts = standing.counts
