"""How long a replica takes to acknowledge what was passed on to it."""

from __future__ import annotations

from collections import deque

from tap.replication.tallied_times import ACK_BOUNDS, TalliedTimes

RESOLUTION = 0.001  # minimum seconds between two samples
MAX_SAMPLES = 4096  # beyond this, every second sample is dropped


class LagClock:
    """Remembers when each byte of the stream was passed on. Memory is bounded, and therefore the resolution, too.

    Positions are bytes since the stream began; times are seconds of any one clock.
    """

    def __init__(self, times: TalliedTimes | None = None) -> None:
        """times: takes how long each acknowledgement of something new took."""
        self._times = TalliedTimes(ACK_BOUNDS) if times is None else times
        self._passed: deque[tuple[int, float]] = deque()  # (position after the bytes, time), both increasing
        self._resolution = RESOLUTION
        self._last = -1.0
        self._acked = 0

    @property
    def passed_at(self) -> float | None:
        """When the last bytes were passed on, within the resolution; None if none were."""
        return None if self._last < 0 else self._last

    def passed(self, position: int, at: float) -> None:
        """Note that all bytes before *position* have been passed on by the time *at*."""
        if at - self._last < self._resolution and self._passed:
            self._passed[-1] = (position, self._passed[-1][1])
            return
        self._last = at
        self._passed.append((position, at))
        if len(self._passed) > MAX_SAMPLES:
            self._passed = deque(list(self._passed)[1::2])
            self._resolution *= 2

    def acked(self, position: int, at: float) -> float:
        """Seconds since byte *position* was passed on, if it was not acknowledged before; otherwise see events.Ack."""
        moved = position > self._acked
        self._acked = max(position, self._acked)
        wanted = position if moved else position + 1
        while self._passed and self._passed[0][0] < wanted:
            self._passed.popleft()
        if not self._passed:
            return 0.0
        since = max(0.0, at - self._passed[0][1])
        if moved:
            self._times.add(since)
            if self._passed[0][0] == position:
                self._passed.popleft()
        return since
