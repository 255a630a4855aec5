"""What earlier connections to one master teach about the next.

After a partial resync no SELECT is sent, a full one comes without a reason, and in a two-connection sync one connection
announces what applies to the other: such facts must be remembered across connections. The memory is bounded.
"""

from __future__ import annotations

import weakref
from array import array
from dataclasses import dataclass
from typing import Any, TypeVar

from tap.replication.inspected import Inspected
from tap.replication.rendezvous import Rendezvous
from tap.replication.scanner import StreamScanner, db_at
from tap.replication.succession import Succession
from tap.replication.tallied_times import ACK_BOUNDS, SYNC_BOUNDS, TalliedTimes

MAX_HISTORIES = 256
MAX_REPLICAS = 4096
MAX_TRACKS = 16

_V = TypeVar("_V")


class EndedScanner:
    """The part of a scanner that is still needed after its connection has ended, in an eighth of the memory."""

    __slots__ = ("_begin", "_dbs", "_ends", "_first_db", "broken_at", "position")

    def __init__(self, scanner: StreamScanner) -> None:
        self.position = scanner.position
        self.broken_at = scanner.broken_at
        selects, self._begin, self._first_db = scanner.dbs()
        self._ends = array("q", [end for end, _ in selects])
        self._dbs = array("q", [db for _, db in selects])

    def db_at(self, position: int) -> int | None:
        """As StreamScanner.db_at()."""
        return db_at(position, [*zip(self._ends, self._dbs, strict=True)], self._begin, self._first_db)


@dataclass(slots=True, eq=False)
class Track:
    """The part of a history that one connection carried, after offset base. is_doubted: its offsets may be wrong.

    master: where the connection went. sent: the offset that the master had sent up to at the connection's last tick,
    received or waiting in the system. is_current: the connection is open, and received whatever the master sent then.
    """

    base: int
    scanner: StreamScanner | EndedScanner
    master: str = ""
    is_doubted: bool = False
    data_end: tuple[int, int] = (-1, -1)  # bounds of the offset after the last command other than PING
    sent: int = -1
    is_current: bool = False

    def settle(self) -> None:
        """The connection has ended: release the scanner."""
        self.sent, self.is_current = -1, False
        if not isinstance(self.scanner, EndedScanner):
            self.scanner = EndedScanner(self.scanner)

    @property
    def is_settled(self) -> bool:
        """Whether the connection has ended."""
        return isinstance(self.scanner, EndedScanner)

    @property
    def end(self) -> int:
        return self.base + (0 if self.scanner.broken_at == 0 else self.scanner.position)  # as Stream.offset


class History:
    """What is known of the stream under one replication ID. link: the name of the link where it was first seen."""

    def __init__(self, link: str, tracks: list[Track] | None = None) -> None:
        self.link = link
        self._tracks = tracks or []

    def add(self, track: Track) -> None:
        self._tracks.append(track)
        del self._tracks[:-MAX_TRACKS]

    @property
    def end(self) -> int | None:
        """The highest offset seen, None if none was seen."""
        return max((track.end for track in self._tracks if not track.is_doubted), default=None)

    def written(self, master: str, *, beside: Track | None = None, is_current: bool = False) -> int | None:
        """The highest offset that this master has certainly written, as connections to it show; None if none does.

        beside: leave this connection out. is_current: ask only those connections that show what it has written by now.
        """
        known = [
            max(track.end, track.sent)
            for track in self._tracks
            if track.master == master
            and track is not beside
            and not track.is_doubted
            and (track.is_current or not is_current)
        ]
        return max(known, default=None)

    def has_data(self, after: int, until: int) -> bool | None:
        """Whether the bytes between two offsets hold more than PINGs; None if no connection shows that."""
        for track in self._tracks:
            if not track.is_doubted and track.base <= after and track.end >= until:
                at_least, at_most = track.data_end
                if after < at_least or at_most <= after:
                    return after < at_least
        return None

    def db_at(self, offset: int) -> int | None:
        """The database in force after the byte with this offset, None if no connection showed it."""
        for track in reversed(self._tracks):
            if not track.is_doubted and track.base <= offset <= track.end:
                db = track.scanner.db_at(offset - track.base)
                if db is not None:
                    return db
        return None

    def continued(self, link: str) -> History:
        """The same stream under its next replication ID, which was first seen on *link*."""
        return History(link, list(self._tracks))


@dataclass(slots=True)
class Past:
    """How far one replica's last connection came.

    unloaded: the phase in which the connection ended, if that was before the replica acknowledged an RDB; else "".
    is_unanswered: it, or a later attempt, ended before the replica acknowledged anything after its PSYNC.
    """

    replid: str
    offset: int | None
    unloaded: str = ""
    is_unanswered: bool = False


