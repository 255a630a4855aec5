"""One replica of the live view, over all of its connections: its figures, and the phases it went through.

Figures come from the Status of the moment, twice a second. The moments at which phases begin come from events, and from
the status where no event marks them (the end of loading).
"""

from __future__ import annotations

import math
from collections import deque

from tap.bus import Told
from tap.console.charts import Course
from tap.console.figures import seconds, size
from tap.console.picture import Attempt, Charts, Happening, Line
from tap.console.sentences import sentence
from tap.printable import one_line
from tap.replication import events
from tap.replication.events import Role, Side
from tap.replication.inspected import Inspected
from tap.replication.phase import Phase
from tap.status import ConnectionStatus

SAMPLE_SECONDS = 1.0
HISTORY = 360  # samples: six minutes
SPARK_SECONDS = 5  # of each bar in a row
RDB_SAMPLES = 6  # the rate of an RDB is an average over this many samples, because faults and disks release it in bursts
MAX_ATTEMPTS = 10  # kept of each replica
MAX_REQUESTS = 30  # of a handshake
MAX_HAPPENED = 50
MAX_WORDS = 200  # characters of a request with its reply

_BEGINS: dict[type[events.Event], str] = {
    events.LinkOpened: "connect",
    events.Handshake: "handshake",
    events.PsyncRequested: "psync",
    events.SyncRequested: "waiting",
    events.FullResync: "waiting",
    events.RdbStarted: "rdb",
    events.RdbFinished: "loading",
    events.PartialResync: "stream",
    events.Opaque: "opaque",
}


class Followed:
    """One replica. line: its row. passes_by: a client that is not a replica; its row goes when it does."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.connection = 0
        self.passes_by = False
        self.gone_since: float | None = None
        self.last_phase = ""  # in which it had a connection
        self.attempts: deque[Attempt] = deque(maxlen=MAX_ATTEMPTS)
        self.happened: deque[Happening] = deque(maxlen=MAX_HAPPENED)
        self._total = 0
        self._stream_total = 0
        self._seen = 0  # of the current connection
        self._stream_seen = 0
        self._sampled: tuple[float, int, int] | None = None
        self._was_blocked = False
        self._changed = 0.0  # when the phase did
        self._rdb: deque[tuple[float, int]] = deque(maxlen=RDB_SAMPLES)
        self._rdb_began: tuple[float, int] | None = None  # when it was first seen, and the number of its keys then
        self._rates = Course(HISTORY)
        self._stream_rates = Course(HISTORY)
        self._lags = Course(HISTORY)

    def join(self, attempt: Attempt) -> None:
        """Take a connection that has turned out to be this replica's."""
        if not any(one is attempt for one in self.attempts):
            self.attempts.append(attempt)

    def take(
        self,
        status: ConnectionStatus,
        channel: ConnectionStatus | None,
        now: float,
        inspected: Inspected | None = None,
    ) -> None:
        """Take the figures of the current connection. channel: the connection that carries its RDB, if that is another.

        now: seconds since the epoch. inspected: what the master has said of itself.
        """
        line, is_new = self.line, status.number != self.connection
        if is_new:
            self.connection = status.number
            self._seen = self._stream_seen = 0
        self.gone_since = None
        self.passes_by = status.role is not Role.REPLICA
        phase = status.phase.value
        if is_new or line.phase != phase:
            self._changed = now
            self._rdb.clear()
            self._rdb_began = None
        line.phase = self.last_phase = phase
        line.since = max(0.0, now - self._changed)
        if self.attempts and self.attempts[-1].connection == status.number:
            self.attempts[-1].step(phase, now)
        line.master = "" if status.master is None else str(status.master)
        line.replid, line.offset, line.acked = status.replid, status.offset, status.acked
        if status.stream_bytes is not None:
            line.db = status.db
        self._take_lag(status)
        self._take_silence(status, channel)
        line.is_held = status.is_held or (channel is not None and channel.is_held)
        blocked = status.is_blocked or (channel is not None and channel.is_blocked)
        line.is_blocked, self._was_blocked = blocked and self._was_blocked, blocked  # twice: a full socket is normal
        line.is_inspected = inspected is not None
        line.is_saving = inspected is not None and bool(inspected.is_saving)
        line.buffer_bytes = status.buffer_bytes
        if channel is not None and channel.buffer_bytes is not None:
            line.buffer_bytes = channel.buffer_bytes + (status.buffer_bytes or 0)
        self._take_rdb(status, now)
        received = status.bytes_from_master + (status.rdb_channel_bytes or 0)
        streamed = status.stream_bytes or 0
        self._total += max(0, received - self._seen)
        self._stream_total += max(0, streamed - self._stream_seen)
        self._seen, self._stream_seen = received, streamed
        line.passed = self._total

    def _take_lag(self, status: ConnectionStatus) -> None:
        line = self.line
        line.lag_bytes, line.lag_seconds = status.lag_bytes, status.lag_seconds
        line.lag_at_least, line.lag_known_from = status.lag_at_least, status.lag_known_from

    def _take_silence(self, status: ConnectionStatus, channel: ConnectionStatus | None) -> None:
        line = self.line
        of = channel if channel is not None and channel.silent is not None and status.silent is None else status
        line.silent_side = "" if of.silent is None else of.silent.value
        silence = of.master_silence if of.silent is Side.MASTER else of.replica_silence
        line.silence, line.timeout_in = silence or 0.0, of.timeout_in
        line.master_silence, line.replica_silence = status.master_silence, status.replica_silence

    def _take_rdb(self, status: ConnectionStatus, now: float) -> None:
        line, rdb = self.line, status.rdb
        is_beside = status.rdb_channel_bytes is not None and status.phase is not Phase.STREAM
        line.beside = status.stream_bytes if is_beside else None
        if rdb is None:
            return
        line.rdb_received, line.rdb_size = rdb.received, rdb.size
        line.rdb_keys, line.rdb_announced = rdb.keys, rdb.announced
        line.rdb_left = None
        if status.phase is not Phase.RDB:
            return
        if self._rdb_began is None:
            self._rdb_began = now, rdb.keys
        if not self._rdb or now - self._rdb[-1][0] >= SAMPLE_SECONDS * 0.9:
            self._rdb.append((now, rdb.received))
        at, received = self._rdb[0]
        line.rdb_rate = (rdb.received - received) / (now - at) if now > at else 0.0
        if rdb.size is not None and line.rdb_rate > 0:
            line.rdb_left = max(0, rdb.size - rdb.received) / line.rdb_rate
        elif self._rdb_began[1] < rdb.keys <= rdb.announced:
            began, keys = self._rdb_began
            line.rdb_left = (now - began) * (rdb.announced - rdb.keys) / (rdb.keys - keys)

    def leave(self, now: float) -> None:
        """The replica has no connection."""
        line = self.line
        if self.gone_since is None:
            self.gone_since = now
            line.phase = "gone"
            line.lag_bytes = line.lag_seconds = line.master_silence = line.replica_silence = line.buffer_bytes = None
            line.silent_side = ""
            line.is_held = line.is_blocked = False
        last = self.attempts[-1] if self.attempts else None
        if last is not None:
            line.ended = last.resync if last.resync.startswith("refused") else last.how
        line.since = max(0.0, now - self.gone_since)

    def sample(self, now: float) -> None:
        """Take a sample of the rates and the lag; called once a second."""
        if self._sampled is not None:
            at, total, stream_total = self._sampled
            elapsed = max(now - at, 0.001)
            self.line.rate = (self._total - total) / elapsed
            self._rates.add(self.line.rate)
            self._stream_rates.add((self._stream_total - stream_total) / elapsed)
            self._lags.add(math.nan if self.line.lag_bytes is None else self.line.lag_bytes)
        self._sampled = now, self._total, self._stream_total

    def row(self) -> Line:
        """The row as it is now."""
        return self.line.with_stream(self._stream_rates.every(SPARK_SECONDS))

    def charts(self, columns: int) -> Charts:
        """The course of its figures, in at most *columns* values each."""
        of_rdb = self.line.phase in ("waiting", "rdb", "loading")
        rates = self._rates if of_rdb else self._stream_rates
        return Charts(
            rates.last(columns),
            self._lags.last(columns, peaks=True),
            len(rates) * SAMPLE_SECONDS,
            of_rdb,
        )


