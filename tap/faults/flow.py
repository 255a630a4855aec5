"""One direction of a link behind its faults: what goes out, and when.

Nothing here waits: put() takes what is to go out, take() gives what is due at the time it is told, and `wakes` says when
the next will be. Order is always kept.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

HELD_BY_DELAY = 16 * 2**20  # bytes; then reading pauses, as behind a real line that is full
HELD = 256 * 1024  # by any other: one read

PIECES = 100  # a second: as smooth as a timer of a millisecond lets a rate be that is exact on average
LATE = 0.02  # seconds that a timer may be late without a byte lost to the rate

NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the link behind what was put before. legs: "both", "master", "replica"."""

    reset: bool
    legs: str
    name: str


class End(enum.Enum):
    """How the sender's side ended, passed on in its turn."""

    FIN = "fin"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Off:
    """Behind what a shaper still holds, its fault is over: act."""

    act: Callable[[], None]


Item = bytes | memoryview | Cut | End
_Held = Item | Off


def size_of(item: _Held) -> int:
    return len(item) if isinstance(item, bytes | memoryview) else 0


class Shaper:
    """Holds items back while it is active; inactive, it is passed by."""

    limit = HELD

    def __init__(self) -> None:
        self.active = False
        self.held = 0
        self._items: deque[Any] = deque()

    def push(self, item: _Held, now: float) -> None:
        raise NotImplementedError

    def pop(self, now: float) -> _Held | None:
        """The next item that is due, None if none is."""
        raise NotImplementedError

    @property
    def wakes(self) -> float:
        """When the next item is due; NEVER while there is none."""
        raise NotImplementedError

    def drain(self) -> list[_Held]:
        """Everything that is held, due or not."""
        raise NotImplementedError


def _owned(item: _Held) -> _Held:
    """The item for later: a memoryview is of a buffer that is read into again."""
    return bytes(item) if isinstance(item, memoryview) else item


class Delay(Shaper):
    limit = HELD_BY_DELAY

    def __init__(self, latency: float, jitter: float, normal: bool, rng: Random) -> None:
        super().__init__()
        self._latency = latency
        self._jitter = jitter
        self._normal = normal
        self._rng = rng
        self._last = -NEVER

    def push(self, item: _Held, now: float) -> None:
        latency = self._latency
        if self._jitter:
            varied = self._rng.gauss(0, self._jitter) if self._normal else self._rng.uniform(-self._jitter, self._jitter)
            latency = max(0.0, latency + varied)
        self._last = max(self._last, now + latency)
        self._items.append((self._last, _owned(item)))
        self.held += size_of(item)

    def pop(self, now: float) -> _Held | None:
        if not self._items or self._items[0][0] > now:
            return None
        item: _Held = self._items.popleft()[1]
        self.held -= size_of(item)
        return item

    @property
    def wakes(self) -> float:
        return self._items[0][0] if self._items else NEVER

    def drain(self) -> list[_Held]:
        items = [item for _, item in self._items]
        self._items.clear()
        self.held = 0
        return items


class _Cutter(Shaper):
    """Lets bytes out in pieces, one whenever the next is free."""

    def __init__(self, piece: int) -> None:
        super().__init__()
        self._piece = max(1, piece)
        self._at = 0  # in the first item
        self._free = -NEVER  # when the next piece may go

    def push(self, item: _Held, now: float) -> None:
        self._items.append(_owned(item))
        self.held += size_of(item)

    def pop(self, now: float) -> _Held | None:
        if not self._items or self._free > now:
            return None
        item: _Held = self._items[0]
        if not isinstance(item, bytes):
            self._items.popleft()
            return item
        piece = item[self._at : self._at + self._piece]
        self._at += len(piece)
        self.held -= len(piece)
        self._went(len(piece), now)
        if self._at == len(item):
            self._items.popleft()
            self._at = 0
        return piece

    def _went(self, size: int, now: float) -> None:
        """A piece has gone out: move _free."""
        raise NotImplementedError

    @property
    def wakes(self) -> float:
        return self._free if self._items else NEVER

    def drain(self) -> list[_Held]:
        if self._at:
            self._items[0] = self._items[0][self._at :]
            self._at = 0
        items = list(self._items)
        self._items.clear()
        self.held = 0
        return items


