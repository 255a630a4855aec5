"""What one picture of the live view shows: records that the event loop fills and the drawing thread reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

# The pages of the view. OVERVIEW has a row for each replica; LINK is one of them in full.
OVERVIEW, LINK, FAULTS, EVENTS, HELP = "overview", "link", "faults", "events", "help"


@dataclass(slots=True)
class Line:
    """A row of the overview: one replica, or a link without a replica.

    replica: "" for a link without one. master: its address, "" if unknown. hint: what to do for a replica. trouble: why
    the master of the link cannot be reached; "" if it can.
    phase: of the connection, or "gone", or "no replica". since: seconds in this phase.
    lag_known_from: see replication/lag.py. master_silence, replica_silence: seconds since that side's last sign of life.
    silent_side: which side has been silent for longer than it should be, for *silence* seconds; "" if neither.
    timeout_in: seconds until its master ends the connection for that, None if unknown.
    is_held: a fault holds bytes. is_blocked: the replica takes no more for now. is_inspected: the master is asked how it
    stands, and has answered. is_saving: it writes an RDB. is_watched: packets are only watched; no master can be asked.
    rate: bytes per second from the master. stream: the same over time, of the stream only, because an RDB would dwarf it.
    rdb_rate: bytes per second of the RDB in the last seconds. rdb_left: seconds that it still needs at this rate, None if
    unknown. rdb_announced: keys.
    beside: bytes of the stream received on the main connection of a two-connection sync. buffer_bytes: in the master's
    output buffer, as it says; None if it has not said.
    ended: how its last connection ended, once it has none.
    loop: the cause of its loop of full resyncs; "" if it is in none. alerts: number in force.
    """

    replica: str
    link: str
    phase: str = "connect"
    replid: str | None = None
    offset: int | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    lag_at_least: bool = False
    master: str = ""
    hint: str = ""
    trouble: str = ""
    acked: int | None = None
    since: float = 0.0
    lag_known_from: str = "wire"
    master_silence: float | None = None
    replica_silence: float | None = None
    silent_side: str = ""
    silence: float = 0.0
    timeout_in: float | None = None
    is_held: bool = False
    is_blocked: bool = False
    is_inspected: bool = False
    is_saving: bool = False
    is_watched: bool = False
    db: int | None = None
    full_resyncs: int = 0
    partial_resyncs: int = 0
    passed: int = 0
    rate: float = 0.0
    stream: tuple[float, ...] = ()
    rdb_received: int = 0
    rdb_size: int | None = None
    rdb_keys: int = 0
    rdb_announced: int = 0
    rdb_rate: float = 0.0
    rdb_left: float | None = None
    beside: int | None = None
    buffer_bytes: int | None = None
    ended: str = ""
    loop: str = ""
    alerts: int = 0

    def with_stream(self, stream: tuple[float, ...]) -> Line:
        """A copy that stays as it is."""
        return dataclasses.replace(self, stream=stream)

    @property
    def severity(self) -> int:
        """0: needs attention; 1: in a resync; 2: fine; 3: not there."""
        if self.silent_side or self.loop or self.alerts or self.trouble or self.phase == "opaque":
            return 0
        return {"stream": 2, "gone": 3, "no replica": 3}.get(self.phase, 1)


@dataclass(frozen=True, slots=True)
class Ranking:
    """A table of names by a figure. total: over all names. first: those with the highest figures.

    of_bytes: the figures are bytes. at_least: they are lower bounds. is_estimate: they were concluded from a part.
    """

    title: str
    total: int
    first: tuple[tuple[str, int], ...]
    of_bytes: bool = False
    at_least: bool = False
    is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class Happening:
    """An event in words. kind: the event's. times: how often it happened in a row; time: of the last one."""

    time: float
    kind: str
    link: str
    replica: str
    words: str
    alarming: bool = False
    times: int = 1


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of full resyncs. remedy: the command that ends it, "" if no setting does. words: the whole verdict."""

    link: str
    replica: str
    cause: str
    count: int
    period: float
    remedy: str
    words: str


@dataclass(frozen=True, slots=True)
class FaultLine:
    """A fault. state: "armed", "at work" or "over". fired: how often. bytes: affected in total."""

    name: str
    spec: str
    state: str
    fired: int
    bytes: int


@dataclass(slots=True)
class Attempt:
    """One connection of a replica, as its events tell. Times are seconds since the epoch.

    steps: the phases, and when each began. handshake: requests and replies. resync: of which kind and why; "" if none was
    granted. rdb: the size of its RDB and how long it took, in words. ended: None while it is open; how: its end in words.
    """

    connection: int
    peer: str
    steps: list[tuple[str, float]] = dataclasses.field(default_factory=list)
    handshake: list[str] = dataclasses.field(default_factory=list)
    resync: str = ""
    rdb: str = ""
    ended: float | None = None
    how: str = ""

    def step(self, phase: str, at: float) -> None:
        """The connection is in this phase since then."""
        if not self.steps or self.steps[-1][0] != phase:
            self.steps.append((phase, at))

    def copy(self) -> Attempt:
        """A copy that stays as it is."""
        return dataclasses.replace(self, steps=[*self.steps], handshake=[*self.handshake])


@dataclass(frozen=True, slots=True)
class Charts:
    """What changed in the last minutes, for one replica: values over *seconds*, the newest last.

    rate: bytes per second, of the RDB as well if of_rdb. lag: bytes, NaN where unknown.
    """

    rate: tuple[float, ...] = ()
    lag: tuple[float, ...] = ()
    seconds: float = 0.0
    of_rdb: bool = False


@dataclass(frozen=True, slots=True)
class Detail:
    """One row in full. attempts: its connections, the newest last. happened: the events that concern it."""

    line: Line
    attempts: tuple[Attempt, ...] = ()
    happened: tuple[Happening, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything that one picture shows.

    routes: the address where replicas connect, and its master; "" if each redirected connection has its own master.
    now: seconds since the epoch. lines: those rows of *rows* in total that may be seen, from number *first* on. chosen:
    the row of the cursor, as an index of *lines*; None if keys are not read.
    replicas: connected ones. ordinary: connections of other clients. omitted: connections that have no row, because there
    are too many. watched: what is, where packets are only watched; there are no routes then.
    charts: of the chosen row. detail: only on its page. log: only on the page of events.
    recording: the file being written. trouble: what is missing from the recording and why; "" if nothing is.
    scroll: lines by which a page is moved. has_keys: keys are read. notice: shown in place of what they do.
    """

    routes: tuple[tuple[str, str], ...]
    now: float
    up: float
    lines: tuple[Line, ...]
    rankings: tuple[Ranking, ...]
    timeline: tuple[Happening, ...]
    rows: int = 0
    first: int = 0
    chosen: int | None = None
    replicas: int = 0
    ordinary: int = 0
    omitted: int = 0
    watched: str = ""
    loops: tuple[Loop, ...] = ()
    faults: tuple[FaultLine, ...] = ()
    charts: Charts | None = None
    page: str = OVERVIEW
    detail: Detail | None = None
    log: tuple[Happening, ...] = ()
    scroll: int = 0
    has_keys: bool = False
    notice: str = ""
    recording: str = ""
    trouble: str = ""
