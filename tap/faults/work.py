"""One fault on one connection: what it has drawn, counted and begun there."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from tap.faults.flow import Shaper
from tap.faults.plan import Armed
from tap.faults.rewriter import Rewriter
from tap.faults.telling import Telling
from tap.faults.what import Rewrite
from tap.glob import matcher
from tap.replication.events import Event, Side


class Work:
    """The state; what it does stands in link.py."""

    def __init__(self, armed: Armed, rng: Random, tell: Callable[[Event], None]) -> None:
        self.armed = armed
        self.fault = armed.fault
        self.rng = rng
        self.is_placed = False  # its place on this connection is known, or has passed
        self.amount = 0.0 if self.fault.when.at is None else self.fault.when.at.draw(rng)
        self.origin = 0  # bytes of the stream that had passed when it was armed
        self.seeks: tuple[int, bool] | None = None  # the position and kind of end that the scanner looks for
        self.borders: set[tuple[bool, int]] = set()  # of its phase: whether it begins there, position
        self.is_ending = False  # its phase is over, bytes of it still go out
        self.last_occasion = -1
        self.is_on = False  # goes on at the moment
        self.has_drawn = False  # whether it goes on at all: on this connection, or for this time in its phase
        self.until = math.inf
        self.spans: list[Callable[[], None]] = []  # each ends what is being done to so many bytes
        self.shapers: dict[Side, Shaper] = {}
        self.stalled: list[Side] = []
        self.matches = 0
        self.is_key = None if self.fault.when.key is None else matcher(self.fault.when.key)
        self.rewriter = Rewriter(self.fault.what) if isinstance(self.fault.what, Rewrite) else None
        self.mark = b""  # of the diskless RDB that it ends early
        self.telling = Telling(armed, tell)

    def matched(self, now: float) -> bool:
        """A frame matches; whether the fault fires on it."""
        if not self.armed.is_due(now):
            return False
        self.matches += 1
        if self.matches % self.fault.when.nth or not self.has_luck:
            return False
        self.armed.fired += 1
        return True

    @property
    def has_luck(self) -> bool:
        chance = self.fault.when.probability
        return chance is None or self.rng.random() < chance

    @property
    def sides(self) -> tuple[Side, ...]:
        side = self.fault.scope.side
        return (Side.MASTER, Side.REPLICA) if side is None else (side,)
