"""What earlier connections to one master teach about the next.

A partial resync sends no SELECT, a full one gives no reason, and a two-connection sync announces on one connection
what counts on the other: all of that has to be remembered across connections. Bounded, whatever comes and goes.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any, TypeVar

from tap.replication.rendezvous import Rendezvous
from tap.replication.scanner import StreamScanner, db_at
from tap.replication.succession import Succession

MAX_HISTORIES = 256
MAX_REPLICAS = 4096
MAX_TRACKS = 16

_V = TypeVar("_V")


class Course:
    """What of a scanner is still wanted when its connection has ended: an eighth of the memory."""

    __slots__ = ("_begin", "_dbs", "_ends", "_first_db", "broken_at", "position")

    def __init__(self, scanner: StreamScanner) -> None:
        self.position = scanner.position
        self.broken_at = scanner.broken_at
        selects, self._begin, self._first_db = scanner.dbs()
        self._ends = array("q", [end for end, _ in selects])
        self._dbs = array("q", [db for _, db in selects])

    def db_at(self, position: int) -> int | None:
        """As the scanner's."""
        return db_at(position, [*zip(self._ends, self._dbs, strict=True)], self._begin, self._first_db)


@dataclass(slots=True)
class Track:
    """One stretch of a history, as one connection saw it: from offset base on. is_doubted: its offsets are."""

    base: int
    scanner: StreamScanner | Course
    is_doubted: bool = False

    def settle(self) -> None:
        """The connection has ended."""
        if not isinstance(self.scanner, Course):
            self.scanner = Course(self.scanner)

    @property
    def end(self) -> int:
        return self.base + (0 if self.scanner.broken_at == 0 else self.scanner.position)  # as Stream.offset


class History:
    """What is known of the stream under one replication ID. link: the name of the one that it was first seen on."""

    def __init__(self, link: str, tracks: list[Track] | None = None) -> None:
        self.link = link
        self._tracks = tracks or []

    def add(self, track: Track) -> None:
        self._tracks.append(track)
        del self._tracks[:-MAX_TRACKS]

    @property
    def end(self) -> int | None:
        """The highest offset seen, None if none was."""
        return max((track.end for track in self._tracks if not track.is_doubted), default=None)

    def db_at(self, offset: int) -> int | None:
        """The database in force after byte number *offset*, None if no connection saw it."""
        for track in reversed(self._tracks):
            if not track.is_doubted and track.base <= offset <= track.end:
                db = track.scanner.db_at(offset - track.base)
                if db is not None:
                    return db
        return None

    def continued(self, link: str) -> History:
        """The same stream under its next replication ID, which *link* tells of."""
        return History(link, list(self._tracks))


@dataclass(slots=True)
class Past:
    """Where the last connection of one replica had come to, when it ended, and its rate then, bytes per second.

    unloaded: "" or the phase in which it ended before the replica acknowledged an RDB.
    """

    replid: str
    offset: int | None
    at: float
    rate: float
    unloaded: str = ""

    def expected(self, replid: str, offset: int, at: float) -> int | None:
        """Bytes that the replica, back with this offset, has probably missed; None if that cannot be told."""
        if self.replid != replid or self.offset is None or not self.rate:
            return None
        return max(0, self.offset - offset) + round(self.rate * (at - self.at))


class Memory:
    """Shared by all connections to one master."""

    def __init__(self, link: str = "", beside: Memory | None = None) -> None:
        """link: its name. beside: the memory of another link: a history goes on wherever its master has moved to."""
        self._link = link
        self.histories: dict[str, History] = {} if beside is None else beside.histories
        self.succession: Succession = Succession(MAX_HISTORIES) if beside is None else beside.succession
        self._replicas: dict[str, Past] = {}
        self.rendezvous: Rendezvous[Any] = Rendezvous()  # used by two_connections.py, which says of what

    def history(self, replid: str) -> History:
        """The history of that ID, begun if it is new."""
        return _remember(self.histories, replid, self.histories.get(replid) or History(self._link), MAX_HISTORIES)

    def knows(self, replid: str) -> bool:
        """Whether a connection was granted this replication ID before."""
        return replid in self.histories

    def succeed(self, previous: str, replid: str, offset: int) -> None:
        """The stream of *previous* goes on as *replid* after this offset, or a later one."""
        if replid not in self.histories:
            _remember(self.histories, replid, self.history(previous).continued(self._link), MAX_HISTORIES)
        self.succession.continues(replid, previous, offset)

    def elsewhere(self, replid: str) -> str | None:
        """The name of the link that this history was first seen on, if it is another one."""
        known = self.histories.get(replid)
        return None if known is None or known.link == self._link else known.link

    def left(self, replica: str, past: Past) -> None:
        """A connection of the replica with this announced address has ended."""
        _remember(self._replicas, replica, past, MAX_REPLICAS)

    def past(self, replica: str) -> Past | None:
        return self._replicas.get(replica)


def _remember(known: dict[str, _V], key: str, value: _V, limit: int) -> _V:
    """Put the value last, and drop the oldest beyond the limit."""
    known.pop(key, None)
    known[key] = value
    while len(known) > limit:
        del known[next(iter(known))]
    return value
