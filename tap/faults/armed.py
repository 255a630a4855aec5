"""One fault of a plan: whether it may fire now, how often it has fired, and whether it is over."""

from __future__ import annotations

import math

from tap.faults.fault import Fault


class Armed:
    """One fault of the plan. fired: how often. bytes: total number affected. is_over: it will not fire again.

    at_work: effects in progress: connections it is currently applied to, and commands and byte ranges it is changing.
    edition: how often its parameters were changed. origin: the same object for all editions of a fault.
    """

    def __init__(self, fault: Fault, name: str, now: float, before: Armed | None = None) -> None:
        """before: the edition that this one replaces."""
        self.origin: object = object() if before is None else before.origin
        self.edition: int = 0 if before is None else before.edition + 1
        self.fault = fault
        self.name = name
        self.fired = 0
        self.bytes = 0
        self.is_over = False
        self.at_work = 0
        self._from = now + fault.when.after
        self._taken = -1  # the last firing of its timer

    @property
    def spec(self) -> str:
        return self.fault.spec

    def is_due(self, now: float) -> bool:
        """Whether its time window and times= let it fire now."""
        return not self.is_over and self._from <= now < self.until and not self._is_spent

    @property
    def _is_spent(self) -> bool:
        return self.fault.scope.times is not None and self.fired >= self.fault.scope.times

    @property
    def until(self) -> float:
        """When its time window ends, however often it has fired."""
        lasting = self.fault.scope.lasting
        return math.inf if lasting is None or self.fault.lasts_each_time else self._from + lasting

    def is_past(self, now: float) -> bool:
        """Whether it will not fire again and has no effect in progress."""
        return now >= self.until or (self._is_spent and not self.at_work)

    # With neither a place nor a match a fault fires on a timer, once or periodically. All connections open at an occasion
    # share it; if none is open, the next one to connect gets it.

    def occasion(self, now: float, opened: float, last: int) -> int | None:
        """The number of the occasion that a connection may take now, None if there is none.

        opened: when the connection opened. last: the number of the last occasion it took, -1 for none.
        """
        if self.is_over or now < self._first or now >= self.until:
            return None
        number = self._number(now)
        if number <= last:
            return None
        if number > self._taken:
            return None if self._is_spent else number
        return number if opened < self._time(number) else None

    def take(self, number: int) -> None:
        if number > self._taken:
            self._taken = number
            self.fired += 1

    def next_occasion(self, now: float) -> float:
        """When the next occasion comes: always later than now, and from then on it is one."""
        every = self.fault.when.every
        if now < self._first:
            return self._first
        if every is None or self._is_spent:
            return math.inf
        return self._time(self._number(now) + 1)

    def _time(self, number: int) -> float:
        return self._first + number * (self.fault.when.every or 0.0)

    def _number(self, now: float) -> int:
        """The number of the last occasion at or before now. A quotient that was rounded gives way to the time itself."""
        every = self.fault.when.every
        if every is None:
            return 0
        number = int((now - self._first) // every)
        if self._time(number + 1) <= now:
            return number + 1
        return number - 1 if self._time(number) > now else number

    @property
    def _first(self) -> float:
        every = self.fault.when.every
        return self._from if every is None or self.fault.when.after else self._from + every
