"""`throttle`: a bandwidth that is exact on average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.flow_items import size_of
from tap.faults.kind import Kind
from tap.faults.parameters import one_of, param, rate, size
from tap.faults.scope import Scope
from tap.faults.shaper import NEVER, Cutter, Held, Shaper, owned
from tap.faults.site import Site
from tap.faults.when import When

PIECES = 100  # per second: about as smooth as a rate can be that is exact on average, with timers of 1 ms
LATE = 0.02  # seconds a timer may be late without lowering the average rate
LINE_PIECES = 10  # per second, of wait=before: the largest piece waits for a tenth of a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(Kind):
    """Limit the bandwidth. Holds one read of up to 256 KB per direction, then reading pauses."""

    kind: ClassVar[str] = "throttle"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at", "during"})
    doing: ClassVar[str] = "throttling"
    example: ClassVar[str] = "throttle 1mb/s during=rdb"
    rate: int | None = param(rate, "SIZE/s", "bytes per second, in each direction", positional=True)
    burst: int = param(size, "SIZE", "how much passes at once after a pause", default=0)
    wait: str = param(
        one_of("after", "before"),
        "after|before",
        "bytes wait for those before them; or for the time they take themselves, too, as on a slow line",
        default="after",
    )

    def wrong(self, when: When, scope: Scope) -> str:
        if self.rate is None:
            return f"to how much? write for example {self.example!r}"
        return "burst= goes with wait=after" if self.burst and self.wait == "before" else ""

    def prepare(self, site: Site) -> None:
        assert self.rate is not None
        for side in site.sides:
            site.shape(side, TokenBucket(self.rate, self.burst) if self.wait == "after" else SlowLine(self.rate))


class TokenBucket(Cutter):
    """A bucket of at most *burst* tokens that gains *rate* tokens per second; each byte takes one."""

    def __init__(self, rate: int, burst: int) -> None:
        super().__init__(rate // PIECES)
        self._rate = rate
        self._burst = burst

    def _went(self, size: int, now: float) -> None:
        # _free is the time at which the tokens of all bytes sent have come in. How far it lags behind now is the bucket's
        # content, so its size, burst plus LATE, limits the lag.
        self._free = max(self._free, now - self._burst / self._rate - LATE) + size / self._rate


class SlowLine(Shaper):
    """Each piece goes out once the time it takes at *rate* has passed, from when it came or the one before it went.

    Rate 0 lets nothing through.
    """

    def __init__(self, rate: int) -> None:
        super().__init__()
        self._rate = rate
        self._piece = max(1, rate // LINE_PIECES)
        self._at = 0  # bytes of the first item that have gone out
        self._free = -NEVER  # when the last piece was through

    def push(self, item: Held, now: float) -> None:
        self._items.append((now, owned(item)))
        self.held += size_of(item)

    @property
    def wakes(self) -> float:
        if not self._items:
            return NEVER
        came, item = self._items[0]
        size = min(self._piece, size_of(item) - self._at)
        if size and self._rate <= 0:
            return NEVER
        begins: float = max(self._free, came)
        return begins + size / self._rate if size else begins

    def pop(self, now: float) -> Held | None:
        due = self.wakes
        if due > now or not self._items:
            return None
        item: Held = self._items[0][1]
        if not isinstance(item, bytes):
            self._items.popleft()
            return item
        piece = item[self._at : self._at + self._piece]
        self._at += len(piece)
        self.held -= len(piece)
        self._free = max(due, now - LATE)
        if self._at == len(item):
            self._items.popleft()
            self._at = 0
        return piece

    def drain(self) -> list[Held]:
        items = [item for _, item in self._items]
        if self._at:
            items[0] = items[0][self._at :]
            self._at = 0
        self._items.clear()
        self.held = 0
        return items
