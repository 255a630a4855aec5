"""Which links of a capture a tick of the clock means something to.

A link is ticked ten times a second, as in a live tap; but a capture may hold thousands of idle ones, and years. So only
those are ticked of which something has come since a tick found them at rest: nothing to tell, nothing to measure. A link
that wakes takes over what its ticks would have left behind meanwhile, its beat, and goes on as if it had never rested.

The beat is when its last batch of commands would have been told. An idle stream begins a new batch every second, all that
rest in the same phase at the same tick. So phases are kept, not streams: there are never more than ticks in a second.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from tap.replication.conversation import Conversation
from tap.replication.stream import BATCH_SECONDS


class Ticked(Protocol):
    """A connection. serial: its place among all."""

    serial: int
    conversation: Conversation


class _Beat:
    """at: when batches of this phase began last. joined: the phase that it has become one with."""

    __slots__ = ("at", "joined")

    def __init__(self, at: float) -> None:
        self.at = at
        self.joined: _Beat | None = None

    @property
    def last(self) -> float:
        beat = self
        while beat.joined is not None:
            beat = beat.joined
        return beat.at


class Ticking:
    """All calls in the order of time, which is in seconds."""

    def __init__(self) -> None:
        self._awake: dict[Ticked, None] = {}
        self._resting: dict[Ticked, tuple[int, _Beat | None]] = {}  # since which tick, and in which phase
        self._count = 0  # of ticks
        self._beats: deque[_Beat] = deque()  # oldest first
        self._beat: _Beat | None = None  # of the last tick

    def wake(self, link: Ticked) -> None:
        """Something comes of the link, or changes it; to be told before."""
        if link in self._awake:
            return
        self._awake[link] = None
        since, beat = self._resting.pop(link, (self._count, None))
        stream = link.conversation.stream
        if stream is not None and beat is not None and since < self._count:
            stream.catch_up(beat.last)

    def forget(self, link: Ticked) -> None:
        """Nothing more comes of it."""
        self._awake.pop(link, None)
        self._resting.pop(link, None)

    def tick(self, at: float) -> None:
        self._move_beats(at)
        self._count += 1
        for link in sorted(self._awake, key=lambda link: link.serial):
            if link not in self._awake:  # another one's tick has ended it
                continue
            stream = link.conversation.stream
            if stream is not None:
                link.conversation.tick(at)
                if not stream.rests(at):
                    continue
                self._resting[link] = self._count, self._beat_at(at) if stream.has_begun else None
            del self._awake[link]

    def _move_beats(self, at: float) -> None:
        self._beat = None
        while self._beats and at - self._beats[0].at >= BATCH_SECONDS:
            beat = self._beats.popleft()
            if self._beat is None:
                self._beat = beat
            else:
                beat.joined = self._beat
        if self._beat is not None:
            self._beat.at = at
            self._beats.append(self._beat)

    def _beat_at(self, at: float) -> _Beat:
        """Of the tick that is passing."""
        if self._beat is None:
            self._beat = _Beat(at)
            self._beats.append(self._beat)
        return self._beat
