"""`--ui live`: the whole terminal, redrawn twice a second.

The event loop only copies figures into a Frame, which is immutable from then on. A separate thread draws the newest
frame, and a terminal that blocks holds up nothing but that thread.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from rich.live import Live

from tap.bus import Told
from tap.console.figures import seconds, size
from tap.console.screen import Frame, Happening, Line, Ranking, draw
from tap.console.sentences import is_alarming, sentence
from tap.console.terminal import Terminal
from tap.printable import one_line
from tap.replication import events
from tap.replication.events import Role, Side
from tap.replication.phase import Phase
from tap.status import ConnectionStatus
from tap.tap import Tap

log = logging.getLogger(__name__)

FRAME_SECONDS = 0.5
SAMPLE_SECONDS = 1.0
HISTORY = 360  # samples: six minutes
GONE_SECONDS = 60.0  # for which a replica that left stays in sight
MAX_REPLICAS = 500  # a client may announce thousands of names
MAX_TIMELINE = 200
MAX_WORDS = 500  # characters of a line in the timeline; an error that a master answers may have 64 KB
MAX_RANKED = 10
MAX_NAMES = 1000  # of commands; real traffic has fewer
OTHER = "(other)"

# What the timeline shows: resyncs with their reasons, and what goes wrong.
TIMELINE = (
    events.FullResync,
    events.PartialResync,
    events.CaughtUp,
    events.ResyncRefused,
    events.RdbFinished,
    events.RdbProblem,
    events.Handshake,
    events.Silent,
    events.SilentOver,
    events.Alert,
    events.AlertOver,
    events.InspectFailed,
    events.InspectBack,
    events.InspectLacks,
    events.Pressure,
    events.PressureOver,
    events.Opaque,
    events.AckAheadOfMaster,
    events.ReplicaTalkedBack,
    events.MasterUnreachable,
    events.ConnectionsRefused,
    events.LinkClosed,
    events.FaultArmed,
    events.FaultFired,
    events.FaultExpired,
    events.RecordingStopped,
    events.RecordingGap,
    events.ObserverTrouble,
    events.Verdict,
    events.VerdictOver,
)
SHOWN = (Role.REPLICA, Role.SYNC_CLIENT, Role.RDB_CLIENT)

_Key = tuple[str, str, int | None]


def _key(link: str, replica: str, connection: int) -> _Key:
    """The key of a line: a replica over all of its connections, or one connection of a client that announces no port."""
    announced = replica.startswith("[") or replica.count(":") == 1
    return link, replica, None if announced else connection


@dataclass(slots=True)
class _Replica:
    """One replica over all of its connections."""

    line: Line
    connection: int = 0
    passes_by: bool = False  # a client that is not a replica: its line goes when it does
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    gone_since: float | None = None
    waiting_since: float | None = None
    total: int = 0
    stream_total: int = 0
    seen: int = 0  # of the current connection
    stream_seen: int = 0
    sampled: tuple[float, int, int] | None = None

    def take(self, status: ConnectionStatus, now: float) -> None:
        """Take the figures of its current connection."""
        line = self.line
        if status.number != self.connection:
            self.connection = status.number
            self.seen = self.stream_seen = 0
            self.waiting_since = None
        self.gone_since = None
        self.passes_by = status.role is not Role.REPLICA
        if status.phase is not Phase.WAITING:
            self.waiting_since = None
        elif self.waiting_since is None:
            self.waiting_since = now
        line.waited = 0.0 if self.waiting_since is None else now - self.waiting_since
        line.phase = status.phase.value
        line.replid = status.replid
        line.offset = status.offset
        if status.stream_bytes is not None:
            line.db = status.db
        line.lag_bytes, line.lag_seconds, line.lag_at_least = status.lag_bytes, status.lag_seconds, status.lag_at_least
        line.silent_side = "" if status.silent is None else status.silent.value
        silence = status.master_silence if status.silent is Side.MASTER else status.replica_silence
        line.silence, line.timeout_in, line.is_held = silence or 0.0, status.timeout_in, status.is_held
        rdb = status.rdb
        if rdb is not None:
            line.rdb_received, line.rdb_size = rdb.received, rdb.size
            line.rdb_keys, line.rdb_announced = rdb.keys, rdb.announced
        line.beside = None if status.rdb_channel_bytes is None else status.stream_bytes
        received = status.bytes_from_master + (status.rdb_channel_bytes or 0)
        streamed = status.stream_bytes or 0
        self.total += max(0, received - self.seen)
        self.stream_total += max(0, streamed - self.stream_seen)
        self.seen, self.stream_seen = received, streamed
        line.passed = self.total

    def sample(self, now: float) -> None:
        """Take a sample of the rates; called once a second."""
        if self.sampled is not None:
            at, total, stream_total = self.sampled
            elapsed = max(now - at, 0.001)
            self.line.rate = (self.total - total) / elapsed
            self.rates.append((self.stream_total - stream_total) / elapsed)
        self.sampled = now, self.total, self.stream_total


class LiveView:
    """An observer of the bus that draws. Frames may be late, but the tap never waits for them."""

    def __init__(self, tap: Tap, console: Terminal | None = None) -> None:
        self._tap = tap
        self._console = console or Terminal()
        self._replicas: dict[_Key, _Replica] = {}
        self._by_count: Counter[str] = Counter()
        self._by_bytes: Counter[str] = Counter()
        self._timeline: deque[Happening] = deque(maxlen=MAX_TIMELINE)
        self._troubles: deque[str] = deque(maxlen=3)  # of observers
        self._started = time.time()
        self._sampled = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._frame: Frame | None = None
        self._new_frame = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._draw, name="live view", daemon=True)

    def __call__(self, told: Told) -> None:
        """Take an event, as an observer of the bus."""
        event = told.event
        key = _key(told.link, told.replica, told.connection)
        if isinstance(event, events.Commands):
            for name, share in event.by_name.items():
                if name not in self._by_count and len(self._by_count) >= MAX_NAMES:
                    name = OTHER
                self._by_count[name] += share.count
                self._by_bytes[name] += share.bytes
            return
        if isinstance(event, events.FullResync):
            self._replica(key).line.full_resyncs += 1
        if isinstance(event, events.PartialResync):
            self._replica(key).line.partial_resyncs += 1
        if isinstance(event, events.LinkClosed) and event.role is Role.REPLICA and event.offset is not None:
            self._replica(key).line.offset = event.offset
        said = sentence(event)
        if said is None or not isinstance(event, TIMELINE):
            return
        if isinstance(event, events.LinkClosed) and event.role is Role.RDB_CHANNEL and event.phase == "done":
            return  # the ordinary end of a sync's second connection
        if isinstance(event, events.ObserverTrouble):
            self._troubles.append(said)
        if len(said) > MAX_WORDS:
            said = f"{said[:MAX_WORDS]}..."
        self._happened(Happening(told.time, told.replica or told.link, said, is_alarming(event)))

    def complain(self, words: str) -> None:
        """Show a problem of redis-tap itself."""
        self._happened(Happening(time.time(), "redis-tap", words, True))

    def _happened(self, new: Happening) -> None:
        last = self._timeline[-1] if self._timeline else None
        if last is not None and (last.replica, last.words) == (new.replica, new.words):
            self._timeline[-1] = dataclasses.replace(new, times=last.times + 1)
        else:
            self._timeline.append(new)

    def start(self) -> None:
        self._thread.start()
        self._tick()

    def stop(self) -> None:
        """Leave the terminal as it was; wait only briefly if it is stopped."""
        if self._timer is not None:
            self._timer.cancel()
        self._stopping = True
        self._new_frame.set()
        self._thread.join(1.0)

    def summary(self) -> str:
        """The lines to leave on the terminal after the picture."""
        said = [f"redis-tap: up {seconds(time.time() - self._started)}"]
        for replica in self._replicas.values():
            line = replica.line
            resyncs = f"{line.full_resyncs} full and {line.partial_resyncs} partial resyncs"
            said.append(f"  {line.replica}: {resyncs}, {size(line.passed)} passed, {line.phase}")
        said += [f"  {one.words}" for one in self._timeline if one.words.startswith("FULL RESYNC")][-3:]
        said += [f"  {one}" for one in self._troubles]
        return "\n".join(map(one_line, said))

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(FRAME_SECONDS, self._tick)
        self._frame = self.frame(time.time())
        self._new_frame.set()

    def frame(self, now: float) -> Frame:
        """Take the current figures of all connections."""
        status = self._tap.status()
        connections = status.connections
        present: set[_Key] = set()
        for one in connections:
            if one.role in SHOWN and len(present) < MAX_REPLICAS:
                key = _key(one.link, one.replica, one.number)
                present.add(key)
                self._replica(key).take(one, now)
        for key, replica in tuple(self._replicas.items()):
            if key in present:
                continue
            if replica.gone_since is None:
                replica.gone_since = now
                replica.line.phase = "gone"
                replica.line.lag_bytes = replica.line.lag_seconds = None
                replica.line.silent_side = ""
            _, _, connection = key
            if replica.passes_by or connection is not None or now - replica.gone_since > GONE_SECONDS:
                del self._replicas[key]
        if now - self._sampled >= SAMPLE_SECONDS * 0.9:
            self._sampled = now
            for replica in self._replicas.values():
                replica.sample(now)
        recorder = self._tap.recorder
        return Frame(
            routes=[(str(one.address), str(one.master or "")) for one in status.links],
            up=now - self._started,
            ordinary=sum(one.phase is Phase.ORDINARY for one in connections),
            lines=[replica.line.copy(tuple(replica.rates)) for replica in self._replicas.values()],
            by_count=_ranking(self._by_count),
            by_bytes=_ranking(self._by_bytes),
            timeline=tuple(self._timeline),
            faults=tuple(armed.name for armed in self._tap.faults.armed),
            recording="" if recorder is None else recorder.path.name,
            trouble="" if recorder is None else recorder.trouble_so_far,
        )

    def _replica(self, key: _Key) -> _Replica:
        """The replica of this key. If there are too many, it takes the place of one that has gone, or is not shown."""
        found = self._replicas.get(key)
        if found is not None:
            return found
        link, name, _ = key
        new = _Replica(Line(replica=name, link=link))
        if len(self._replicas) >= MAX_REPLICAS:
            gone = next((other for other, one in self._replicas.items() if one.gone_since is not None), None)
            if gone is None:
                return new
            del self._replicas[gone]
        self._replicas[key] = new
        return new

    def _draw(self) -> None:
        """Draw the frames; runs in the thread. If the terminal has gone, only the thread ends."""
        try:
            # Redirect stderr if it is the same terminal, where it would tear the picture; leave it alone in a file.
            with Live(
                console=self._console,
                screen=True,
                auto_refresh=False,
                redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),
            ) as live:
                while not self._stopping:
                    self._new_frame.wait()
                    self._new_frame.clear()
                    if self._frame is not None:
                        width, height = self._console.size
                        live.update(draw(self._frame, width, height), refresh=True)
        except OSError:
            return
        except Exception:  # by now the terminal is as it was before
            log.exception("the live view failed and has ended; the links go on. Please report this")


def _ranking(counts: Counter[str]) -> Ranking:
    return Ranking(sum(counts.values()), counts.most_common(MAX_RANKED))