class Throttle(_Cutter):
    """A token bucket: *rate* tokens a second, at most *burst*, one for each byte."""

    def __init__(self, rate: int, burst: int) -> None:
        super().__init__(rate // PIECES)
        self._rate = rate
        self._burst = burst

    def _went(self, size: int, now: float) -> None:
        # _free is when the tokens of all that went out had come in; so much before now is the bucket's size
        self._free = max(self._free, now - self._burst / self._rate - LATE) + size / self._rate


class Slice(_Cutter):
    def __init__(self, size: int, gap: float) -> None:
        super().__init__(size)
        self._gap = gap

    def _went(self, size: int, now: float) -> None:
        self._free = now + self._gap


class Flow:
    """The shapers of one direction in the order of the plan, and behind them what is ready to be sent."""

    def __init__(self) -> None:
        self.shapers: list[Shaper] = []
        self._stalls = 0
        self._before_stall = 0  # ready items that still go out
        self._ready: deque[Item] = deque()
        self._ready_bytes = 0

    def put(self, item: Item, now: float) -> None:
        """Send this, behind all that was put before."""
        self._pass_on(item, 0, now)

    def take(self, now: float) -> Item | None:
        """What goes out next, if it is due."""
        self.settle(now)
        if not self._ready or (self._stalls and not self._before_stall):
            return None
        self._before_stall = max(0, self._before_stall - 1)
        item = self._ready.popleft()
        self._ready_bytes -= size_of(item)
        return item

    def settle(self, now: float) -> None:
        """Move on what is due. To be called even when nothing can be taken: `wakes` would lie in the past otherwise."""
        for number, shaper in enumerate(self.shapers):
            if shaper.active:
                # not more than one read behind the last shaper: the socket may be full for long
                while self._ready_bytes < HELD and (item := shaper.pop(now)) is not None:
                    if isinstance(item, Off):
                        item.act()
                        break
                    self._pass_on(item, number + 1, now)

    def abandon(self, now: float) -> int:
        """Forget what is not due; nothing is put any more. Returns how many bytes that were."""
        self.settle(now)
        lost = sum(size_of(item) for shaper in self.shapers if shaper.active for item in shaper.drain())
        if self._stalls:
            while len(self._ready) > self._before_stall:
                size = size_of(self._ready.pop())
                self._ready_bytes -= size
                lost += size
        return lost

    def keep(self) -> None:
        """The buffer of what was put is about to be read into again: keep a copy of what has not gone out."""
        for number, item in enumerate(self._ready):
            if isinstance(item, memoryview):
                self._ready[number] = bytes(item)

    def stall(self, *, on: bool) -> None:
        """From here on nothing goes out; or it may again. As many may stall as like, the last one lets go."""
        if on and not self._stalls:
            self._before_stall = len(self._ready)
        self._stalls += 1 if on else -1

    def stop(self, shaper: Shaper, now: float) -> None:
        """The shaper is active no more; what it held goes on at once."""
        if not shaper.active:
            return
        shaper.active = False
        number = self.shapers.index(shaper)
        for item in shaper.drain():
            if not isinstance(item, Off):
                self._pass_on(item, number + 1, now)

    def stop_behind(self, shaper: Shaper, act: Callable[[], None], now: float) -> None:
        """What is put from here on is not for the shaper, which still lets out in its way what it holds; then act."""
        if shaper.active and shaper.held:
            shaper.push(Off(act), now)
        else:
            act()

    @property
    def is_plain(self) -> bool:
        """Whether what is put goes straight out."""
        return not self._ready and not self._stalls and not any(shaper.active for shaper in self.shapers)

    @property
    def is_stalled(self) -> bool:
        return self._stalls > 0

    @property
    def is_cut(self) -> bool:
        """Whether the next thing that goes out is a cut, for which nobody has to be there."""
        return bool(self._ready) and isinstance(self._ready[0], Cut)

    @property
    def is_full(self) -> bool:
        """Whether no more should be read into it."""
        return bool(
            self._stalls
            or self._ready_bytes >= HELD
            or any(shaper.active and shaper.held >= shaper.limit for shaper in self.shapers)
        )

    @property
    def wakes(self) -> float:
        """When take() may have something that it does not have now."""
        if self._stalls or self._ready_bytes >= HELD:
            return NEVER
        return min((shaper.wakes for shaper in self.shapers if shaper.active), default=NEVER)

    def _pass_on(self, item: Item, number: int, now: float) -> None:
        """To the next active shaper from *number* on, or out."""
        for shaper in self.shapers[number:]:
            if shaper.active:
                shaper.push(item, now)
                return
        self._ready.append(item)
        self._ready_bytes += size_of(item)