def record(attempt: Attempt, told: Told) -> None:
    """Take an event of a connection into the account of it."""
    event = told.event
    phase = _BEGINS.get(type(event))
    if phase is not None and not (phase == "handshake" and len(attempt.steps) > 1):
        attempt.step(phase, told.time)
    if isinstance(event, events.LinkOpened):
        attempt.peer = event.peer
    elif isinstance(event, events.Handshake) and len(attempt.handshake) < MAX_REQUESTS:
        said = _request(event)
        if attempt.handshake and said.startswith(f"{attempt.handshake[-1]} "):  # PSYNC, and now its answer
            attempt.handshake.pop()
        attempt.handshake.append(said)
    elif isinstance(event, events.PsyncRequested):
        wanted = "? -1" if event.replid is None else f"{event.replid} {event.offset}"
        attempt.handshake.append(f"PSYNC {wanted}")
    elif isinstance(event, events.FullResync):
        attempt.resync = f"full, {event.reason.code}"
    elif isinstance(event, events.PartialResync):
        attempt.resync = "partial"
    elif isinstance(event, events.RdbFinished):
        attempt.rdb = f"{size(event.bytes)} in {seconds(event.seconds)}"
    elif isinstance(event, events.ResyncRefused):
        attempt.resync = _short(f"refused: {event.reply}")
    elif isinstance(event, events.LinkClosed):
        attempt.ended, attempt.how = told.time, _short(sentence(event) or "closed")


def _request(event: events.Handshake) -> str:
    request = " ".join(event.request if event.sent is None else event.sent) or "(no request)"
    return _short(request if event.reply is None else f"{request}  {event.reply}")


def _short(words: str) -> str:
    words = one_line(words)
    return words if len(words) <= MAX_WORDS else f"{words[:MAX_WORDS]}..."
