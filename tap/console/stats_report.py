"""Statistics of a recording's command streams for people: figures, charts over time, tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from tap.console.figures import seconds, size
from tap.console.sentences import argument, sentence
from tap.console.terminal import Words
from tap.key_groups import KeyGroup
from tap.recording.frequent_keys import Frequent
from tap.recording.stats import MARKED, LinkStats, Stats
from tap.replication import events
from tap.replication.events import Event

NAMES = 15  # commands in the table
HAPPENED = 20  # events in the list
AXIS = 12  # columns left of the chart
ROWS = 6  # lines of one chart, with eight steps each
SHORTEST = 0.05  # seconds; a shorter time has no chart

_BLOCKS = " ▁▂▃▄▅▆▇█"

# If several fall on one column, the first in this order is shown.
_MARKS: dict[type[Event], tuple[str, str]] = {
    events.FullResync: ("F", "full resync"),
    events.RecordingGap: ("G", "gap in the recording"),
    events.Opaque: ("?", "not understood from there on"),
    events.LinkClosed: ("X", "link closed"),
    events.ResyncRefused: ("R", "resync refused"),
    events.PartialResync: ("P", "partial resync"),
    events.FaultFired: ("!", "fault"),
    events.AckAheadOfMaster: ("A", "acknowledged more than was sent"),
    events.ReplicaTalkedBack: ("T", "the replica talked back"),
}

# Distances between labels of the time axis, in seconds.
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 30, 90, 365)),
)


def report(stats: Stats, width: int) -> RenderableType:
    """The whole report, link by link, for a terminal of *width* columns."""
    if not stats.links:
        return Words("no commands, and no resyncs")
    parts: list[RenderableType] = []
    for name, link in stats.links.items():
        if parts:
            parts += [Words(), Words("─" * width, style="dim"), Words()]
        parts += _link(name, link, stats.top, width)
    return Group(*parts)


def _link(name: str, link: LinkStats, top: int, width: int) -> list[RenderableType]:
    parts: list[RenderableType] = [_head(name, link)]
    if link.seconds >= SHORTEST and (link.commands or link.happened):
        parts += [Words(), *_charts(link, width)]
    if link.commands:
        parts += [Words(), commands(link, width, NAMES)]
    rows = link.groups()
    if rows:
        parts += [Words(), groups(rows, link.bytes)]
    if len(link.writes_of):
        parts += [Words(), _keys("keys by writes", "writes", link.writes_of, link.writes, top, str)]
        parts += [Words(), _keys("keys by bytes", "bytes", link.bytes_of, link.bytes, top, size)]
    if link.commands:
        parts += [Words(), _largest(link)]
    if link.happened:
        parts += [Words(), *_happened(link)]
    return parts


# ---- figures ----


def _head(name: str, link: LinkStats) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("link", Words(name, style="bold"))
    begin, end = _local(link.begin), _local(link.end)
    until = end.strftime("%H:%M:%S" if begin.date() == end.date() else "%Y-%m-%d %H:%M:%S")
    span = "1 moment" if not link.seconds else _duration(link.seconds)
    grid.add_row("time", f"{begin:%Y-%m-%d %H:%M:%S} to {until} ({span}), UTC{begin:%z}")
    busiest = link.busiest
    grid.add_row("commands", f"{link.commands}{_rates(link, link.commands, busiest.commands, busiest.commands_at, str)}")
    grid.add_row("bytes", f"{size(link.bytes)}{_rates(link, link.bytes, busiest.bytes, busiest.bytes_at, size)}")
    grid.add_row("writes", f"{link.writes}, transactions {link.transactions}")
    full, partial = (link.happened.get(kind, 0) for kind in (events.FullResync, events.PartialResync))
    rdb = f" (RDB {size(link.rdb_bytes)})" if link.rdb_bytes else ""
    grid.add_row("resyncs", f"{full} full{rdb}, {partial} partial")
    if link.repeated:
        text = f"{link.repeated} commands, {size(link.repeated_bytes)}, came again: counted once"
        grid.add_row("repeated", text)
    if link.missing_bytes:
        text = f"{size(link.missing_bytes)} from the master are not recorded, and not counted"
        grid.add_row("missing", Words(text, style="red"))
    if link.unread_bytes:
        text = f"{size(link.unread_bytes)} from the master could not be read, and are not counted"
        grid.add_row("unread", Words(text, style="red"))
    return grid


def _rates(link: LinkStats, total: int, most: int, at: float, figure: Callable[[int], str]) -> str:
    if link.seconds < 1 or not total:
        return ""
    mean = total / link.seconds
    said = f"{mean:.1f}" if figure is str and mean < 10 else figure(round(mean))
    return f": {said}/s on average, busiest second {figure(most)} ({_clock(link, at)})"


def _duration(span: float) -> str:
    if span < 2 * _DAY:
        return seconds(span)
    days, rest = divmod(round(span), _DAY)
    return f"{days} days {rest // _HOUR} h"


def _clock(link: LinkStats, time: float) -> str:
    return _local(time).strftime("%H:%M:%S" if link.seconds < _DAY else "%m-%d %H:%M:%S")


def _local(time: float) -> datetime:
    return datetime.fromtimestamp(time).astimezone()


# ---- charts ----


def _charts(link: LinkStats, width: int) -> list[RenderableType]:
    columns = max(20, width - AXIS - 1)
    parts = link.course.over(link.end, columns)
    each = link.seconds / columns
    bytes_, commands = [part.bytes / each for part in parts], [part.commands / each for part in parts]
    title = f"bytes per second (a column is {seconds(each)})"
    lines: list[RenderableType] = [Words(title, style="bold"), *_bars(bytes_, size, "green")]
    ticks = _ticks(link.begin, link.end, columns)
    lines += [_axis(ticks, columns), Words("commands per second", style="bold"), *_bars(commands, _count, "blue")]
    lines += [_axis(ticks, columns), _labels(ticks)]
    marks = [_mark(part.marks) for part in parts]
    if any(marks):
        row = "".join(mark or " " for mark in marks)
        lines.append(Words.assemble((f"{'events':>{AXIS - 1}} ", "dim"), (row.rstrip(), "bold red")))
        legend = "  ".join(f"{letter} {words}" for kind, (letter, words) in _MARKS.items() if kind in link.happened)
        lines.append(Words(f"{'':{AXIS}}{legend}", style="dim"))
    return lines


def _bars(values: Sequence[float], figure: Callable[[float], str], style: str) -> list[RenderableType]:
    """A chart of ROWS lines. A value above zero never looks like zero."""
    most = max(values) or 1
    heights = [0 if value <= 0 else max(1, round(value / most * ROWS * 8)) for value in values]
    lines: list[RenderableType] = []
    for row in range(ROWS - 1, -1, -1):
        label = figure(max(values)) if row == ROWS - 1 else figure(most / 2) if row == ROWS // 2 - 1 else ""
        bars = "".join(_BLOCKS[max(0, min(8, height - row * 8))] for height in heights)
        lines.append(Words.assemble((f"{label:>{AXIS - 2}} ┤" if label else f"{'':{AXIS - 1}}│", "dim"), (bars, style)))
    return lines


def _count(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _ticks(begin: float, end: float, columns: int) -> list[tuple[int, str]]:
    """(column, label) of each tick, at round times of the local clock."""
    span = end - begin
    form = "%H:%M:%S.%f" if span < 10 else "%H:%M:%S" if span < _HOUR else "%H:%M" if span < _DAY else "%m-%d %H:%M"
    width = 12 if span < 10 else len(_local(begin).strftime(form))
    step = next((step for step in _STEPS if step * columns / span >= width + 1), _STEPS[-1])
    shift = (_local(begin).utcoffset() or timedelta()).total_seconds()
    ticks = []
    for number in range(math.ceil((begin + shift) / step), math.ceil((end + shift) / step)):
        time = number * step - shift
        column = int((time - begin) / span * columns)
        if column + width <= columns:
            ticks.append((column, _local(round(time, 3)).strftime(form)[:width]))
    return ticks


def _axis(ticks: list[tuple[int, str]], columns: int) -> Words:
    at = {column for column, _ in ticks}
    return Words(f"{'0':>{AXIS - 2}} └" + "".join("┴" if column in at else "─" for column in range(columns)), style="dim")


def _labels(ticks: list[tuple[int, str]]) -> Words:
    line = ""
    for column, label in ticks:
        line = line.ljust(column) + label
    return Words(f"{'local time':>{AXIS - 1}} {line}", style="dim")


def _mark(marks: int) -> str:
    return next((_MARKS[kind][0] for number, kind in enumerate(MARKED) if marks >> number & 1), "")


# ---- tables ----


def _table(title: str, *columns: str) -> Table:
    table = Table(
        box=None, padding=(0, 2, 0, 0), header_style="dim", title=title, title_justify="left", title_style="bold"
    )
    for column in columns:
        text = column in ("command", "key", "keys", "time", "")
        table.add_column(
            column, justify="left" if text else "right", no_wrap=column not in ("key", "keys"), overflow="fold"
        )
    return table


def commands(link: LinkStats, width: int, most: int) -> RenderableType:
    """The table of commands. most: number of names."""
    table = _table("commands", "command", "count", "share", "bytes", "share", "bytes each", "")
    names = link.names()
    bar = max(4, min(30, width - 64))
    for name, count, taken in names[:most]:
        share = taken / link.bytes
        bars = Words("█" * round(bar * share), style="blue")
        figures = f"{count / link.commands:.1%}", size(taken), f"{share:.1%}", f"{taken / count:.0f}"
        table.add_row(Words(name[:20]), str(count), *figures, bars)
    if len(names) > most:
        count, taken = sum(row[1] for row in names[most:]), sum(row[2] for row in names[most:])
        figures = f"{count / link.commands:.1%}", size(taken), f"{taken / link.bytes:.1%}", f"{taken / count:.0f}"
        table.add_row(Words(f"{len(names) - most} others", style="dim"), str(count), *figures, "")
    return table


def groups(rows: Sequence[KeyGroup], total: int, title: str = "groups of keys by bytes") -> RenderableType:
    """A table of groups. total: bytes of all commands."""
    table = _table(title, "bytes", "share", "writes", "keys")
    for row in rows:
        sign = "≥" if row.at_least else ""
        name = Words("others", style="dim") if row.pattern is None else Words(argument(row.pattern))
        table.add_row(
            f"{sign}{size(row.size)}",
            f"{sign}{row.size / total:.1%}",
            f"{sign}{row.writes}",
            Padding(name, (0, 0, 0, 2 * row.depth)),
        )
    if not any(row.at_least for row in rows):
        return table
    return Group(table, Words("≥: at least this much; the group was noticed late", style="dim"))


def _keys(
    title: str, unit: str, frequent: Frequent, total: int, top: int, figure: Callable[[int], str]
) -> RenderableType:
    rows = [row for row in frequent.top(top) if row[1] > frequent.error]
    if not rows:
        most = figure(frequent.error)
        said = f"none stands out: there are more keys than are counted at a time, and none has more than {most}"
        return Group(Words(title, style="bold"), Words(said, style="dim"))
    table = _table(title, unit, "share", "db", "key")
    for (db, key), weight, missed in rows:
        figures = f"{'~' if missed else ''}{figure(weight)}", f"{weight / total:.1%}", _db(db)
        table.add_row(*figures, Words(argument(key)))
    note = f"{len(frequent)} different keys"
    if frequent.error:
        note = f"more keys than are counted at a time: none of the others has more than {figure(frequent.error)}"
    missed = max(missed for _, _, missed in rows)
    if missed:
        note += f"; ~: at least this much, and at most {figure(missed)} more"
    return Group(table, Words(note, style="dim"))


def _largest(link: LinkStats) -> RenderableType:
    table = _table("largest commands", "bytes", "time", "offset", "db", "command", "key")
    for one in link.largest():
        offset = "?" if one.offset is None else str(one.offset)
        key = Words("" if one.key is None else argument(one.key))
        table.add_row(size(one.size), _clock(link, one.time), offset, _db(one.db), Words(one.name[:20]), key)
    return table


def _db(db: int | None) -> str:
    return "?" if db is None else str(db)


def _happened(link: LinkStats) -> list[RenderableType]:
    kept = link.kept()
    left = sum(link.happened.values()) - len(kept[-HAPPENED:])
    lines: list[RenderableType] = [Words("what happened", style="bold")]
    if left:
        lines.append(Words(f"{left} others are left out", style="dim"))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for told in kept[-HAPPENED:]:
        grid.add_row(_clock(link, told.time), told.replica, Words(sentence(told.event) or told.event.kind))
    return [*lines, grid]
