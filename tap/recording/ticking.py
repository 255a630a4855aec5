"""Decides which links of a capture need a tick of the clock.

A link is ticked ten times a second, as in a live tap; but a capture may hold thousands of idle links, and years. So a
tick that finds a link with nothing to report and nothing to measure puts it to rest, until something comes for it. A link
that wakes catches up with its beat, the only state that the skipped ticks would have left, as if it had never rested.

The beat is when its last batch of commands would have been reported. An idle stream begins a new batch every second, and
all streams in the same phase do so at the same tick. So phases are kept, not streams: at most one for each tick in a
second.
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
    """at: when the last batches of this phase began. joined: the phase into which this one was merged."""

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
    """Calls have to come in order of time, which is in seconds."""

    def __init__(self) -> None:
        self._awake: dict[Ticked, None] = {}
        self._resting: dict[Ticked, tuple[int, _Beat | None]] = {}  # since which tick, and in which phase
        self._count = 0  # number of ticks
        self._beats: deque[_Beat] = deque()  # oldest first
        self._beat: _Beat | None = None  # the beat of the last tick

    def wake(self, link: Ticked) -> None:
        """Tick the link again. To be called before anything comes for the link or changes it."""
        if link in self._awake:
            return
        self._awake[link] = None
        since, beat = self._resting.pop(link, (self._count, None))
        stream = link.conversation.stream
        if stream is not None and beat is not None and since < self._count:
            stream.catch_up(beat.last)

    def forget(self, link: Ticked) -> None:
        """Drop a link that has ended."""
        self._awake.pop(link, None)
        self._resting.pop(link, None)

    def tick(self, at: float) -> None:
        self._move_beats(at)
        self._count += 1
        for link in sorted(self._awake, key=lambda link: link.serial):
            if link not in self._awake:  # another link's tick has ended it
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
        """The beat of the current tick."""
        if self._beat is None:
            self._beat = _Beat(at)
            self._beats.append(self._beat)
        return self._beat
