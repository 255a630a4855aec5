"""How long the replicas of one link take to acknowledge and to load: histograms without an event for each time.

Acknowledgements arrive thousands of times a second where clients WAIT, and each is an event only on request. So
connections count the times themselves, in the memory of their link, where the figures outlive the connection.
"""

from __future__ import annotations

from bisect import bisect_left

# Inclusive upper bounds in seconds. On one machine an ACK takes 0.1 ms, between continents 0.3 s; more is a slow replica.
ACK_BOUNDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# A partial resync takes milliseconds, an RDB of many gigabytes an hour.
SYNC_BOUNDS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)


class TalliedTimes:
    """bounds: ascending. counts: of times in each bucket, and beyond the last one. seconds: all times together."""

    __slots__ = ("bounds", "counts", "seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds
