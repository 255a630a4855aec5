"""One frame of the live view, drawn for a terminal of any size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from tap.console.figures import seconds, size, sparkline
from tap.console.terminal import Text, Words, stacked, wrapped
from tap.relay.transparent import rule

WIDE = 120  # columns from which a replica takes a single line
NARROW = 70  # columns below which the replication ID and one of the two rankings are left out
MAX_HINTS = 5
LINK, ADDRESS = 12, 21  # columns for the name of a link, and for a name that is a master's address
VERY_WIDE = 160  # columns from which the replication ID is shown in full

_PHASE_STYLE = {"stream": "green", "rdb": "cyan", "loading": "cyan", "opaque": "red", "gone": "red"}


@dataclass(slots=True)
class Line:
    """What is shown of one replica.

    rate: bytes per second. rates: the same over time, but of the stream only, because an RDB would dwarf it. waited:
    seconds in the phase "waiting", in which no other figure changes. silent_side: which side has been silent for longer
    than it should be, for *silence* seconds; "" if neither. timeout_in: seconds until its master ends the connection for
    that, None if unknown. is_held: a fault holds bytes.
    """

    replica: str
    link: str
    phase: str = "connect"
    replid: str | None = None
    offset: int | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    lag_at_least: bool = False
    silent_side: str = ""
    silence: float = 0.0
    timeout_in: float | None = None
    is_held: bool = False
    db: int | None = None
    full_resyncs: int = 0
    partial_resyncs: int = 0
    passed: int = 0
    rate: float = 0.0
    rates: tuple[float, ...] = ()
    rdb_received: int = 0
    rdb_size: int | None = None
    rdb_keys: int = 0
    rdb_announced: int = 0  # keys
    beside: int | None = None  # bytes of the stream received on the main connection of a two-connection sync
    waited: float = 0.0

    def copy(self, rates: tuple[float, ...]) -> Line:
        return dataclasses.replace(self, rates=rates)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The total over all names, and the names with the highest figures."""

    total: int
    first: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Happening:
    """A line of the timeline. times: how often it happened in a row; time: of the last one."""

    time: float
    replica: str
    words: str
    alarming: bool
    times: int = 1


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything that one picture shows.

    routes: the address where replicas connect, and its master; "" if each redirected connection has its own master.
    faults: the names of those armed. recording: the file being written. trouble: what is missing from the recording and
    why; "" if nothing is.
    """

    routes: list[tuple[str, str]]
    up: float
    ordinary: int
    lines: list[Line]
    by_count: Ranking
    by_bytes: Ranking
    timeline: tuple[Happening, ...]
    faults: tuple[str, ...] = ()
    recording: str = ""
    trouble: str = ""


def draw(frame: Frame, width: int, height: int) -> RenderableType:
    """The frame, in at most *height* lines of *width* columns."""
    lines = sorted(frame.lines, key=lambda line: (line.phase == "gone", line.link, line.replica))
    wide = width >= WIDE
    shown = lines[: max(1, height - 15 - bool(frame.trouble) if wide else (height - 13 - bool(frame.trouble)) // 2)]
    parts: list[tuple[RenderableType, int]] = [(_header(frame, width), 1)]
    if frame.trouble:
        alarm = Words(f" RECORDING {frame.recording}: {frame.trouble}", style="bold white on red")
        alarm.truncate(width, overflow="ellipsis", pad=True)
        parts.append((alarm, 1))
    if not lines:
        parts.append(_hint(frame, width))
    else:
        more = len(lines) - len(shown)
        parts.append((_replicas(frame, shown, more, width), len(shown) + 4 + (more > 0)))
        if not wide:
            parts.append((_throughput(shown, width), len(shown) + 2))
    left = height - sum(used for _, used in parts)
    top = 3 if left < 18 else 5 if left < 25 else 10
    if left >= top + 2 + 4:
        parts.append((_commands(frame, top, width), top + 2))
        left -= top + 2
    if left >= 3:
        parts.append((_timeline(frame, left - 2, width), left))
    return Group(*(part for part, _ in parts))


def _header(frame: Frame, width: int) -> Words:
    routes = [f"{listen} → {master or 'where each connection was going'}" for listen, master in frame.routes]
    route = routes[0] if len(routes) == 1 else f"{len(routes)} links"
    here = sum(line.phase != "gone" for line in frame.lines)
    right = f"{here} replica{'' if here == 1 else 's'}"
    if frame.ordinary:
        right += f", {frame.ordinary} ordinary"
    if frame.faults:
        right += f", {len(frame.faults)} fault{'' if len(frame.faults) == 1 else 's'}"
    if frame.recording:
        right += f", recording {frame.recording}"
    right += f"  up {seconds(frame.up)} "
    text = Words.assemble((" redis-tap ", "bold reverse"), " ", (route, "bold"))
    text.truncate(max(10, width - len(right) - 1), overflow="ellipsis")
    text.append(" " * max(1, width - text.cell_len - len(right)) + right)
    text.truncate(width)
    return text


def _hint(frame: Frame, width: int) -> tuple[RenderableType, int]:
    lines = [Words("No replica yet. On one:")]
    for listen, master in frame.routes[:MAX_HINTS]:
        host, _, port = listen.rpartition(":")
        if not master:
            lines.append(Words.assemble("  ", (rule(int(port)), "bold"), "  (on this machine, as root)"))
            continue
        lines.append(Words.assemble("  ", (f"REPLICAOF {host.strip('[]')} {port}", "bold"), f"  to follow {master}"))
    said = stacked(*lines)
    used = len(wrapped(said, max(1, width - 4))) + 2
    return Panel(said, title="replicas", title_align="left"), used


def _replicas(frame: Frame, lines: list[Line], more: int, width: int) -> RenderableType:
    wide, very_wide = width >= WIDE, width >= VERY_WIDE
    is_transparent = not all(master for _, master in frame.routes)
    link = ADDRESS if is_transparent else LINK if len(frame.routes) > 1 else 0  # columns
    table = Table(box=box.ROUNDED, expand=True, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("replica", no_wrap=True, min_width=15, ratio=1 if width < NARROW else None)
    if link:
        table.add_column("link", no_wrap=True, max_width=link)
    table.add_column("phase", no_wrap=True)
    if width >= NARROW:
        id_width = None if not wide else 40 if very_wide else 14
        table.add_column("replication ID", no_wrap=True, width=id_width, min_width=14, ratio=None if wide else 1)
    table.add_column("offset", justify="right", no_wrap=True)
    table.add_column("lag", justify="right", no_wrap=True)
    if wide:
        table.add_column("db", justify="right", no_wrap=True)
        table.add_column("full/partial", justify="right", no_wrap=True)
        table.add_column("passed", justify="right", no_wrap=True)
        table.add_column("now", justify="right", no_wrap=True)
        table.add_column("last minutes", no_wrap=True, ratio=1)
    for line in lines:
        cells: list[RenderableType] = [Words(line.replica)]
        if link:
            cells.append(Words(line.link))
        cells += [
            Words(_phase(line), style=_phase_style(line)),
            *([Words(line.replid or "?")] if width >= NARROW else []),
            "?" if line.offset is None else str(line.offset),
            _lag(line),
        ]
        if wide:
            cells += [
                "?" if line.db is None else str(line.db),
                f"{line.full_resyncs}/{line.partial_resyncs}",
                size(line.passed),
                f"{size(line.rate)}/s",
                _course(line, max(8, width - (130 if very_wide else 105) - (link + 1 if link else 0))),
            ]
        table.add_row(*cells, style="dim" if line.phase == "gone" else "")
    if more:
        table.caption = f"and {more} more"
    return table


def _throughput(lines: list[Line], width: int) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right", min_width=10)
    grid.add_column(no_wrap=True, ratio=1)
    for line in lines:
        resyncs = f"{line.full_resyncs} full {line.partial_resyncs} partial"
        grid.add_row(Words(line.replica), resyncs, f"{size(line.rate)}/s", _course(line, max(8, width - 56)))
    return Panel(grid, title="resyncs, and throughput in the last minutes", title_align="left", padding=(0, 0))


def _phase_style(line: Line) -> str:
    if line.silent_side:
        return "bold red"
    return "yellow" if line.is_held else _PHASE_STYLE.get(line.phase, "yellow")


def _phase(line: Line) -> str:
    if line.silent_side:
        of = "" if line.timeout_in is None else f" of {line.silence + line.timeout_in:.0f}"
        what = "no ACK" if (line.silent_side, line.phase) == ("replica", "stream") else f"{line.silent_side} silent"
        return f"{what} {line.silence:.0f}{of} s"
    if line.is_held:
        return f"{line.phase}, held"
    if line.phase != "waiting":
        return line.phase
    return f"waiting {line.waited:.0f} s" if line.waited < 59.5 else f"waiting {seconds(line.waited)}"


def _lag(line: Line) -> Words:
    if line.lag_bytes is None:
        return Words("?")
    delay = "" if line.lag_seconds is None else f" {seconds(line.lag_seconds)}"
    bound = "≥ " if line.lag_at_least else ""
    return Words(bound + size(line.lag_bytes) + delay, style="yellow" if (line.lag_seconds or 0) > 5 else "")


def _course(line: Line, width: int) -> RenderableType:
    """The RDB's progress while it flows, otherwise the throughput's course."""
    return _progress(line) if line.phase == "rdb" else Words(sparkline(line.rates, width), style="green")


def _progress(line: Line) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    keys = f", {line.rdb_keys} keys" if line.rdb_keys else ""
    beside = "" if line.beside is None else f", {size(line.beside)} beside it"
    total, done = line.rdb_size, line.rdb_received
    if total is not None:
        said = f"RDB {done / max(1, total):.0%} of {size(total)}{beside}{keys}"
        if line.rate:
            said += f", {seconds((total - done) / line.rate)} left"
    elif 0 < line.rdb_keys <= line.rdb_announced:
        total, done = line.rdb_announced, line.rdb_keys
        said = f"RDB {done / total:.0%}{beside}, {done} of {total} keys, {size(line.rdb_received)}"
    else:
        said = f"RDB {size(line.rdb_received)}{beside}, size unknown{keys}"
    bar = ProgressBar(
        total=total or 1,
        completed=done,
        pulse=total is None,
        complete_style="cyan",
        finished_style="cyan",
        pulse_style="cyan",
    )
    grid.add_row(bar, said)
    return grid


def _commands(frame: Frame, top: int, width: int) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_column(ratio=1)
    bar = max(4, width // 2 - 38)
    if width < NARROW:
        return Panel(_top(frame.by_count, top, 4, str), title="commands by count", title_align="left")
    grid.add_row(
        Panel(_top(frame.by_count, top, bar, str), title="commands by count", title_align="left"),
        Panel(_top(frame.by_bytes, top, bar, size), title="commands by bytes", title_align="left"),
    )
    return grid


def _top(ranking: Ranking, top: int, bar: int, figure: Callable[[int], str]) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, ratio=1)
    table.add_column(justify="right", no_wrap=True, min_width=8)
    table.add_column(justify="right", no_wrap=True, width=4)
    table.add_column(width=bar, no_wrap=True)
    for name, count in ranking.first[:top]:
        share = count / max(1, ranking.total)
        table.add_row(Words(name), figure(count), f"{share:.0%}", Words("█" * round(share * bar), style="blue"))
    for _ in range(top - len(ranking.first)):
        table.add_row("", "", "", "")
    return table


def _timeline(frame: Frame, lines: int, width: int) -> RenderableType:
    said: list[Text] = []
    several = len(frame.lines) != 1
    for one in reversed(frame.timeline):
        clock = datetime.fromtimestamp(one.time).strftime("%H:%M:%S ")
        style = "red" if one.alarming else "bold" if one.words.startswith("FULL RESYNC") else ""
        times = f"  ({one.times} times)" if one.times > 1 else ""
        text = Words.assemble((clock, "dim"), (f"{one.replica} " if several else "", "cyan"), (one.words, style), times)
        whole = wrapped(text, max(1, width - 4))
        room = lines - len(said)
        if len(whole) > room:
            if not said:  # the beginning of the newest event is better than nothing
                said = whole[:room]
            break
        said[:0] = whole
    body = stacked(*said) if said else Words("nothing yet", style="dim")
    return Panel(body, title="what happened", title_align="left", height=lines + 2)