class Memory:
    """Shared by all connections to one master."""

    def __init__(self, link: str = "", beside: Memory | None = None, *, master: str = "") -> None:
        """link: the link's name. beside: the memory of another link, to share its histories: a history may continue on
        another link's master after a failover. master: its address; links with the same one show what it has written.
        """
        self._link = link
        self.master = master
        self.histories: dict[str, History] = {} if beside is None else beside.histories
        self.succession: Succession = Succession(MAX_HISTORIES) if beside is None else beside.succession
        self._replicas: dict[str, Past] = {}
        self._full: dict[str, int] = {}  # by replica, the offset of its last full resync
        # Of all links; a transparent listener drops the routes of masters that are not used.
        self._all: weakref.WeakSet[Memory] = weakref.WeakSet() if beside is None else beside._all
        self._all.add(self)
        self.ack_times = TalliedTimes(ACK_BOUNDS)  # see LagClock
        self.load_times = TalliedTimes(SYNC_BOUNDS)  # from the last byte of an RDB to the first acknowledgement
        self.inspected: Inspected | None = None  # what the master last said of itself, if it is asked
        self.lives: dict[str, str] = {}  # by the ID under which it wrote, the run_id of the process that did so last
        self.rendezvous: Rendezvous[Any] = Rendezvous()  # of SyncConnection, see two_connections.py

    def learn(self, inspected: Inspected) -> None:
        """Take what the master says of itself."""
        self.inspected = inspected
        if inspected.replid is not None and inspected.run_id is not None:
            _remember(self.lives, inspected.replid, inspected.run_id, MAX_HISTORIES)

    def history(self, replid: str) -> History:
        """The history of this ID; a new one if the ID is unknown."""
        return _remember(self.histories, replid, self.histories.get(replid) or History(self._link), MAX_HISTORIES)

    def written(self, replid: str) -> int | None:
        """The highest offset of this history that the master has certainly written; None if nothing shows one."""
        known, said = self.histories.get(replid), self.inspected
        shown = None if known is None else known.written(self.master)
        if said is None or said.replid != replid or said.offset is None:
            return shown
        return said.offset if shown is None else max(shown, said.offset)

    def shown(self, replid: str, beside: Track | None) -> int | None:
        """The offset of this history that this master has written by now, as connections other than *beside* show it."""
        known = self.histories.get(replid)
        return None if known is None else known.written(self.master, beside=beside, is_current=True)

    def said(self, replid: str | None, at: float) -> Inspected | None:
        """What the master said of itself a moment ago, if it writes this history; else None."""
        said = self.inspected
        return None if said is None or said.written(replid, at) is None else said

    def knows(self, replid: str) -> bool:
        """Whether this replication ID was granted to an earlier connection."""
        return replid in self.histories

    def succeed(self, previous: str, replid: str, offset: int) -> None:
        """Note that the stream of *previous* continues as *replid* after this offset, or a later one."""
        if replid not in self.histories:
            _remember(self.histories, replid, self.history(previous).continued(self._link), MAX_HISTORIES)
        self.succession.continues(replid, previous, offset)

    def elsewhere(self, replid: str) -> str | None:
        """The name of the link where this history was first seen, if that is another link; else None."""
        known = self.histories.get(replid)
        return None if known is None or known.link == self._link else known.link

    def left(self, replica: str, past: Past) -> None:
        """Note that a connection of the replica with this announced address has ended."""
        _remember(self._replicas, replica, past, MAX_REPLICAS)

    def offered(self, replica: str, replid: str) -> None:
        """Note that the replica with this announced address offers this history: then it has loaded it."""
        past = self._replicas.get(replica)
        if past is not None and past.replid == replid:
            past.unloaded = ""

    def unanswered(self, replica: str) -> None:
        """Note that a connection of this replica has ended before its PSYNC was answered."""
        past = self._replicas.get(replica)
        if past is not None:
            past.is_unanswered = True

    def past(self, replica: str) -> Past | None:
        return self._replicas.get(replica)

    def granted_full(self, replica: str, offset: int) -> None:
        """Note that the replica with this announced address resyncs in full, at this offset."""
        _remember(self._full, replica, offset, MAX_REPLICAS)

    # ---- this link's master as a replica of another link ----

    def followed(self) -> tuple[str, Past] | None:
        """The link through which this link's master has followed another one, and how far; None if it has not."""
        found = ((one._link, one._replicas.get(self.master)) for one in self._all if one is not self and self.master)
        return next(((link, past) for link, past in found if past is not None), None)

    def resynced(self) -> tuple[str, int] | None:
        """The link through which this link's master has itself resynced in full, and the offset; None if it has not."""
        found = ((one._link, one._full.get(self.master)) for one in self._all if one is not self and self.master)
        return next(((link, offset) for link, offset in found if offset is not None), None)


def _remember(known: dict[str, _V], key: str, value: _V, limit: int) -> _V:
    """Insert the value as the newest, and drop the oldest beyond the limit."""
    known.pop(key, None)
    known[key] = value
    while len(known) > limit:
        del known[next(iter(known))]
    return value
