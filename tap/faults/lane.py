"""Which bytes go out: one direction of a connection, through the faults that act at a byte.

A fault acts at a byte: it cuts there, swallows from there on, inserts there, flips bits up to there. TCP splits the bytes
elsewhere, what a byte belongs to may be known only from the bytes that follow it, and several faults may act at the same
byte. So each effect is noted first as a mark, and happens when its byte has its turn:

                    out                  decided               received
    connection  ----|--------------------|---------------------|--->
                gone      goes now             waits in _pending
                          ^     ^        ^
                          |     |        mark: stop
                          |     mark: skip on
                          mark: insert

- A mark is a position and a function. Marks act in the order of their positions, and at one position in the order in
  which they were set. That order is part of what users see: two faults at one byte act in the order of the plan.
- Bytes are decided in order. The caller says up to which position every mark is set (`decided`); later bytes wait here.
  A lane emits the bytes up to the next mark, calls it, and goes on; swallowing and flipping are switches that marks turn.
- Emitted bytes go to the flow, which decides when they leave. `out` counts bytes received, so a swallowed byte moves it
  and an inserted byte does not: positions always count the bytes that the sender sent.
- Most bytes meet no fault, even if a mark waits further on. passes() says so before anything is copied, and the relay
  sends the buffer as it is.

Invariant: every byte received is either before `out`, and was then emitted or swallowed, or it is in _pending, in order.
How TCP split the bytes has no influence on the output.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from tap.faults.flow import Flow

OPEN = 2**63  # the position of an end that is not known yet


class Lane:
    """Positions count the bytes of one direction from the connection's first byte."""

    def __init__(self, out: int) -> None:
        self.flow = Flow()
        self.out = out
        self._pending = b""
        self._marks: list[tuple[int, int, Callable[[], None], object]] = []
        self._numbers = itertools.count()
        self._now: float  # of the last feed(), reach() or release()
        self._skips = 0  # faults that swallow what passes
        self._copies: list[bytearray] = []
        self._masks: list[int] = []
        self._stopped = False

    # ---- bytes ----

    def passes(self, data: memoryview, decided: int) -> bool:
        """Whether the next bytes go out unchanged and at once. If True they count as gone, if False they must be fed."""
        end = self.out + len(data)
        if self._pending or decided < end or (self._marks and self._marks[0][0] <= end):
            return False
        if self._is_editing or not self.flow.is_plain:
            return False
        self.out = end
        return True

    def feed(self, data: memoryview, decided: int, now: float) -> None:
        """Take the next bytes; bytes before position *decided* may go."""
        self._now = now
        whole = memoryview(self._pending + bytes(data)) if self._pending else data
        begin = self.out
        end = min(begin + len(whole), max(begin, decided))
        try:
            self._go_to(whole, begin, end)
        finally:  # also when a fault raises: give_up() then releases the rest
            self._pending = bytes(whole[self.out - begin :]) if not self._stopped else b""

    def decide(self, decided: int, now: float) -> None:
        """Let bytes before position *decided* go, although no new bytes have arrived."""
        if self._pending:
            self.feed(memoryview(b""), decided, now)

    def peek(self, data: memoryview) -> memoryview:
        """The undecided bytes, followed by *data*, which feed() will take next."""
        return memoryview(self._pending + bytes(data)) if self._pending else data

    def _go_to(self, whole: memoryview, begin: int, end: int) -> None:
        """Decide the bytes up to position *end*; whole[0] is byte number *begin*."""
        while not self._stopped:
            if self._marks and self._marks[0][0] <= end:
                position, _, act, _ = heapq.heappop(self._marks)
                self._emit(whole[self.out - begin : max(self.out, position) - begin])
                act()
            else:
                self._emit(whole[self.out - begin : end - begin])
                return

    def _emit(self, piece: memoryview) -> None:
        if not len(piece):
            return
        self.out += len(piece)
        for copy in self._copies:
            copy += piece
        if self._skips:
            return
        if self._masks:
            mask = 0
            for one in self._masks:
                mask ^= one
            piece = memoryview(bytes(byte ^ mask for byte in piece))
        self.flow.put(piece, self._now)

    @property
    def _is_editing(self) -> bool:
        return bool(self._skips or self._copies or self._masks or self._stopped)

    @property
    def is_idle(self) -> bool:
        """Whether no byte is held, and no effect awaits the next bytes."""
        return not self._pending and not self._marks and not self._is_editing and self.flow.is_plain

    # ---- effects ----

    def mark(self, position: int, act: Callable[[], None], owner: object = None) -> None:
        """Call *act* once all bytes before *position* are decided. Marks at one position act in the order they were set.

        A mark at a position that has passed acts with the next bytes. owner: for forget().
        """
        heapq.heappush(self._marks, (position, next(self._numbers), act, owner))

    def forget(self, owner: object) -> None:
        """Remove the owner's marks."""
        self._marks = [mark for mark in self._marks if mark[3] is not owner]
        heapq.heapify(self._marks)

    def reach(self, now: float) -> None:
        """Act on marks at or before `out`. To be called when marks were set while no bytes arrived."""
        self._now = now
        if self._marks and self._marks[0][0] <= self.out:
            self._go_to(memoryview(b""), self.out, self.out)

    def insert(self, data: bytes) -> None:
        """Send *data* between the bytes."""
        self.flow.put(data, self._now)

    def skip(self, on: bool) -> None:
        """Begin or end swallowing the bytes that pass."""
        self._skips += 1 if on else -1

    def replace(self, start: int, end: int, data: bytes) -> None:
        """Send *data* in place of the bytes start <= i < end."""

        def begin() -> None:
            if data:
                self.insert(data)
            self.skip(on=True)

        self.mark(start, begin)
        self.mark(end, lambda: self.skip(on=False))

    def copy(self, into: bytearray) -> None:
        """Collect the bytes that pass from here on, swallowed or not."""
        self._copies.append(into)

    def end_copy(self, into: bytearray) -> None:
        self._copies = [copy for copy in self._copies if copy is not into]

    def flip(self, mask: int, on: bool) -> None:
        """Begin or end flipping these bits in every byte that passes."""
        if on:
            self._masks.append(mask)
        else:
            self._masks.remove(mask)

    def stop(self) -> None:
        """Let nothing more pass."""
        self._stopped = True

    def give_up(self, now: float) -> None:
        """Drop all effects and release the bytes that are held."""
        self._marks = []
        self._skips = 0
        self._copies = []
        self._masks = []
        self.release(now)

    def release(self, now: float) -> None:
        """Pass on the bytes that are held: nothing will decide on them any more."""
        self._now = now
        pending, self._pending = self._pending, b""
        self._go_to(memoryview(pending), self.out, self.out + len(pending))
