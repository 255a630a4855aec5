"""Whether the master is about to close a link because its output buffer for the replica reaches its limit.

While an RDB flows, the master keeps for the replica all that it writes meanwhile; the buffer only grows, as it should.
What counts there is which comes first:

    seconds to close     (limit - buffer) / growth; for the soft limit, that and soft_seconds, or what is left of these
    seconds the RDB needs   (size - received) / rate; of a diskless one by its keys, of as many as it announces

So in a transfer with a known end, 60 % is reported only if the forecast says that the link will be closed, and 90 %
always; otherwise both are. A forecast that has held for FORECASTS answers is reported even below 60 %. A level is over
when the buffer has fallen by BACK under it, which keeps a buffer that swings about a level to one report.

All figures come from the master's answers, one a second; between two answers nothing is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tap.replication.events import Event, Pressure, PressureOver
from tap.replication.inspected import BufferLimit, Inspected
from tap.replication.phase import Phase
from tap.status import ConnectionStatus, LinkStatus
from tap.verdict.sizing import WIDE_MARGIN

LEVELS = (90, 60)  # percent
BACK = 10  # percent under its level, a pressure is over
FORECASTS = 3  # answers in a row
SMALL = 2**20  # bytes; a smaller buffer is not forecast

Tell = Callable[[str, int, str, Event], None]


@dataclass(slots=True)
class _Limit:
    """One limit of one connection. reached_at: when a soft limit was first seen exceeded; None while it is not."""

    level: int | None = None  # reported, and not over; None: nothing is
    since: float = 0.0
    peak: int = 0
    forecasts: int = 0
    reached_at: float | None = None


class _Course:
    """One connection from answer to answer."""

    def __init__(self, one: ConnectionStatus) -> None:
        self.last = one
        self.limits: dict[str, tuple[int, _Limit]] = {}
        self._before: tuple[float, int] | None = None  # time and bytes of the answer before
        self._rdb: tuple[float, int, int] | None = None  # at the first look at the RDB: time, bytes, keys
        self.growth: float | None = None  # of the buffer, in bytes per second

    def follow(self, one: ConnectionStatus, buffer: int, at: float) -> float | None:
        """Returns the seconds that the RDB still needs; None if none flows, or that is unknown."""
        if self._before is not None and at > self._before[0]:
            self.growth = (buffer - self._before[1]) / (at - self._before[0])
        self._before = at, buffer
        self.last = one
        rdb = one.rdb
        if rdb is None or one.phase is not Phase.RDB:
            self._rdb = None
            return None
        if self._rdb is None:
            self._rdb = at, rdb.received, rdb.keys
            return None
        begun, received, keys = self._rdb
        if at <= begun:
            return None
        if rdb.size is not None:
            rate, left = (rdb.received - received) / (at - begun), rdb.size - rdb.received
        else:
            rate, left = (rdb.keys - keys) / (at - begun), rdb.announced - rdb.keys
            if rdb.announced <= 0:
                return None
        return left / rate if rate > 0 else math.inf


class Pressures:
    """The output buffers of one tap's replicas."""

    def __init__(self, tell: Tell) -> None:
        """tell: publishes an event at a link, connection and replica."""
        self._tell = tell
        self._courses: dict[tuple[str, int], _Course] = {}

    def look(self, link: LinkStatus, at: float) -> None:
        """The link's master has answered, at this time; link.inspected is the answer."""
        said = link.inspected
        seen = set()
        for one in link.connections:
            if said is None or said.limit is None or one.buffer_bytes is None:
                continue
            key = link.name, one.number
            seen.add(key)
            course = self._courses.get(key)
            if course is None:
                self._courses[key] = course = _Course(one)
            left = course.follow(one, one.buffer_bytes, at)
            for name, size in (("hard", said.limit.hard), ("soft", said.limit.soft)):
                if size > 0:
                    _, limit = course.limits.get(name) or (size, _Limit())
                    course.limits[name] = size, limit
                    self._judge(course, name, size, limit, said, said.limit, left, at)
        is_unknown = said is not None and said.buffers is None  # a pressure goes on until something shows that it is over
        for key in [one for one in self._courses if one[0] == link.name and one not in seen]:
            if is_unknown and any(one.number == key[1] for one in link.connections):
                continue
            course = self._courses.pop(key)
            for name, (size, limit) in course.limits.items():
                self._end(course, name, size, limit, None, at)

    def _judge(
        self,
        course: _Course,
        name: str,
        size: int,
        limit: _Limit,
        said: Inspected,
        limits: BufferLimit,
        left: float | None,
        at: float,
    ) -> None:
        one = course.last
        buffer = one.buffer_bytes
        assert buffer is not None
        share = 100 * buffer / size
        limit.peak = max(limit.peak, buffer) if limit.level is not None else buffer
        seconds = _seconds_to_close(course, name, size, limit, limits, at)
        will_close = seconds is not None and left is not None and seconds < left and buffer >= SMALL
        limit.forecasts = limit.forecasts + 1 if will_close else 0
        level = next((level for level in LEVELS if share >= level), None)
        if level == LEVELS[-1] and left is not None and not will_close:
            level = None
        if level is None and limit.forecasts >= FORECASTS:
            level = 0
        if level is not None and (limit.level is None or level > limit.level):
            if limit.level is None:
                limit.since = at
            limit.level = level
            self._begin(course, name, size, limit, said, limits, seconds, left)
        elif limit.level is not None and not will_close and share < max(limit.level, LEVELS[-1]) - BACK:
            lower = LEVELS[-1]
            if limit.level > lower and share >= lower - BACK:
                limit.level = lower
            else:
                self._end(course, name, size, limit, buffer, at)

    def _begin(
        self,
        course: _Course,
        name: str,
        size: int,
        limit: _Limit,
        said: Inspected,
        limits: BufferLimit,
        seconds: float | None,
        left: float | None,
    ) -> None:
        one = course.last
        buffer = one.buffer_bytes
        assert buffer is not None
        assert limit.level is not None
        known_left = None if left is None or left == math.inf else left
        needed = None
        if known_left is not None:
            needed = math.ceil((buffer + max(0.0, course.growth or 0.0) * known_left) * WIDE_MARGIN)
        self._tell(
            one.link,
            one.number,
            one.replica,
            Pressure(
                limit=name,
                level=limit.level,
                phase=one.phase.value,
                buffer=buffer,
                limit_bytes=size,
                soft_seconds=limits.soft_seconds if name == "soft" else 0.0,
                write_rate=said.write_rate,
                seconds_to_close=seconds,
                rdb_seconds_left=known_left,
                needed=needed,
            ),
        )

    def _end(self, course: _Course, name: str, size: int, limit: _Limit, buffer: int | None, at: float) -> None:
        """buffer: at the end; None if the connection has ended."""
        if limit.level is None:
            return
        one = course.last
        self._tell(
            one.link,
            one.number,
            one.replica,
            PressureOver(
                limit=name,
                limit_bytes=size,
                buffer=buffer,
                peak=limit.peak,
                seconds=at - limit.since,
                how="closed" if buffer is None else "back",
            ),
        )
        limit.level, limit.forecasts = None, 0


def _seconds_to_close(
    course: _Course, name: str, size: int, limit: _Limit, limits: BufferLimit, at: float
) -> float | None:
    """Seconds until the master closes the connection, if the buffer goes on as it does; None if it does not grow."""
    buffer, growth = course.last.buffer_bytes, course.growth
    assert buffer is not None
    if buffer >= size:
        if limit.reached_at is None:
            limit.reached_at = at
        return max(0.0, limits.soft_seconds - (at - limit.reached_at)) if name == "soft" else 0.0
    limit.reached_at = None
    if growth is None or growth <= 0:
        return None
    return (size - buffer) / growth + (limits.soft_seconds if name == "soft" else 0.0)
