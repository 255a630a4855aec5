"""`--ui live`: the whole terminal, redrawn twice a second and after keys.

The event loop only copies figures into a Frame, which is immutable from then on. A separate thread draws the newest
frame, and a terminal that blocks holds up nothing but that thread.

What a frame costs does not grow with what the tap has: a limited number of connections is described, of the rows only
those that the terminal has room for are copied, and events are kept in limited numbers. After a frame that took long the
next one comes later, so that frames take at most a twentieth of the loop's time. That holds for those that keys and new
sizes of the terminal ask for, too: a pasted file is thousands of keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from rich.live import Live

from tap.bus import Told
from tap.console.figures import seconds, size
from tap.console.followed import SAMPLE_SECONDS, Followed, record
from tap.console.key_ranking import KeyRanking
from tap.console.keyboard import Keyboard
from tap.console.parts import chart_dots
from tap.console.picture import EVENTS, FAULTS, LINK, Attempt, Detail, FaultLine, Frame, Happening, Line, Loop, Ranking
from tap.console.screen import draw
from tap.console.sentences import is_alarming, remedy, sentence
from tap.console.terminal import Terminal
from tap.console.walk import Walk
from tap.faults import Plan
from tap.printable import one_line
from tap.recorder.recorder import Recorder
from tap.relay.transparent import rule
from tap.replication import events
from tap.replication.events import Role
from tap.replication.phase import Phase
from tap.status import ConnectionStatus, LinkStatus, Status

log = logging.getLogger(__name__)

FRAME_SECONDS = 0.5
SHARE = 20  # of the loop's time: frames may take 1/SHARE
MAX_KEYS = 32  # that came at once; more of them are no keys, but something pasted
GONE_SECONDS = 60.0  # for which a replica that left stays in sight
MAX_REPLICAS = 500  # a client may announce thousands of names
MAX_DESCRIBED = 600  # connections: those of the replicas, and the second ones of their syncs
MAX_CONNECTIONS = 2000  # whose beginnings are kept until it is known what they are
MAX_TIMELINE = 200
MAX_LOG = 500
MAX_WORDS = 500  # characters of an event; an error that a master answers may have 64 KB
MAX_LOOPS = 100
MAX_FAULTS = 200
MAX_RANKED = 10
MAX_NAMES = 1000  # of commands; real traffic has fewer
MAX_SUMMED = 20  # replicas in the summary
OTHER = "(other)"

# What the timeline shows: resyncs with their reasons, and what goes wrong. The page of events shows all others, too.
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
    events.HandOverTrouble,
    events.HandOverResumed,
    events.RecordingMarked,
    events.RecordingGap,
    events.PacketsLost,
    events.ObserverTrouble,
    events.Verdict,
    events.VerdictOver,
)
SHOWN = (Role.REPLICA, Role.SYNC_CLIENT, Role.RDB_CLIENT)

_Key = tuple[str, str, int | None]


def _key(link: str, replica: str, connection: int) -> _Key:
    """The key of a row: a replica over all of its connections, or one connection of a client that announces no port."""
    announced = replica.startswith("[") or replica.count(":") == 1
    return link, replica, None if announced else connection


class Viewed(Protocol):
    """What is shown: a tap, or an onlooker."""

    @property
    def recorder(self) -> Recorder | None: ...

    def status(self, most: int | None = None) -> Status: ...


class LiveView:
    """An observer of the bus that draws. Frames may be late, but the tap never waits for them."""

    def __init__(
        self,
        tap: Viewed,
        console: Terminal | None = None,
        end: Callable[[], None] | None = None,
        *,
        plan: Plan | None = None,
        watched: str = "",
        keys: KeyRanking | None = None,
    ) -> None:
        """end: called when the viewer presses q; None: keys are not read. plan: of faults. watched: see Frame.
        keys: ranked, too.
        """
        self._tap = tap
        self._plan = plan
        self._watched = watched
        self._keys = keys
        self._console = console or Terminal()
        self._replicas: dict[_Key, Followed] = {}
        self._attempts: dict[int, Attempt] = {}  # by connection
        self._by_count: Counter[str] = Counter()
        self._by_bytes: Counter[str] = Counter()
        self._timeline: deque[Happening] = deque(maxlen=MAX_TIMELINE)
        self._log: deque[Happening] = deque(maxlen=MAX_LOG)
        self._loops: dict[tuple[str, str], Loop] = {}
        self._alerts: Counter[tuple[str, str]] = Counter()  # in force, by link and replica
        self._past_faults: dict[str, FaultLine] = {}
        self._unreachable: dict[str, str] = {}  # by link
        self._troubles: deque[str] = deque(maxlen=3)  # of observers
        self._status = Status(time.time(), ())
        self._ordinary = 0  # connections of other clients
        self._omitted = 0  # connections that no status describes, because there are too many
        self._started = time.time()
        self._sampled = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._redrawing: asyncio.TimerHandle | None = None
        self._free = 0.0  # time.perf_counter() from which on a frame may take the loop's time again
        self._ranked: Ranking | None = None  # groups of keys, as of the last tick
        self._frame: Frame | None = None
        self._new_frame = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._draw, name="live view", daemon=True)
        self._walk = Walk(end or (lambda: None))
        self._keyboard = None if end is None else Keyboard(self._pressed)

    # ---- events ----

    def __call__(self, told: Told) -> None:
        """Take an event, as an observer of the bus."""
        event = told.event
        if isinstance(event, events.Commands):
            for name, share in event.by_name.items():
                if name not in self._by_count and len(self._by_count) >= MAX_NAMES:
                    name = OTHER
                self._by_count[name] += share.count
                self._by_bytes[name] += share.bytes
            return
        self._account(told)
        self._judge(told)
        said = sentence(event)
        if said is None:
            return
        if isinstance(event, events.ObserverTrouble):
            self._troubles.append(said)
        if len(said) > MAX_WORDS:
            said = f"{said[:MAX_WORDS]}..."
        new = Happening(told.time, event.kind, told.link, told.replica, said, is_alarming(event))
        is_end_of_channel = (
            isinstance(event, events.LinkClosed) and event.role is Role.RDB_CHANNEL and event.phase == "done"
        )
        self._happened(new, is_major=isinstance(event, TIMELINE) and not is_end_of_channel)

    def complain(self, words: str) -> None:
        """Show a problem of redis-tap itself."""
        self._happened(Happening(time.time(), "", "", "redis-tap", words, True), is_major=True)

    def _account(self, told: Told) -> None:
        """Take an event into the account of its connection, and of its replica."""
        event, number = told.event, told.connection
        key = _key(told.link, told.replica, number)
        if isinstance(event, events.LinkOpened):
            self._attempts[number] = Attempt(number, event.peer)
            if len(self._attempts) > MAX_CONNECTIONS:
                del self._attempts[next(iter(self._attempts))]
        attempt = self._attempts.get(number)
        if isinstance(event, events.FullResync | events.PartialResync):
            replica = self._replica(key)
            if isinstance(event, events.FullResync):
                replica.line.full_resyncs += 1
            else:
                replica.line.partial_resyncs += 1
            if attempt is not None:
                replica.join(attempt)
        if isinstance(event, events.RdbStarted | events.RdbFinished) and event.channel is events.Channel.RDB:
            followed = self._replicas.get(key)  # the RDB is that of its main connection
            attempt = followed.attempts[-1] if followed is not None and followed.attempts else None
        if attempt is not None:
            record(attempt, told)
        if isinstance(event, events.LinkClosed):
            self._attempts.pop(number, None)
            if event.role is Role.REPLICA:
                followed = self._replica(key)
                if attempt is not None:
                    followed.join(attempt)
                if event.offset is not None:
                    followed.line.offset = event.offset

    def _judge(self, told: Told) -> None:
        """Take an event that says how a link, a replica or a fault stands."""
        event, place = told.event, (told.link, told.replica)
        if isinstance(event, events.MasterUnreachable):
            self._unreachable[told.link] = f"the master {event.master} cannot be reached: {event.text}"
        elif isinstance(event, events.ListeningOver):
            self._unreachable.pop(told.link, None)
        elif isinstance(event, events.Verdict):
            self._loops.pop(place, None)
            if len(self._loops) < MAX_LOOPS:
                words = sentence(event) or ""
                self._loops[place] = Loop(*place, event.cause, event.count, event.period, remedy(event), words)
        elif isinstance(event, events.VerdictOver):
            self._loops.pop(place, None)
        elif isinstance(event, events.Alert):
            if place in self._alerts or len(self._alerts) < MAX_REPLICAS:
                self._alerts[place] += 1
        elif isinstance(event, events.AlertOver) and place in self._alerts:
            self._alerts[place] -= 1
            if self._alerts[place] <= 0:
                del self._alerts[place]
        elif isinstance(event, events.FaultExpired):
            self._past_faults.pop(event.fault, None)
            self._past_faults[event.fault] = FaultLine(event.fault, event.spec, "over", event.fired, event.bytes)
            if len(self._past_faults) > MAX_FAULTS:
                del self._past_faults[next(iter(self._past_faults))]

    def _happened(self, new: Happening, *, is_major: bool) -> None:
        _append(self._log, new)
        if is_major:
            _append(self._timeline, new)
        followed = self._replicas.get((new.link, new.replica, None))
        if followed is not None:
            _append(followed.happened, new)

    # ---- start and end ----

    def start(self) -> None:
        self._thread.start()
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):  # not in the main thread
            asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, self._refresh)
        self._tick()

    def stop(self) -> None:
        """Leave the terminal as it was; wait only briefly if it is stopped."""
        if self._timer is not None:
            self._timer.cancel()
        if self._redrawing is not None:
            self._redrawing.cancel()
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGWINCH)
        self._stopping = True
        if self._keys is not None:
            self._keys.stop()
        self._new_frame.set()
        self._thread.join(1.0)
        if self._keyboard is not None:
            self._keyboard.close()

    def summary(self) -> str:
        """The lines to leave on the terminal after the picture."""
        said = [f"redis-tap: up {seconds(time.time() - self._started)}"]
        by_link: dict[str, list[Followed]] = {one.name: [] for one in self._status.links if one.master is not None}
        for (link, _, _), followed in self._replicas.items():
            by_link.setdefault(link, []).append(followed)
        routes = {one.name: f", {one.address} to {one.master}" for one in self._status.links if one.master is not None}
        for link, replicas in by_link.items():
            said.append(f"  link {link}{routes.get(link, '')}{'' if replicas else ': no replica'}")
            for one in sorted(replicas, key=lambda one: one.line.replica)[:MAX_SUMMED]:
                line, partial = one.line, "resync" if one.line.partial_resyncs == 1 else "resyncs"
                resyncs = f"{line.full_resyncs} full and {line.partial_resyncs} partial {partial}"
                last = f", last in phase {one.last_phase}" if one.last_phase else ""
                said.append(f"    replica {line.replica}: {resyncs}, {size(line.passed)} passed{last}")
            if len(replicas) > MAX_SUMMED:
                said.append(f"    and {len(replicas) - MAX_SUMMED} more replicas")
        said += [f"  {one.replica}: {one.words}" for one in self._timeline if one.kind == events.FullResync.kind][-3:]
        said += [f"  {one}" for one in self._troubles]
        return "\n".join(map(one_line, said))

    # ---- frames ----

    def _tick(self) -> None:
        began = time.perf_counter()
        if self._keyboard is not None:
            if self._thread.is_alive():
                self._keyboard.keep()
            else:
                self._keyboard.close()
        self._frame = self.frame(time.time())
        self._new_frame.set()
        pause = max(FRAME_SECONDS, self._rest(began))
        self._timer = asyncio.get_running_loop().call_later(pause, self._tick)

    def _rest(self, began: float) -> float:
        """Seconds before the next frame, after one that began then."""
        ended = time.perf_counter()
        rest = SHARE * (ended - began)
        self._free = ended + rest
        return rest

    def _pressed(self, keys: list[str]) -> None:
        if len(keys) > MAX_KEYS:
            return
        rows = [key for key, _ in self._rows()]
        with_link = sum(followed.gone_since is None for followed in self._replicas.values()) + self._omitted
        if self._watched:  # nothing is in between
            with_link = 0
        for key in keys:
            self._walk.press(key, rows, with_link)
        self._refresh()

    def _refresh(self) -> None:
        """Draw anew what is known, as soon as a frame may take the loop's time again."""
        if self._redrawing is None:
            pause = max(0.0, self._free - time.perf_counter())
            self._redrawing = asyncio.get_running_loop().call_later(pause, self._redraw)

    def _redraw(self) -> None:
        self._redrawing = None
        began = time.perf_counter()
        self._frame = self._picture(time.time())
        self._new_frame.set()
        self._rest(began)

    def frame(self, now: float) -> Frame:
        """Take the current figures of all connections. now: seconds since the epoch."""
        self._status = status = self._tap.status(MAX_DESCRIBED)
        self._ordinary = sum(link.ordinary for link in status.links)
        self._omitted = sum(link.omitted for link in status.links)
        shown: list[tuple[ConnectionStatus, LinkStatus]] = []
        channels: dict[tuple[str, str], ConnectionStatus] = {}
        for link in status.links:
            for one in link.connections:
                if self._unreachable and one.bytes_from_master:
                    self._unreachable.pop(one.link, None)
                if one.phase is Phase.ORDINARY:  # there may be thousands
                    self._ordinary += 1
                elif one.role is Role.RDB_CHANNEL:
                    channels[one.link, one.replica] = one
                elif one.role in SHOWN and len(shown) < MAX_REPLICAS:
                    shown.append((one, link))
        present: set[_Key] = set()
        for one, link in shown:
            key = _key(one.link, one.replica, one.number)
            present.add(key)
            followed = self._replica(key)
            attempt = self._attempts.get(one.number)
            if attempt is not None:
                followed.join(attempt)
            followed.take(one, channels.get((one.link, one.replica)), now, link.inspected)
        for key, followed in tuple(self._replicas.items()):
            if key in present:
                continue
            followed.leave(now)
            _, _, connection = key
            if followed.passes_by or connection is not None or now - (followed.gone_since or now) > GONE_SECONDS:
                del self._replicas[key]
        if now - self._sampled >= SAMPLE_SECONDS * 0.9:
            self._sampled = now
            for followed in self._replicas.values():
                followed.sample(now)
        if self._keys is not None:
            self._ranked = self._keys.ranking()
        return self._picture(now)

    def _rows(self) -> list[tuple[_Key, Followed | LinkStatus]]:
        """What has a row: replicas by link, and links without any. If not all fit, those in trouble come first."""
        order = {one.name: number for number, one in enumerate(self._status.links)}
        rows: list[tuple[_Key, Followed | LinkStatus]] = [*self._replicas.items()]
        taken = {link for link, _, _ in self._replicas}
        if self._replicas:  # the link of a row is the master's address where the configured one is transparent
            taken |= {one.name for one in self._status.links if one.master is None}
        if not self._watched:
            rows += [((one.name, "", None), one) for one in self._status.links if one.name not in taken]

        def place(row: tuple[_Key, Followed | LinkStatus]) -> tuple[int, int, str, str, int]:
            (link, replica, connection), _ = row
            return order.get(link, len(order)), self._severity(row) == 3, link, replica, connection or 0

        if len(rows) > self._console.height // 2:
            return sorted(rows, key=lambda row: (self._severity(row), place(row)))
        return sorted(rows, key=place)

    def _severity(self, row: tuple[_Key, Followed | LinkStatus]) -> int:
        (link, replica, _), of = row
        if (link, replica) in self._loops or (link, replica) in self._alerts:
            return 0
        return of.line.severity if isinstance(of, Followed) else 0 if link in self._unreachable else 3

    def _line(self, key: _Key, of: Followed | LinkStatus) -> Line:
        link, name, _ = key
        if isinstance(of, LinkStatus):
            line = Line("", link, "no replica", master=str(of.master or ""), trouble=self._unreachable.get(link, ""))
            line.hint = _hint(of)
            return line
        line = of.row()
        line.is_watched = bool(self._watched)
        loop = self._loops.get((link, name))
        line.loop, line.alerts = "" if loop is None else loop.cause, self._alerts[link, name]
        return line

    def _picture(self, now: float) -> Frame:
        """The frame of what is known, for the place where the viewer stands."""
        width, height = self._console.size
        walk, rows = self._walk, self._rows()
        if walk.page == LINK and walk.key not in {key for key, _ in rows}:
            walk.press("esc", (), 0)
        at = walk.at([key for key, _ in rows])
        first = max(0, min(at - height // 2, len(rows) - height))
        lines = tuple(self._line(key, of) for key, of in rows[first : first + height])
        chosen, detail, charts = at - first if self._keyboard is not None and rows else None, None, None
        if rows:
            _, of = rows[at]
            if isinstance(of, Followed):
                charts = of.charts(chart_dots(width))
            if walk.page == LINK:
                detail = Detail(lines[at - first])
                if isinstance(of, Followed):
                    attempts = tuple(one.copy() for one in of.attempts)
                    detail = Detail(lines[at - first], attempts, tuple(of.happened))
        links, recorder = self._status.links, self._tap.recorder
        return Frame(
            routes=tuple((str(one.address), str(one.master or "")) for one in links if not self._watched),
            now=now,
            up=now - self._started,
            lines=lines,
            rankings=(
                *(() if self._ranked is None else (self._ranked,)),
                _ranking("commands by count", self._by_count),
                _ranking("commands by bytes", self._by_bytes, of_bytes=True),
            ),
            timeline=tuple(self._timeline)[-height:],
            rows=len(rows),
            first=first,
            chosen=chosen,
            replicas=sum(one.gone_since is None for one in self._replicas.values()),
            ordinary=self._ordinary,
            omitted=self._omitted,
            watched=self._watched,
            loops=tuple(self._loops.values()),
            faults=self._faults(),
            charts=charts,
            page=walk.page,
            detail=detail,
            log=tuple(self._log) if walk.page in (EVENTS, FAULTS) else (),
            scroll=walk.scroll,
            has_keys=self._keyboard is not None and self._keyboard.is_read,
            notice=walk.notice,
            recording="" if recorder is None else recorder.path.name,
            trouble="" if recorder is None else recorder.trouble_so_far,
        )

    def _faults(self) -> tuple[FaultLine, ...]:
        armed = () if self._plan is None else self._plan.armed[:MAX_FAULTS]
        return (
            *(
                FaultLine(one.name, one.spec, "at work" if one.at_work else "armed", one.fired, one.bytes)
                for one in armed
            ),
            *self._past_faults.values(),
        )

    def _replica(self, key: _Key) -> Followed:
        """The replica of this key. If there are too many, it takes the place of one that has gone, or is not shown."""
        found = self._replicas.get(key)
        if found is not None:
            return found
        link, name, _ = key
        new = Followed(Line(replica=name, link=link))
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
                        live.update(draw(self._frame, width, height, self._reach), refresh=True)
        except OSError:
            return
        except Exception:  # by now the terminal is as it was before
            log.exception("the live view failed and has ended; the links go on. Please report this")

    def _reach(self, last: int) -> None:
        """How far the page may be moved, as the drawing thread found. The next key keeps to it."""
        self._walk.last = last


def _append(happened: deque[Happening], new: Happening) -> None:
    """Append, or count, if the last one says the same."""
    last = happened[-1] if happened else None
    if last is not None and (last.link, last.replica, last.words) == (new.link, new.replica, new.words):
        happened[-1] = dataclasses.replace(new, times=last.times + 1)
    else:
        happened.append(new)


def _hint(link: LinkStatus) -> str:
    """What makes a replica of this link."""
    if link.master is None:
        return f"on this machine, as root: {rule(link.address.port)}"
    return f"on a replica: REPLICAOF {link.address.to_dial} {link.address.port}"


def _ranking(title: str, counts: Counter[str], *, of_bytes: bool = False) -> Ranking:
    return Ranking(title, sum(counts.values()), tuple(counts.most_common(MAX_RANKED)), of_bytes)
