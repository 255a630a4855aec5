"""When bytes go out: one direction of a link after the faults that act at a byte.

A delay, a throttle, a slice and a stall change when bytes go, never which, and never their order. Several may be armed at
once, begin and end in the middle of what flows, and a cut must fall after exactly the bytes before it. Sleeping in a task
per fault would make all of this a matter of luck. Nothing here waits:

    put(item, now)            take(now): the next item that is due
         |                                ^
         v                                |
      shaper ---> shaper ---> ... ---> ready          wakes: when to ask again
      delay       throttle             (a stall closes it)

- Bytes, the order to close the link and the sender's end are items of one queue, so whatever holds the bytes back holds
  back what comes after them.
- An item enters the first active shaper. pop() of that one, once the item is due, hands it to the next active one; after
  the last it is ready. Shapers stand in the order of the plan, inactive ones are passed by.
- The queue after the last shaper never takes more than one read from it (HELD): a peer that takes nothing stops the
  shapers, these fill up to their limit, is_full stops the reading, and TCP stops the sender. Memory stays bounded.
- A fault that is removed drains its shaper into the next, at once and in order. A fault whose phase ends leaves an `Off`
  among the items instead: what belongs to the phase still goes out shaped, and the fault ends after it.

Invariant: the items taken, together with those held, are those put, in order. The clock is the caller's: the same calls
with the same times give the same result, which is how every fault is tested without waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tap.faults.items import CloseLink, Item, size_of
from tap.faults.shaper import HELD, NEVER, Off, Shaper


class Flow:
    """The shapers of one direction in the order of the plan, and after them what is ready to be sent."""

    def __init__(self) -> None:
        self.shapers: list[Shaper] = []
        self._stalls = 0
        self._before_stall = 0  # ready items that still go out
        self._ready: deque[Item] = deque()
        self._ready_bytes = 0

    def put(self, item: Item, now: float) -> None:
        """Send this, after all that was put before."""
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
        """Move on what is due. Call it even when nothing can be taken: `wakes` would lie in the past otherwise."""
        for number, shaper in enumerate(self.shapers):
            if shaper.active:
                # at most one read after the last shaper: the socket may be full for long
                while self._ready_bytes < HELD and (item := shaper.pop(now)) is not None:
                    if isinstance(item, Off):
                        item.act()
                        break
                    self._pass_on(item, number + 1, now)

    def abandon(self, now: float) -> int:
        """Forget what is not due; nothing is put any more. Returns the number of bytes forgotten."""
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
        """Let nothing out from here on, or end that. Stalls count: bytes flow again when the last one has ended."""
        if on and not self._stalls:
            self._before_stall = len(self._ready)
        self._stalls += 1 if on else -1

    def stop(self, shaper: Shaper, now: float) -> None:
        """Deactivate the shaper; what it held goes on at once."""
        if not shaper.active:
            return
        shaper.active = False
        number = self.shapers.index(shaper)
        for item in shaper.drain():
            if not isinstance(item, Off):
                self._pass_on(item, number + 1, now)

    def stop_after(self, shaper: Shaper, act: Callable[[], None], now: float) -> None:
        """Let the shaper finish what it holds in its own way, then act: its fault has ended for what comes after."""
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
        """Whether the next item closes the link, which needs no peer to write to."""
        return bool(self._ready) and isinstance(self._ready[0], CloseLink)

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
