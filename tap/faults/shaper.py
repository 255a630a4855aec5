"""Shapers hold bytes back and let them out later or in pieces. Each serves one fault in one direction."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tap.faults.flow_items import Item, size_of

HELD = 256 * 1024  # bytes that a shaper holds by default: one read

NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Off:
    """An item that ends a fault after the items its shaper held before: call act."""

    act: Callable[[], None]


Held = Item | Off


class Shaper:
    """Holds items back while it is active; inactive shapers are skipped. limit: bytes it holds before reading pauses.

    waits: what it holds has yet to be delayed, so that other parameters of its fault apply to it.
    """

    limit = HELD
    waits = True

    def __init__(self) -> None:
        self.active = False
        self.held = 0
        self._items: deque[Any] = deque()

    def push(self, item: Held, now: float) -> None:
        raise NotImplementedError

    def pop(self, now: float) -> Held | None:
        """The next item that is due; None if none is due."""
        raise NotImplementedError

    @property
    def wakes(self) -> float:
        """When the next item is due; NEVER while there is none."""
        raise NotImplementedError

    def drain(self) -> list[Held]:
        """Remove and return everything that is held, due or not."""
        raise NotImplementedError

    def waiting(self, now: float) -> list[tuple[float, Held]]:
        """As drain(), each item with the time from which its delay counts."""
        return [(now, item) for item in self.drain()]

    def follow(self, before: Shaper) -> None:
        """Take over what the shaper of the same fault, with other parameters, has counted."""


def owned(item: Held) -> Held:
    """The item, safe to keep: the next read overwrites the buffer that a memoryview refers to."""
    return bytes(item) if isinstance(item, memoryview) else item


class Cutter(Shaper):
    """Lets bytes out in pieces of one size; each piece decides when the next one may go."""

    def __init__(self, piece: int) -> None:
        super().__init__()
        self._piece = max(1, piece)
        self._at = 0  # bytes of the first item that have gone out
        self._free = -NEVER  # when the next piece may go

    def push(self, item: Held, now: float) -> None:
        self._items.append(owned(item))
        self.held += size_of(item)

    def pop(self, now: float) -> Held | None:
        if not self._items or self._free > now:
            return None
        item: Held = self._items[0]
        if not isinstance(item, bytes):
            self._items.popleft()
            return item
        piece = item[self._at : self._at + self._next(len(item) - self._at)]
        self._at += len(piece)
        self.held -= len(piece)
        self._went(len(piece), now)
        if self._at == len(item):
            self._items.popleft()
            self._at = 0
        return piece

    def _next(self, left: int) -> int:
        """The size of the next piece, at least 1. left: bytes of the item that have not gone out."""
        return self._piece

    def _went(self, size: int, now: float) -> None:
        """A piece has gone out: move _free."""
        raise NotImplementedError

    @property
    def wakes(self) -> float:
        return self._free if self._items else NEVER

    def drain(self) -> list[Held]:
        if self._at:
            self._items[0] = self._items[0][self._at :]
            self._at = 0
        items = list(self._items)
        self._items.clear()
        self.held = 0
        return items


class PassingShaper(Shaper):
    """Holds nothing back. What is let through waits here until the next shaper, or the socket, takes it."""

    waits = False

    def push(self, item: Held, now: float) -> None:
        raise NotImplementedError

    def pop(self, now: float) -> Held | None:
        if not self._items:
            return None
        item: Held = self._items.popleft()
        self.held -= size_of(item)
        return item

    def _let(self, item: Held) -> None:
        self._items.append(owned(item))
        self.held += size_of(item)

    @property
    def wakes(self) -> float:
        return -NEVER if self._items else NEVER

    def drain(self) -> list[Held]:
        items = list(self._items)
        self._items.clear()
        self.held = 0
        return items
