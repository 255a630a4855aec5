"""Traffic over time, in bounded memory: in slots whose width doubles whenever there are too many of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_SLOTS = 4096
SLOT_SECONDS = 0.001  # of the first slots


@dataclass(slots=True)
class Slot:
    """A stretch of time. marks: a bit for each kind of event in stats.MARKED that happened."""

    bytes: float = 0
    commands: float = 0
    marks: int = 0


class TrafficCourse:
    """Traffic over time. begin: when the first slot begins. seconds: width of each slot."""

    def __init__(self) -> None:
        self.begin = 0.0
        self.seconds = SLOT_SECONDS
        self.slots: list[Slot] = []

    def at(self, time: float) -> Slot:
        """The slot of that time; for a time before the first slot, the first."""
        if not self.slots:
            self.begin = time
        number = max(0, int((time - self.begin) / self.seconds))
        while number >= MAX_SLOTS:
            self._halve()
            number //= 2
        while len(self.slots) <= number:
            self.slots.append(Slot())
        return self.slots[number]

    def _halve(self) -> None:
        """Merge the slots in pairs."""
        if len(self.slots) % 2:
            self.slots.append(Slot())
        pairs = zip(self.slots[::2], self.slots[1::2], strict=True)
        self.slots = [Slot(a.bytes + b.bytes, a.commands + b.commands, a.marks | b.marks) for a, b in pairs]
        self.seconds *= 2

    def over(self, end: float, number: int) -> list[Slot]:
        """The time from begin to end in *number* parts; the traffic of a slot is spread evenly over it."""
        parts = [Slot() for _ in range(number)]
        width = (max(0.0, end - self.begin) or self.seconds) / number
        for place, slot in enumerate(self.slots):
            if not (slot.commands or slot.marks):
                continue
            first = place * self.seconds / width
            last = max(first, min((place + 1) * self.seconds / width, number))
            parts[min(int(first), number - 1)].marks |= slot.marks
            if last == first:
                first, last = number - 1, number
            for part in range(int(first), min(math.ceil(last), number)):
                share = (min(last, part + 1) - max(first, part)) / (last - first)
                parts[part].bytes += slot.bytes * share
                parts[part].commands += slot.commands * share
        return parts


class Busiest:
    """The busiest second; seconds are counted from the first command on."""

    def __init__(self) -> None:
        self.bytes = self.commands = 0
        self.bytes_at = self.commands_at = 0.0
        self._begin: float | None = None
        self._second = 0
        self._bytes = self._commands = 0

    def add(self, time: float, size: int, commands: int) -> None:
        if self._begin is None:
            self._begin = time
        second = int(time - self._begin)
        if second > self._second:
            self._second, self._bytes, self._commands = second, 0, 0
        self._bytes += size
        self._commands += commands
        if self._bytes > self.bytes:
            self.bytes, self.bytes_at = self._bytes, self._begin + self._second
        if self._commands > self.commands:
            self.commands, self.commands_at = self._commands, self._begin + self._second
