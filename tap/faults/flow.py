"""When bytes go out: one direction of a connection, downstream of the faults that act at a byte.

A delay, a throttle, a slice and a stall change when bytes go, never which, and never their order. Several may be armed at
once, begin and end in the middle of what flows, and a cut must fall after exactly the bytes before it. Sleeping in a task
per fault would make all of this a matter of luck. Nothing here waits:

    put(item, now)            take(now): the next item that is due
         |                                ^
         v                                |
      shaper ---> shaper ---> ... ---> ready          wakes: when to ask again
      delay       throttle             (a stall closes it)

- Bytes, the order to close the link and the sender's end are items of one queue, so a shaper that holds bytes back also
  holds back whatever follows them.
- An item enters the first active shaper, whose pop() hands it on to the next active one once it is due; after the last
  shaper it is ready. Shapers stand in the order of the plan; inactive ones are skipped.
- The queue after the last shaper never holds more than about one read (HELD): when a peer stops reading, the shapers stop
  and fill up to their limits, is_full then stops reading, and TCP stops the sender. Memory stays bounded.
- A fault that is removed drains its shaper into the next one, at once and in order. A fault that gets other parameters
  hands the items that wait to its new shaper, which delays them from when they came. A fault whose phase ends leaves an
  `Off` among the items instead: the bytes of the phase still go out shaped, and the fault ends after them.

Invariant: the items taken followed by those held are the items put, in order. The caller owns the clock: the same calls
with the same times give the same result, so every fault is tested without waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tap.faults.flow_items import CloseLink, Item, size_of
from tap.faults.shaper import HELD, NEVER, Off, Shaper


class Flow:
    """The shapers of one direction in the order of the plan, and the items that have passed the last of them."""

    def __init__(self) -> None:
        self.shapers: list[Shaper] = []
        self._stalls = 0
        self._before_stall = 0  # ready items that still go out
        self._ready: deque[Item] = deque()
        self._ready_bytes = 0

    def put(self, item: Item, now: float) -> None:
        """Send this after everything that was put before."""
        self._pass_on(item, 0, now)

    def take(self, now: float) -> Item | None:
        """The next item, if it is due."""
        self.settle(now)
        if not self._ready or (self._stalls and not self._before_stall):
            return None
        self._before_stall = max(0, self._before_stall - 1)
        item = self._ready.popleft()
        self._ready_bytes -= size_of(item)
        return item

    def settle(self, now: float) -> None:
        """Move due items on. Call it even when nothing can be taken, or `wakes` stays in the past."""
        for number, shaper in enumerate(self.shapers):
            if shaper.active:
                # At most one read is kept after the last shaper: the socket may stay full for long.
                while self._ready_bytes < HELD and (item := shaper.pop(now)) is not None:
                    if isinstance(item, Off):
                        item.act()
                        break
                    self._pass_on(item, number + 1, now)

    def abandon(self, now: float) -> int:
        """Discard what is not due; nothing may be put after this. Returns the number of bytes discarded."""
        self.settle(now)
        lost = sum(size_of(item) for shaper in self.shapers if shaper.active for item in shaper.drain())
        if self._stalls:
            while len(self._ready) > self._before_stall:
                size = size_of(self._ready.pop())
                self._ready_bytes -= size
                lost += size
        return lost

    def keep(self) -> None:
        """Copy what has not gone out: the buffer that the memoryviews refer to is about to be read into again."""
        for number, item in enumerate(self._ready):
            if isinstance(item, memoryview):
                self._ready[number] = bytes(item)

    def stall(self, *, on: bool) -> None:
        """Begin or end a stall, in which nothing goes out. Stalls nest: bytes flow again when the last one has ended."""
        if on and not self._stalls:
            self._before_stall = len(self._ready)
        self._stalls += 1 if on else -1

    def stop(self, shaper: Shaper, now: float) -> None:
        """Deactivate the shaper; the items it held move on at once."""
        if not shaper.active:
            return
        shaper.active = False
        number = self.shapers.index(shaper)
        for item in shaper.drain():
            if not isinstance(item, Off):
                self._pass_on(item, number + 1, now)

    def hand_over(self, before: Shaper, after: Shaper, now: float) -> None:
        """A fault has got other parameters: *after* stands in the place of *before*, and takes what that one held.

        The bytes that *before* was passing on go out at once. Everything does if *after* is not active.
        """
        if not before.active:
            return
        before.active = False
        after.follow(before)
        number = self.shapers.index(after)
        is_first = True
        for at, item in before.waiting(now):
            if isinstance(item, Off):
                continue
            is_bytes = bool(size_of(item))
            if not (after.active and before.waits) or (is_first and is_bytes):
                self._pass_on(item, number + 1, now)
            else:
                after.push(item, at if is_bytes else now)
            is_first = False

    def held_before(self, shaper: Shaper) -> int:
        """Bytes held by the active shapers that stand before this one."""
        return sum(one.held for one in self.shapers[: self.shapers.index(shaper)] if one.active)

    def stop_after(self, shaper: Shaper, act: Callable[[], None], now: float) -> None:
        """Let the shaper finish the items it holds, shaped as before, then act: its fault ends after them."""
        if shaper.active and shaper.held:
            shaper.push(Off(act), now)
        else:
            act()

    @property
    def is_plain(self) -> bool:
        """Whether an item that is put goes straight out."""
        if self._ready or self._stalls:
            return False
        return not self.shapers or not any(shaper.active for shaper in self.shapers)

    @property
    def is_stalled(self) -> bool:
        return self._stalls > 0

    @property
    def is_holding(self) -> bool:
        """Whether a fault keeps bytes for later."""
        return self._stalls > 0 or any(shaper.active and shaper.held for shaper in self.shapers)

    @property
    def is_cut(self) -> bool:
        """Whether the next item closes the link, which needs no peer to write to."""
        return bool(self._ready) and isinstance(self._ready[0], CloseLink)

    @property
    def is_full(self) -> bool:
        """Whether reading should pause."""
        if self._stalls or self._ready_bytes >= HELD:
            return True
        return bool(self.shapers) and any(shaper.active and shaper.held >= shaper.limit for shaper in self.shapers)

    @property
    def wakes(self) -> float:
        """When take() may next return something that is not due now."""
        if self._stalls or self._ready_bytes >= HELD or not self.shapers:
            return NEVER
        return min((shaper.wakes for shaper in self.shapers if shaper.active), default=NEVER)

    def _pass_on(self, item: Item, number: int, now: float) -> None:
        """Hand an item to the first active shaper from *number* on; without one it is ready."""
        for shaper in self.shapers[number:]:
            if shaper.active:
                shaper.push(item, now)
                return
        self._ready.append(item)
        self._ready_bytes += size_of(item)
