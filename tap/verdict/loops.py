"""Finds full resyncs of one replica that follow one another, and reports them as one loop with its cause.

A *streak* is a row of full resyncs of one replica through one link, under one replication ID, whose rounds ended in the
same way: either each before the replica had loaded the RDB, or each in the stream, followed by a full resync for the same
reason. With the third full resync of a streak the verdict falls. So none of these is a loop:

- a first sync, and a single retry after it: that makes two
- a failover, or a master that restarts: its history has another ID, and a new streak begins
- a resync that works: a replica that has its stream for longer than a round took ends the streak, and with it the verdict

A replica that does not come back ends its loop as well, once its next full resync would no longer belong to the streak.

A replica has one sync at a time. If it asks again while its earlier connection is open here, as when a fault holds the
bytes in which it ended, it has given that one up.

Memory is bounded: a streak keeps its last rounds, and the streaks of MAX_REPLICAS replicas are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Any

from tap.bus import Told
from tap.replication import events
from tap.replication.events import Event, Role, Side
from tap.replication.inspected import Inspected
from tap.verdict.causes import UNKNOWN, Diagnosis, find
from tap.verdict.rounds import Round, RoundEnd

LEAST_COUNT = 3  # full resyncs that are a loop
KEPT_ROUNDS = 5
MAX_REPLICAS = 1000
PAUSE = (
    60.0  # seconds between an end and the next grant, and three rounds in addition, that still are one after the other
)
LONG_PAUSE = 3600.0  # for losses of the stream, which outages of the network cause
PATIENCE = 2.0  # seconds of stream that end a verdict at the earliest
FIRST_PATIENCE = 60.0  # and those that end a streak before there is a verdict
LONGER = 1.5  # times the longest round
GROWN = 1.5  # times the bytes of the last verdict that make another one
TICK_SECONDS = 1.0  # hundreds of replicas may have just begun their streams

_SAYS_NOTHING = (events.Command, events.RdbKey)  # and comes by the million

_Key = tuple[str, str]  # link and replica


@dataclass(slots=True)
class Streak:
    """A row of full resyncs. way: how their rounds ended, None until one has. finding: that of the last Verdict."""

    began: float
    count: int = 1
    way: str | None = None
    rounds: list[Round] = field(default_factory=list)  # that have ended, oldest first
    current: Round | None = None
    finding: Diagnosis | None = None

    @property
    def longest(self) -> float:
        return max((one.seconds for one in self.rounds), default=0.0)

    def patience(self) -> float:
        """Seconds of stream that end it."""
        return max(PATIENCE if self.finding is not None else FIRST_PATIENCE, LONGER * self.longest)


@dataclass(slots=True)
class _Request:
    """What a connection has said before a grant."""

    version: str = ""
    is_masked: bool = False
    at: float | None = None
    offset: int | None = None


def judging(tell: Callable[[Told], None]) -> Callable[[Told], None]:
    """A function that tells each event, and the verdicts that follow from it. It has to be given Acks, too."""
    loops = Loops()

    def judge(told: Told) -> None:
        tell(told)
        if type(told.event) not in _SAYS_NOTHING:
            for one in loops.take(told):
                tell(one)

    return judge


class Loops:
    """Takes events in their order, and returns those that they lead to."""

    def __init__(
        self,
        loaded: Callable[[], Container[int]] = tuple,
        said: Callable[[str], Inspected | None] = lambda link: None,
    ) -> None:
        """loaded: the numbers of the connections whose replicas have acknowledged their RDB, for a caller that does not
        give Acks. It is asked once a second, while there are streams that may end a streak. said: what the master of a
        link said of itself last.
        """
        self._loaded = loaded
        self._said = said
        self._due = 0.0  # when to look at these streams next
        self._streaks: dict[_Key, Streak] = {}
        self._requests: dict[int, _Request] = {}
        self._rounds: dict[int, Round] = {}  # by connection, those that have not ended
        self._mains: dict[int, int] = {}  # the main connection of each RDB channel
        self._streaming: dict[_Key, int] = {}  # connections whose stream may end a streak
        self._away: dict[_Key, float] = {}  # replicas with a verdict and no connection: when it is over
        self._handlers: dict[type[Event], Callable[[Told, Any], Iterator[Event] | None]] = {
            events.Handshake: self._handshake,
            events.Identified: self._identified,
            events.PsyncRequested: self._asked,
            events.FullResync: self._granted,
            events.PartialResync: self._continued,
            events.ResyncRefused: self._refused,
            events.RdbStarted: self._rdb_started,
            events.RdbProgress: self._rdb_progress,
            events.RdbProblem: self._rdb_problem,
            events.RdbFinished: self._rdb_finished,
            events.StreamStarted: self._stream_started,
            events.Pressure: self._pressed,
            events.PressureOver: self._relieved,
            events.Ack: self._acknowledged,
            events.LinkClosed: self._closed,
        }

    @property
    def verdicts(self) -> list[Told]:
        """The loops that are not over, as they stand; the time is that of the last full resync."""
        return [
            Told(one.current.granted_at, link, one.current.connection, replica, _verdict(one, one.finding))
            for (link, replica), one in self._streaks.items()
            if one.finding is not None and one.current is not None
        ]

    def take(self, told: Told) -> list[Told]:
        """Take an event. Returns the events that follow from it, and from the time that has passed until it."""
        said = self.tick(told.time)
        handler = self._handlers.get(type(told.event))
        if handler is not None:
            for event in handler(told, told.event) or ():
                said.append(Told(told.time, told.link, told.connection, told.replica, event))
        return said

    def tick(self, now: float) -> list[Told]:
        """Some time has passed; now: in seconds, as the events' times. Returns the events that this leads to."""
        said: list[Told] = []
        is_needed = self._streaming or self._away
        if not is_needed or 0 < self._due - now <= TICK_SECONDS:  # if it is later, the clock was set back
            return said
        self._due = now + TICK_SECONDS
        said += [one for key, until in tuple(self._away.items()) if now > until for one in self._gone(key, now)]
        loaded = self._loaded() if self._streaming else ()
        for key, connection in tuple(self._streaming.items()):
            one = self._rounds.get(connection)
            if one is not None and one.loaded_at is None and connection in loaded:
                one.loaded_at = now
            over = self._outlasted(key, connection, now)
            if over is not None:
                said.append(Told(now, key[0], connection, key[1], over))
        return said

    def _gone(self, key: _Key, now: float) -> Iterator[Told]:
        """End the streak of a replica that has not come back."""
        del self._away[key]
        streak = self._streaks.pop(key, None)
        last = None if streak is None else streak.current
        if streak is None or streak.finding is None or last is None or last.end is None:
            return
        seconds = last.end.at - streak.began
        over = events.VerdictOver(cause=streak.finding.cause, count=streak.count, seconds=seconds, how="gone")
        yield Told(now, key[0], last.connection, key[1], over)

    def _outlasted(self, key: _Key, connection: int, now: float) -> Event | None:
        """End the streak if this stream has lasted for long enough. Returns what follows from that."""
        streak, one = self._streaks.get(key), self._rounds.get(connection)
        if streak is None or one is None:
            self._streaming.pop(key, None)
            return None
        if one.loaded_at is None or now - one.loaded_at <= streak.patience():
            return None
        del self._streaming[key], self._streaks[key]
        if streak.finding is None:
            return None
        return events.VerdictOver(cause=streak.finding.cause, count=streak.count, seconds=one.loaded_at - streak.began)

    # ---- before the grant ----

    def _handshake(self, told: Told, event: events.Handshake) -> None:
        words = event.request
        if not words or words[0].upper() != "REPLCONF":
            return
        names = [word.lower() for word in words[1::2]]
        if "version" in names and len(words) > 2 * names.index("version") + 2:
            request = self._request(told.connection)
            request.version = f"Valkey {words[2 * names.index('version') + 2]}"
            request.is_masked = event.sent is not None

    def _request(self, connection: int) -> _Request:
        return self._requests.setdefault(connection, _Request())

    def _identified(self, told: Told, event: events.Identified) -> None:
        if event.role is Role.RDB_CHANNEL and event.main_connection is not None:
            self._mains[told.connection] = event.main_connection

    def _asked(self, told: Told, event: events.PsyncRequested) -> None:
        request = self._request(told.connection)
        request.at, request.offset = told.time, None if event.replid is None else event.offset - 1

    # ---- a round ----

    def _granted(self, told: Told, event: events.FullResync) -> Iterator[Event]:
        yield from self._begin(told, self._new_round(told, full=event))

    def _refused(self, told: Told, event: events.ResyncRefused) -> Iterator[Event]:
        """Take an error. That of a master whose snapshot fails ends a round; the others are no resyncs."""
        if "BGSAVE" in event.reply.upper():
            yield from self._begin(told, self._new_round(told, refusal=event.reply))

    def _new_round(self, told: Told, *, full: events.FullResync | None = None, refusal: str = "") -> Round:
        request = self._requests.pop(told.connection, _Request())
        return Round(
            told.connection,
            told.time,
            told.time if request.at is None else request.at,
            request.offset,
            full,
            refusal,
            request.version,
            request.is_masked,
        )

    def _begin(self, told: Told, new: Round) -> Iterator[Event]:
        key = told.link, told.replica
        self._rounds[told.connection] = new
        self._streaming.pop(key, None)
        self._away.pop(key, None)
        streak = self._streaks.pop(key, None)
        if streak is not None and streak.current is not None and streak.current.end is None:
            self._given_up(streak.current, new)
        was = None if streak is None else streak.finding
        streak = self._follow(streak, new)
        self._streaks[key] = streak
        if len(self._streaks) > MAX_REPLICAS:
            dropped = next(iter(self._streaks))
            del self._streaks[dropped]
            self._away.pop(dropped, None)
        if streak.count >= LEAST_COUNT:
            found = find(streak.rounds, new, self._said(key[0]))
            if was is None or _is_other(was, found) or _is_round_number(streak.count) or _needs_more(was, found):
                streak.finding = found
                yield _verdict(streak, found)

    def _given_up(self, one: Round, new: Round) -> None:
        """The replica has asked again while this round's connection is open: the last that it saw is long ago."""
        moved = one.moved_at or one.rdb_at or one.granted_at
        phase = "waiting" if one.rdb_at is None else "rdb" if one.rdb_done_at is None else "loading"
        if one.loaded_at is not None:
            phase = "stream"
        one.end = RoundEnd(new.asked_at, Side.REPLICA, "fin", phase, new.asked_at - moved)
        self._rounds.pop(one.connection, None)

    def _follow(self, streak: Streak | None, new: Round) -> Streak:
        """The streak that the new round goes on, or begins."""
        last = None if streak is None else streak.current
        if streak is None or last is None or last.end is None:
            return Streak(new.granted_at, current=new)
        way = "unloaded" if last.is_unloaded else f"stream, {'' if new.full is None else new.full.reason.code}"
        is_next = new.granted_at - last.end.at <= _pause(streak, last)
        is_same = None in (last.replid, new.replid) or last.replid == new.replid
        if not (is_next and is_same):
            return Streak(new.granted_at, current=new)
        if streak.way not in (None, way):
            return Streak(last.granted_at, 2, way, [last], new)
        rounds = [*streak.rounds, last][-KEPT_ROUNDS:]
        return Streak(streak.began, streak.count + 1, way, rounds, new, streak.finding)

    def _continued(self, told: Told, event: events.PartialResync) -> None:
        """A stream without a full resync ends a loop like any other, once it has lasted."""
        self._requests.pop(told.connection, None)
        key = told.link, told.replica
        streak = self._streaks.get(key)
        if streak is not None and streak.finding is not None:
            at = told.time
            self._away.pop(key, None)
            self._rounds[told.connection] = Round(told.connection, at, at, stream_at=at, loaded_at=at)
            self._streaming[key] = told.connection

    def _rdb_started(self, told: Told, event: events.RdbStarted) -> None:
        one = self._rounds.get(told.connection)
        if one is not None:
            one.rdb, one.rdb_at, one.rdb_bytes = event, told.time, 0

    def _rdb_progress(self, told: Told, event: events.RdbProgress) -> None:
        one = self._rounds.get(told.connection)
        if one is not None:
            one.rdb_bytes, one.moved_at, one.seconds_left = event.bytes, told.time, event.seconds_left

    def _rdb_problem(self, told: Told, event: events.RdbProblem) -> None:
        one = self._rounds.get(told.connection)
        if one is not None and event.problem in ("damaged", "unknown"):
            one.rdb_problem = event.text

    def _rdb_finished(self, told: Told, event: events.RdbFinished) -> None:
        one = self._rounds.get(told.connection)
        if one is not None:
            one.rdb_bytes, one.rdb_done_at = event.bytes, told.time

    def _stream_started(self, told: Told, event: events.StreamStarted) -> None:
        one = self._rounds.get(told.connection)
        if one is not None:
            one.stream_at = told.time
            self._streaming[told.link, told.replica] = told.connection

    def _pressed(self, told: Told, event: events.Pressure) -> None:
        one = self._rounds.get(told.connection)
        if one is not None:
            one.pressure = event

    def _relieved(self, told: Told, event: events.PressureOver) -> None:
        one = self._rounds.get(told.connection)
        if one is not None and event.how == "back":
            one.pressure = None

    def _acknowledged(self, told: Told, event: events.Ack) -> None:
        one = self._rounds.get(told.connection)
        if one is not None and one.loaded_at is None and one.rdb_done_at is not None:
            one.loaded_at = told.time

    # ---- its end ----

    def _closed(self, told: Told, event: events.LinkClosed) -> Iterator[Event]:
        self._requests.pop(told.connection, None)
        key = told.link, told.replica
        if self._streaming.get(key) == told.connection:
            over = self._outlasted(key, told.connection, told.time)
            self._streaming.pop(key, None)
            if over is not None:
                yield over
        main = self._mains.pop(told.connection, None)
        if main is not None:
            one = self._rounds.get(main)
            if one is not None and event.phase != "done":
                one.channel_end = event
                _measure(one, event)
            return
        one = self._rounds.pop(told.connection, None)
        if one is None:
            return
        # In a sync with two connections the first end brings about the other.
        first = event if one.channel_end is None else one.channel_end
        if one.channel_end is None:
            _measure(one, event)
        phase = "psync" if one.refusal else event.phase
        by = Side.MASTER if one.refusal else first.by
        one.end = RoundEnd(told.time, by, first.how, phase, _silence(first, phase), first.text)
        if phase not in ("waiting", "rdb", "loading", "psync") and one.loaded_at is None:
            one.loaded_at = one.stream_at
        streak = self._streaks.get(key)
        if streak is not None and streak.current is not None and streak.finding is not None:
            self._away[key] = told.time + _pause(streak, streak.current)


