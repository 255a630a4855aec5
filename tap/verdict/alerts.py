r"""Thresholds of the operator's own, compared with the figures of each connection: events with a beginning and an end.

    value  |      ______peak_____
    limit  |-----/---------------\--------------------
           |____/                 \______
                 |-- lasts --|     |-1 s-|
                             alert       alert_over

An alert begins once the figure has passed its limit at every look for as long as the threshold says, and it ends once
the figure has been back for CALM_SECONDS, or with the connection. What cannot be known decides nothing: a lower bound
passes a limit from above only, so it may begin an alert and never ends one; an unknown figure does neither.

Figures of connections are looked at twice a second. Resyncs are those of a replica on a link, whatever its connections.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tap.bus import Told
from tap.replication.events import Alert, AlertOver, Event, FullResync, Side
from tap.status import AlertFigures
from tap.thresholds import Threshold

LOOK_SECONDS = 0.5
CALM_SECONDS = 1.0
MAX_REPLICAS = 1000  # whose resyncs are counted
MAX_COUNTED = 10_000  # resyncs of one replica

Tell = Callable[[str, int, str, Event], None]
Looks = Callable[[Mapping[str, Container[str]]], Mapping[str, Iterable[AlertFigures]]]


class Figure(NamedTuple):
    """A value of this moment. at_least, known_from: see replication/lag.py. side: which one is silent."""

    value: float
    at_least: bool = False
    known_from: str = "wire"
    side: Side | None = None


class Place(NamedTuple):
    """What an alert is about, as tap.bus.Told names it."""

    link: str
    connection: int
    replica: str


@dataclass(slots=True)
class _Watch:
    """A figure that has passed its limit, or has an alert. since, back: when it passed the limit, and was back."""

    threshold: Threshold
    place: Place
    since: float
    peak: Figure
    has_begun: bool = False
    back: float | None = None


@dataclass(slots=True)
class _Resyncs:
    """Full resyncs of one replica. place: of the last one. times: oldest first."""

    place: Place
    times: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_COUNTED))


class Alerts:
    """The alerts of one tap. Times are those of one clock, whichever the caller has."""

    def __init__(self, thresholds: Mapping[str, Sequence[Threshold]], tell: Tell) -> None:
        """thresholds: by the name of the configured link. tell: publishes an event at a link, connection and replica."""
        self._thresholds = dict(thresholds)
        self._sort()
        self._tell = tell
        self._watches: dict[Hashable, _Watch] = {}
        self._resyncs: dict[tuple[str, str], _Resyncs] = {}
        self._due = float("-inf")

    def set_link(self, link: str, thresholds: Sequence[Threshold]) -> None:
        """The link is there, with these thresholds from now on."""
        self._thresholds[link] = thresholds
        self._sort()

    def drop_link(self, link: str, at: float) -> None:
        """The link has gone, and every alert of it with it."""
        del self._thresholds[link]
        self._sort()
        for key in [key for key, watch in self._watches.items() if watch.place.link == link]:
            self._end(key, None, at)
        for place in [one for one in self._resyncs if one[0] == link]:
            del self._resyncs[place]

    def _sort(self) -> None:
        """Derive from the thresholds what a look needs."""
        self._every = list(dict.fromkeys(one for several in self._thresholds.values() for one in several))
        self._of_connections = {
            link: [one for one in several if one.figure != "resyncs"] for link, several in self._thresholds.items()
        }
        self._wanted: dict[str, frozenset[str]] = {
            link: frozenset(one.figure for one in several) for link, several in self._of_connections.items() if several
        }
        self._longest = max((one.window for one in self._every), default=0.0)

    def event(self, told: Told, at: float) -> None:
        """Count a full resync; other events count for nothing."""
        if not self._longest or not isinstance(told.event, FullResync):
            return
        key = told.link, told.replica
        place = Place(told.link, told.connection, told.replica)
        resyncs = self._resyncs.pop(key, None) or _Resyncs(place)
        resyncs.place = place
        resyncs.times.append(at)
        self._resyncs[key] = resyncs
        if len(self._resyncs) > MAX_REPLICAS:
            del self._resyncs[next(iter(self._resyncs))]

    def tick(self, figures: Looks, at: float) -> None:
        """To be called several times a second.

        figures: called when a look is due and connections are compared, with the names of the figures by that of the
        configured link; returns, by link, those of its replicas.
        """
        if (self._every or self._watches) and at >= self._due:
            self._due = at + LOOK_SECONDS
            self.look(figures(self._wanted) if self._wanted else {}, at)

    def look(self, links: Mapping[str, Iterable[AlertFigures]], at: float) -> None:
        """Compare every figure with its limits. links: by the name of the configured link."""
        seen: set[Hashable] = set()
        for link, connections in links.items():
            thresholds = self._of_connections.get(link, ())
            for one in connections:
                place = Place(one.link, one.number, one.replica)
                for threshold in thresholds:
                    seen.add((threshold, one.number))
                    self._judge((threshold, one.number), threshold, place, _figure(threshold, one), at)
        seen |= self._count_resyncs(at)
        for key in [one for one in self._watches if one not in seen]:
            self._end(key, None, at)

    def end(self, at: float) -> None:
        """The tap ends, and every alert with it."""
        for key in list(self._watches):
            self._end(key, None, at)

    def _count_resyncs(self, at: float) -> set[Hashable]:
        """Compare the resyncs of every replica with the limits. Returns the keys of what was compared."""
        seen: set[Hashable] = set()
        for key, resyncs in list(self._resyncs.items()):
            times = resyncs.times
            while times and times[0] <= at - self._longest:
                times.popleft()
            for threshold in self._thresholds.get(key[0], self._every):  # transparent links go by their masters' names
                if threshold.figure == "resyncs":
                    value = sum(one > at - threshold.window for one in times)
                    seen.add((threshold, key))
                    self._judge((threshold, key), threshold, resyncs.place, Figure(value), at)
            if not times and not any((one, key) in self._watches for one in self._every):
                del self._resyncs[key]
        return seen

    def _judge(self, key: Hashable, threshold: Threshold, place: Place, figure: Figure | None, at: float) -> None:
        watch = self._watches.get(key)
        if figure is None:
            if watch is not None and not watch.has_begun:
                del self._watches[key]
        elif threshold.is_passed(figure.value):
            if watch is None:
                self._watches[key] = watch = _Watch(threshold, place, at, figure)
            watch.place, watch.back = place, None
            if figure.value > watch.peak.value:
                watch.peak = figure
            if not watch.has_begun and at - watch.since >= threshold.lasts:
                watch.has_begun = True
                self._begin(watch, figure, at)
        elif watch is not None and not figure.at_least:
            if watch.back is None:
                watch.back = at
            if not watch.has_begun or at - watch.back >= CALM_SECONDS:
                self._end(key, figure, at)

    def _begin(self, watch: _Watch, figure: Figure, at: float) -> None:
        threshold = watch.threshold
        self._tell(
            *watch.place,
            Alert(
                rule=threshold.text,
                figure=threshold.figure,
                unit=threshold.unit,
                limit=threshold.limit,
                value=figure.value,
                at_least=figure.at_least,
                known_from=figure.known_from,
                side=figure.side,
                seconds=at - watch.since,
            ),
        )

    def _end(self, key: Hashable, figure: Figure | None, at: float) -> None:
        """figure: at the end; None if there is none any more, because the connection has ended."""
        watch = self._watches.pop(key)
        if not watch.has_begun:
            return
        threshold = watch.threshold
        self._tell(
            *watch.place,
            AlertOver(
                rule=threshold.text,
                figure=threshold.figure,
                unit=threshold.unit,
                limit=threshold.limit,
                value=None if figure is None else figure.value,
                peak=watch.peak.value,
                at_least=watch.peak.at_least,
                seconds=(at if watch.back is None else watch.back) - watch.since,
                how="closed" if figure is None else "back",
            ),
        )


def _figure(threshold: Threshold, one: AlertFigures) -> Figure | None:
    """The figure of a connection; None if it is unknown."""
    if threshold.figure == "silence":
        master, replica = one.master_silence or 0.0, one.replica_silence or 0.0
        return Figure(max(master, replica), side=Side.MASTER if master >= replica else Side.REPLICA)
    if threshold.figure == "buffer":
        return None if one.buffer_bytes is None else Figure(one.buffer_bytes, known_from="master")
    value = one.lag.bytes if threshold.unit == "bytes" else one.lag.seconds
    return None if value is None else Figure(value, one.lag.at_least, one.lag.known_from)
