"""`--ui live`: the whole terminal, twice a second.

The event loop only takes figures; a thread of its own draws them, and may stand still with its terminal for as long
as it likes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tap.bus import Told
from tap.console.figures import seconds, size, sparkline
from tap.console.sentences import is_alarming, sentence
from tap.relay.link import Link
from tap.replication import events
from tap.replication.events import Role
from tap.tap import Tap

FRAME_SECONDS = 0.5
HISTORY = 360  # samples of SAMPLE_SECONDS: six minutes
SAMPLE_SECONDS = 1.0
GONE_SECONDS = 60.0  # a replica that left stays in sight for this long
TIMELINE = 200
MAX_ROWS = 500
WIDE = 120  # columns from which all of a replica stands in one line
VERY_WIDE = 160

_PHASE_STYLE = {"stream": "green", "rdb": "cyan", "loading": "cyan", "opaque": "red", "gone": "red"}


@dataclass(slots=True)
class Row:
    """One replica: what its newest connection has come to, and the rates over all of them."""

    replica: str
    link: str
    connection: int = 0
    phase: str = "connect"
    replid: str | None = None
    offset: int | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    db: int | None = None
    total: int = 0
    rdb_received: int = 0
    rdb_size: int | None = None
    rate: float = 0.0
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))  # of the stream: an RDB would dwarf it
    gone_since: float | None = None
    resyncs: Counter[str] = field(default_factory=Counter)
    _stream_total: int = 0
    _seen: int = 0  # of the connection it has now
    _stream_seen: int = 0
    _sampled: tuple[float, int, int] | None = None

    def take(self, link: Link) -> None:
        """The figures of the connection it has now."""
        conversation = link.conversation
        if link.number != self.connection:
            self.connection = link.number
            self._seen = self._stream_seen = 0
        self.gone_since = None
        self.phase = conversation.phase.value
        self.replid = conversation.replid
        self.offset = conversation.offset
        if conversation.stream is not None:
            self.lag_bytes = conversation.stream.lag_bytes
            self.lag_seconds = conversation.stream.lag_seconds
            self.db = conversation.stream.db
        channel = conversation.rdb_channel
        rdb = channel.rdb if channel is not None else conversation.rdb
        if rdb is not None:
            self.rdb_received = rdb.received
            self.rdb_size = rdb.size
        received = conversation.from_master + (channel.from_master if channel is not None else 0)
        streamed = 0 if conversation.stream is None else conversation.stream.received
        self.total += max(0, received - self._seen)
        self._stream_total += max(0, streamed - self._stream_seen)
        self._seen, self._stream_seen = received, streamed

    def sample(self, now: float) -> None:
        """Another second is over."""
        if self._sampled is not None:
            at, total, stream_total = self._sampled
            elapsed = max(now - at, 0.001)
            self.rate = (self.total - total) / elapsed
            self.rates.append((self._stream_total - stream_total) / elapsed)
        self._sampled = now, self.total, self._stream_total


class LiveView:
    """An observer of the bus that draws. Its frames may be late; what it observes never waits."""

    def __init__(self, tap: Tap, console: Console | None = None) -> None:
        self._tap = tap
        self._console = console or Console()
        self._rows: dict[tuple[str, str], Row] = {}
        self._by_count: Counter[str] = Counter()
        self._by_bytes: Counter[str] = Counter()
        self._ordinary = 0
        self._timeline: deque[tuple[Told, str]] = deque(maxlen=TIMELINE)
        self._started = time.time()
        self._sampled = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._frame = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._draw, name="live view", daemon=True)

    def __call__(self, told: Told) -> None:
        """An observer of the bus."""
        event = told.event
        if isinstance(event, events.Commands):
            for name, share in event.by_name.items():
                self._by_count[name] += share.count
                self._by_bytes[name] += share.bytes
            return
        if isinstance(event, events.Identified) and event.role is Role.ORDINARY:
            self._ordinary += 1
        if isinstance(event, events.FullResync | events.PartialResync):
            self._row(told.link, told.replica).resyncs[event.kind] += 1
        said = sentence(event)
        if said is not None and not isinstance(event, events.LinkOpened | events.Command):
            self._timeline.append((told, said))

    def start(self) -> None:
        self._thread.start()
        self._tick()

    def stop(self) -> None:
        """Leave the terminal as it was; wait for a stopped one only shortly."""
        if self._timer is not None:
            self._timer.cancel()
        self._stopping = True
        self._frame.set()
        self._thread.join(1.0)

    # ---- in the event loop ----

    def _tick(self) -> None:
        self.collect(time.time())
        self._frame.set()
        self._timer = asyncio.get_running_loop().call_later(FRAME_SECONDS, self._tick)

    def collect(self, now: float) -> None:
        """Take the figures of all links."""
        present = set()
        for link in self._tap.links[:MAX_ROWS]:
            conversation = getattr(link, "conversation", None)
            if conversation is None or conversation.role not in (Role.REPLICA, Role.SYNC_CLIENT, Role.RDB_CLIENT):
                continue
            key = (link.name, conversation.replica)
            present.add(key)
            self._row(*key).take(link)
        for key, row in self._rows.items():
            if key not in present and row.gone_since is None:
                row.gone_since = now
                row.phase = "gone"
        for key in [key for key, row in self._rows.items() if row.gone_since and now - row.gone_since > GONE_SECONDS]:
            del self._rows[key]
        if now - self._sampled >= SAMPLE_SECONDS * 0.9:
            for row in self._rows.values():
                row.sample(now)
            self._sampled = now

    def _row(self, link: str, replica: str) -> Row:
        return self._rows.setdefault((link, replica), Row(replica, link))

    # ---- in the drawing thread ----

    def _draw(self) -> None:
        with Live(console=self._console, screen=True, auto_refresh=False, transient=True) as live:
            while not self._stopping:
                self._frame.wait()
                self._frame.clear()
                live.update(self.render(self._console.width, self._console.height), refresh=True)

    def render(self, width: int, height: int) -> RenderableType:
        """One frame for a terminal of that size."""
        rows = sorted(self._rows.values(), key=lambda row: (row.gone_since is not None, row.link, row.replica))
        wide = width >= WIDE
        room = max(1, (height - 15) if wide else (height - 13) // 2)
        shown = rows[:room]
        lines: list[tuple[RenderableType, int]] = [(self._header(rows, width), 1)]
        if not rows:
            lines.append((self._hint(), 3))
        else:
            more = len(rows) - len(shown)
            lines.append((self._replicas(shown, more, width), len(shown) + 4 + (more > 0)))
            if not wide:
                lines.append((self._throughput(shown, width), len(shown) + 2))
        left = height - sum(size for _, size in lines)
        top = 3 if left < 14 else 5 if left < 25 else 10
        if left >= top + 2 + 4:
            lines.append((self._commands(top, width), top + 2))
            left -= top + 2
        if left >= 3:
            lines.append((self._events(left - 2, width), left))
        return Group(*(part for part, _ in lines))

    def _header(self, rows: list[Row], width: int) -> Text:
        routes = [f"{one.address} → {one.config.master}" for one in self._tap.listeners]
        route = routes[0] if len(routes) == 1 else f"{len(routes)} links"
        here = sum(row.gone_since is None for row in rows)
        left = Text.assemble((" redis-tap ", "bold reverse"), " ", (route, "bold"))
        right = f"{here} replica{'' if here == 1 else 's'}"
        if self._ordinary:
            right += f", {self._ordinary} ordinary"
        right += f"  up {seconds(time.time() - self._started)} "
        left.truncate(max(10, width - len(right) - 1), overflow="ellipsis")
        left.append(" " * max(1, width - left.cell_len - len(right)))
        left.append(right)
        return left

    def _hint(self) -> RenderableType:
        one = self._tap.listeners[0].address
        hint = Text.assemble(
            "No replica yet. On one: ", (f"REPLICAOF {one.host} {one.port}", "bold"), "; it resyncs partially."
        )
        return Panel(hint, title="replicas", title_align="left")

    def _replicas(self, rows: list[Row], more: int, width: int) -> RenderableType:
        wide, very_wide = width >= WIDE, width >= VERY_WIDE
        several = len(self._tap.listeners) > 1
        table = Table(box=box.ROUNDED, expand=True, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
        table.add_column("replica", no_wrap=True, min_width=15, ratio=None if wide else 1)
        if several:
            table.add_column("link", no_wrap=True, max_width=12)
        table.add_column("phase", no_wrap=True)
        table.add_column("replication ID", no_wrap=True, width=40 if very_wide else 14)
        table.add_column("offset", justify="right", no_wrap=True)
        table.add_column("lag", justify="right", no_wrap=True)
        if wide:
            table.add_column("db", justify="right", no_wrap=True)
            table.add_column("full/partial", justify="right", no_wrap=True)
            table.add_column("passed", justify="right", no_wrap=True)
            table.add_column("now", justify="right", no_wrap=True)
            table.add_column("last minutes", no_wrap=True, ratio=1)
        for row in rows:
            cells: list[RenderableType] = [row.replica]
            if several:
                cells.append(row.link)
            cells += [
                Text(row.phase, style=_PHASE_STYLE.get(row.phase, "yellow")),
                (row.replid or "?") if very_wide else (row.replid or "?")[:13] + ("…" if row.replid else ""),
                "?" if row.offset is None else str(row.offset),
                _lag(row),
            ]
            if wide:
                cells += [
                    "?" if row.db is None else str(row.db),
                    f"{row.resyncs['full_resync']}/{row.resyncs['partial_resync']}",
                    size(row.total),
                    f"{size(row.rate)}/s",
                    _course(row, max(8, width - (130 if very_wide else 105) - (13 if several else 0))),
                ]
            table.add_row(*cells, style="dim" if row.gone_since else "")
        if more:
            table.caption = f"and {more} more"
        return table

    def _throughput(self, rows: list[Row], width: int) -> RenderableType:
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, justify="right", min_width=10)
        grid.add_column(no_wrap=True, ratio=1)
        for row in rows:
            grid.add_row(row.replica, f"{size(row.rate)}/s", _course(row, max(8, width - 43)))
        return Panel(grid, title="throughput, last minutes", title_align="left", padding=(0, 0))

    def _commands(self, top: int, width: int) -> RenderableType:
        grid = Table.grid(expand=True)
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        bar = max(4, width // 2 - 38)
        grid.add_row(
            Panel(_top(self._by_count, top, bar, str), title="commands by count", title_align="left"),
            Panel(_top(self._by_bytes, top, bar, size), title="commands by bytes", title_align="left"),
        )
        return grid

    def _events(self, lines: int, width: int) -> RenderableType:
        said: list[Text] = []
        used = 0
        for told, words in reversed(tuple(self._timeline)):
            clock = datetime.fromtimestamp(told.time).strftime("%H:%M:%S")
            style = "red" if is_alarming(told.event) else "bold" if words.startswith("FULL RESYNC") else ""
            text = Text.assemble((f"{clock} ", "dim"), (f"{told.replica} ", "cyan"), (words, style))
            wrapped = text.wrap(self._console, width - 4)
            if used + len(wrapped) > lines:
                break
            used += len(wrapped)
            said[:0] = list(wrapped)
        body = Text("\n").join(said) if said else Text("nothing yet", style="dim")
        return Panel(body, title="what happened", title_align="left", height=lines + 2)


def _lag(row: Row) -> Text:
    if row.lag_bytes is None:
        return Text("?")
    delay = "" if row.lag_seconds is None else f" {seconds(row.lag_seconds)}"
    return Text(size(row.lag_bytes) + delay, style="yellow" if (row.lag_seconds or 0) > 5 else "")


def _course(row: Row, width: int) -> RenderableType:
    """The RDB's progress while it flows, otherwise the throughput's course."""
    return _progress(row) if row.phase == "rdb" else Text(sparkline(row.rates, width), style="green")


def _progress(row: Row) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    if row.rdb_size is None:
        said = f"RDB {size(row.rdb_received)}, size unknown"
    else:
        remaining = (row.rdb_size - row.rdb_received) / row.rate if row.rate else 0
        said = f"RDB {row.rdb_received / max(1, row.rdb_size):.0%} of {size(row.rdb_size)}, {seconds(remaining)} left"
    bar = ProgressBar(total=row.rdb_size or 1, completed=row.rdb_received, pulse=row.rdb_size is None)
    grid.add_row(bar, said)
    return grid


def _top(counts: Counter[str], top: int, bar: int, figure: Callable[[int], str]) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, ratio=1)
    table.add_column(justify="right", no_wrap=True, min_width=8)
    table.add_column(justify="right", no_wrap=True, width=4)
    table.add_column(width=bar, no_wrap=True)
    total = sum(counts.values())
    ranked = counts.most_common(top)
    for name, count in ranked:
        share = count / max(1, total)
        table.add_row(name, figure(count), f"{share:.0%}", Text("█" * round(share * bar), style="blue"))
    for _ in range(top - len(ranked)):
        table.add_row("", "", "", "")
    return table