def _pause(streak: Streak, last: Round) -> float:
    """Seconds after the end of this round within which a full resync follows on it."""
    return PAUSE + 3 * max(streak.longest, last.seconds) if last.is_unloaded else LONG_PAUSE


def _measure(one: Round, event: events.LinkClosed) -> None:
    """How much of the RDB has come on the connection that carried it."""
    if one.rdb is not None and one.rdb_done_at is None:
        one.rdb_bytes = max(one.rdb_bytes or 0, event.bytes_from_master - one.rdb.end)


def _silence(event: events.LinkClosed, phase: str) -> float | None:
    """How long the closing side had waited for the other one; a master that sends the RDB, for its own bytes to go."""
    if event.by is Side.REPLICA:
        # It does not look at its master while it loads.
        return None if phase == "loading" else event.master_silence
    if event.by is Side.MASTER:
        return event.replica_silence if phase in ("loading", "stream") else event.master_silence
    return None


def _is_other(was: Diagnosis, found: Diagnosis) -> bool:
    """Whether later rounds show another cause. One odd round, such as that of a replica that is stopped, shows none."""
    return found.cause not in (was.cause, UNKNOWN)


def _needs_more(was: Diagnosis, found: Diagnosis) -> bool:
    """Whether later rounds show that the value of the last verdict was far too small.

    Where the master has closed before the RDB began, its transfer could only be guessed.
    """
    needed = found.figures.get("needed_bytes", 0.0)
    return needed > 0 and needed >= GROWN * was.figures.get("needed_bytes", float("inf"))


def _is_round_number(count: int) -> bool:
    return count >= 10 and str(count).strip("0") == "1"


def _verdict(streak: Streak, found: Diagnosis) -> events.Verdict:
    last, current = streak.rounds[-1], streak.current
    assert last.end is not None
    assert current is not None
    return events.Verdict(
        cause=found.cause,
        count=streak.count,
        period=(current.granted_at - streak.began) / (streak.count - 1),
        by=last.end.by,
        phase=last.end.phase,
        bytes=last.rdb_bytes,
        seconds=last.seconds,
        server=found.server,
        setting=found.setting,
        value=found.value,
        figures=found.figures,
        text=found.text,
        alternatives=found.alternatives,
        decide=found.decide,
        at_least=found.at_least,
        assumed=found.assumed,
        known_from=found.known_from,
        present=found.present,
    )
