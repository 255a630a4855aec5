"""Which bytes go out: one direction of a link through the faults that act at a byte.

A fault acts at a byte: it cuts there, swallows from there on, inserts there, flips bits up to there. TCP cuts the bytes
elsewhere, what a byte belongs to may be known only after bytes that follow it, and several faults may want the same byte.
So what a fault does is written down first, and done when its byte has its turn:

                    out                  decided               received
    connection  ----|--------------------|---------------------|--->
                gone      goes now             waits in _pending
                          ^     ^        ^
                          |     |        mark: stop
                          |     mark: skip on
                          mark: insert

- A mark is a position and a function. Marks act in the order of their positions, and at one position in the order in
  which they were set. That order is part of what users see: two faults at one byte act in the order of the plan.
- Bytes are decided in order. The caller says up to which position it knows what becomes of them (`decided`); the rest
  waits here. A lane emits up to the next mark, calls it, and goes on; swallowing and flipping are switches
  that marks turn.
- What is emitted goes to the flow, which decides when it leaves. `out` counts bytes received, so a swallowed byte moves
  it and an inserted one does not: positions stay those of what the sender sent.
- Most bytes meet nothing. passes() says so before anything is copied, and the relay sends the buffer as it is.

Invariant: every byte received is either before `out`, and then emitted or swallowed, or in _pending, in order. How TCP
cut the bytes changes nothing of what comes out.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from tap.faults.flow import Flow

OPEN = 2**63  # the position of an end that is not known yet


class Lane:
    """Positions count the bytes of the direction from the first of the connection."""

    def __init__(self, out: int) -> None:
        self.flow = Flow()
        self.out = out
        self._pending = b""
        self._marks: list[tuple[int, int, Callable[[], None], object]] = []
        self._numbers = itertools.count()
        self._now = 0.0
        self._skips = 0  # faults that swallow what passes
        self._copies: list[bytearray] = []
        self._masks: list[int] = []
        self._stopped = False

    # ---- bytes ----

    def passes(self, data: memoryview, decided: int) -> bool:
        """Whether the next bytes go as they are, and at once: then they have gone. If not, they are to be fed."""
        if self._pending or self._marks or self._is_editing or decided < self.out + len(data) or not self.flow.is_plain:
            return False
        self.out += len(data)
        return True

    def feed(self, data: memoryview, decided: int, now: float) -> None:
        """Take the next bytes; those before position *decided* may go."""
        self._now = now
        whole = memoryview(self._pending + bytes(data)) if self._pending else data
        begin = self.out
        end = min(begin + len(whole), max(begin, decided))
        try:
            self._go_to(whole, begin, end)
        finally:  # a fault that fails leaves the rest to be given up
            self._pending = bytes(whole[self.out - begin :]) if not self._stopped else b""

    def decide(self, decided: int, now: float) -> None:
        """Those before position *decided* can go, though none have come."""
        if self._pending:
            self.feed(memoryview(b""), decided, now)

    def peek(self, data: memoryview) -> memoryview:
        """What is not decided yet, with the bytes that feed() will take next."""
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
        """Whether nothing is held, and nothing is still to be done to bytes that come."""
        return not self._pending and not self._marks and not self._is_editing and self.flow.is_plain

    # ---- what is done to them ----

    def mark(self, position: int, act: Callable[[], None], owner: object = None) -> None:
        """Once all bytes before *position* are decided, act; what has been marked earlier for it acts earlier.

        A position that has passed already acts with the next bytes. owner: for forget().
        """
        heapq.heappush(self._marks, (position, next(self._numbers), act, owner))

    def forget(self, owner: object) -> None:
        """Take away its marks."""
        self._marks = [mark for mark in self._marks if mark[3] is not owner]
        heapq.heapify(self._marks)

    def reach(self, now: float) -> None:
        """Act on the marks whose bytes have all passed: to be called when some were set without bytes coming."""
        self._now = now
        self._go_to(memoryview(b""), self.out, self.out)

    def insert(self, data: bytes) -> None:
        """Send this between the bytes."""
        self.flow.put(data, self._now)

    def skip(self, on: bool) -> None:
        """Swallow what passes from here on, or end that."""
        self._skips += 1 if on else -1

    def replace(self, start: int, end: int, data: bytes) -> None:
        """Send *data* in the place of bytes start <= i < end."""

        def begin() -> None:
            if data:
                self.insert(data)
            self.skip(on=True)

        self.mark(start, begin)
        self.mark(end, lambda: self.skip(on=False))

    def copy(self, into: bytearray) -> None:
        """Collect what passes from here on, swallowed or not."""
        self._copies.append(into)

    def end_copy(self, into: bytearray) -> None:
        self._copies = [copy for copy in self._copies if copy is not into]

    def flip(self, mask: int, on: bool) -> None:
        """Flip these bits in every byte that passes from here on, or end that."""
        if on:
            self._masks.append(mask)
        else:
            self._masks.remove(mask)

    def stop(self) -> None:
        """Nothing more passes."""
        self._stopped = True

    def give_up(self, now: float) -> None:
        """Do nothing more to the bytes, and let go of those that are held."""
        self._marks = []
        self._skips = 0
        self._copies = []
        self._masks = []
        self.release(now)

    def release(self, now: float) -> None:
        """Let go of what is held: nothing will decide on it any more."""
        self._now = now
        pending, self._pending = self._pending, b""
        self._go_to(memoryview(pending), self.out, self.out + len(pending))
