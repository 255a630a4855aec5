"""One frame of the live view, drawn for a terminal of any size: the overview, or one of the pages.

The overview, from the top: the header, loops of full resyncs, the rows, charts of the chosen row, rankings, the timeline,
what the keys do. A row has as many columns as fit, by their priority; what does not fit is below it, together with the
state of a resync, while the terminal is high enough. Charts and rankings appear where there is room for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import RenderableType

from tap.console.elision import apart
from tap.console.figures import seconds, size, sparkline
from tap.console.pages import page
from tap.console.parts import NARROW, charts, happening, indented, lasting, phase_style, progress, state, title
from tap.console.picture import EVENTS, OVERVIEW, Frame, Line, Loop, Ranking
from tap.console.terminal import Text, Words, stacked
from tap.printable import one_line

RANKING = 38  # columns of a ranking at least
TIMELINE = 4  # lines of the timeline at least, its title included
FEW = 8  # lines below which the overview has rows alone
HANGING = 100  # columns from which events are indented below their time
MAX_LOOPS = 2
KEYS = "↑↓ choose  Enter one link  f faults  e events  ? help  q quit"
PAGE_KEYS = "↑↓ move  Esc back  f faults  e events  ? help  q quit"


def draw(frame: Frame, width: int, height: int, reach: Callable[[int], None] = lambda last: None) -> RenderableType:
    """The frame, in at most *height* lines of *width* columns. reach: called with how far the page may be moved."""
    above = [_header(frame, width)]
    if frame.trouble:
        above.append(Words(f" RECORDING {frame.recording}: {frame.trouble}", style="bold white on red"))
    below = [_keys(frame, width)] if frame.has_keys and height >= FEW else []
    room = max(0, height - len(above) - len(below))
    body = _overview(frame, width, room) if frame.page == OVERVIEW else _moved(frame, page(frame, width), room, reach)
    body += [Words()] * (room - len(body)) if below else []
    lines = [*above, *body[:room], *below]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    if frame.trouble:
        lines[1].truncate(width, pad=True)
    return stacked(*lines[: max(2, height)])


def _moved(frame: Frame, lines: list[Text], room: int, reach: Callable[[int], None]) -> list[Text]:
    last = max(0, len(lines) - room)
    reach(last)
    start = min(frame.scroll, last)
    if frame.page == EVENTS:  # the newest are in sight until they are moved
        start = last - start
    return lines[start : start + room]


def _header(frame: Frame, width: int) -> Text:
    routes = [f"{listen} → {master or 'where each connection was going'}" for listen, master in frame.routes]
    route = frame.watched or (routes[0] if len(routes) == 1 else f"{len(routes)} links")
    said = [f"{frame.replicas} replica{'' if frame.replicas == 1 else 's'}"]
    if frame.omitted:
        said.append(f"{frame.omitted} more connections")
    if frame.ordinary:
        said.append(f"{frame.ordinary} ordinary")
    armed = sum(one.state != "over" for one in frame.faults)
    if armed:
        said.append(f"{armed} fault{'' if armed == 1 else 's'}")
    if frame.recording:
        said.append(f"recording {frame.recording}")
    right = f"{', '.join(said)}  up {lasting(frame.up)} "
    text = Words.assemble((" redis-tap ", "bold reverse"), " ", (route, "bold"))
    text.truncate(max(10, width - len(right) - 1), overflow="ellipsis")
    text.append(" " * max(1, width - text.cell_len - len(right)) + right)
    return text


def _keys(frame: Frame, width: int) -> Text:
    if frame.notice:
        return Words(f" {frame.notice}", style="bold yellow")
    return Words(f" {KEYS if frame.page == OVERVIEW else PAGE_KEYS}", style="dim")


# ---- the overview ----


def _overview(frame: Frame, width: int, room: int) -> list[Text]:
    lines = [line for loop in frame.loops[:MAX_LOOPS] for line in _loop(loop, width)] if room >= FEW else []
    if len(frame.loops) > MAX_LOOPS and lines:
        lines.append(Words(f" and {len(frame.loops) - MAX_LOOPS} more loops of full resyncs", style="bold red"))
    lines += _rows(frame, width, max(2, room - len(lines) - (TIMELINE if room >= FEW else 0)))
    left = room - len(lines)
    top = 3 if left < 18 else 5 if left < 25 else 10
    high = 0 if left < top + 1 + TIMELINE + 5 else 4 if left < 24 else 6 if left < 36 else 10 if left < 48 else 16
    if high and frame.charts is not None:
        lines += charts(frame.charts, width, high)
    left = room - len(lines)
    if left >= top + 1 + TIMELINE and any(one.total for one in frame.rankings):
        named = max(len(one.first) for one in frame.rankings)
        lines += _rankings(frame.rankings, min(top, max(3, named)), width)
    left = room - len(lines)
    if left >= 2:
        lines += _timeline(frame, left, width)
    return lines


def _loop(loop: Loop, width: int) -> list[Text]:
    """A verdict in one line or two; the page of the link has all of its words."""
    what = f" LOOP {loop.link} {loop.replica}: {loop.cause}, {loop.count} full resyncs, one every {seconds(loop.period)}"
    if len(what) + len(loop.remedy) + 2 <= width:
        return [Words(f"{what}. {loop.remedy}" if loop.remedy else what, style="bold red")]
    return [
        Words(what, style="bold red"),
        *([Words(f"   {loop.remedy}", style="bold red")] if loop.remedy else []),
    ]


@dataclass(slots=True)
class _Column:
    """A column of the rows. least: the width that it may be cut to; None: it is never cut. fills: takes what is left.

    has_names: what is cut stays different from the others.
    """

    title: str
    whole: list[Text]
    is_right: bool = False
    least: int | None = None
    fills: bool = False
    has_names: bool = False
    width: int = field(init=False)
    cells: list[Text] = field(init=False)

    def __post_init__(self) -> None:
        self.cells = self.whole
        self.cut(self.natural if self.least is None else min(self.natural, self.least))

    def cut(self, width: int) -> None:
        """Take at most this width."""
        self.width = width
        if self.has_names:
            forms = apart([cell.plain for cell in self.whole], width)
            self.cells = [Words(forms[cell.plain], cell.style) for cell in self.whole]
            self.width = max([cell_len(self.title), *(cell.cell_len for cell in self.cells)])

    @property
    def natural(self) -> int:
        return max([len(self.title), *(cell.cell_len for cell in self.whole)])


def _columns(frame: Frame, lines: Sequence[Line], width: int) -> tuple[list[_Column], list[_Column], int]:
    """The columns that fit, in the order of their places; those that do not; and the blanks between two of them."""

    def column(title: str, cell: Callable[[Line], str | Text], **options: object) -> _Column:
        cells = [found if isinstance(found, Text) else Words(found) for found in map(cell, lines)]
        return _Column(title, cells, **options)  # type: ignore[arg-type]

    several = bool(frame.watched) or len(frame.routes) > 1 or not all(master for _, master in frame.routes)
    replica = column("replica", lambda line: line.replica or "-", least=max(15, width // 4), has_names=True)
    link = column("link", lambda line: line.link, least=max(10, width // 4), has_names=True)
    phase = column("phase", lambda line: Words(_phase(line), style=phase_style(line)))
    lag = column("lag", _lag, is_right=True)
    rate = column("now", lambda line: f"{size(line.rate)}/s" if line.replica else "", is_right=True)
    offset = column("offset", lambda line: _or_unknown(line, line.offset), is_right=True)
    silence = column("silence m/r", _silence, is_right=True)
    resyncs = column(
        "full/partial",
        lambda line: f"{line.full_resyncs}/{line.partial_resyncs}" if line.replica else "",
        is_right=True,
    )
    course = column("last minutes", lambda line: "", least=16, fills=True)
    passed = column("passed", lambda line: size(line.passed) if line.replica else "", is_right=True)
    db = column("db", lambda line: _or_unknown(line, line.db), is_right=True)
    replid = column("replication ID", lambda line: _or_unknown(line, line.replid), least=14)
    course.width = 12
    by_priority = [phase, lag, rate, offset, silence, resyncs, replid, course, passed, db]
    places = [phase, lag, silence, rate, offset, db, resyncs, passed, replid, course]
    gap = 2 if width >= 100 else 1
    shown = [replica, *([link] if several else [])]
    left = width - 1 - sum(one.width + gap for one in shown) + gap
    for one in by_priority:
        if one.width + gap <= left or one is phase:
            shown.append(one)
            left -= one.width + gap
    for one in (replica, link, replid):
        if one in shown:
            before = one.width
            one.cut(min(one.natural, before + max(0, left)))
            left -= one.width - before
    for one in shown:
        if one.fills:
            one.width += max(0, left)
    fitting = [one for one in (replica, link, *places) if one in shown]
    return fitting, [one for one in by_priority if one not in shown], gap


def _rows(frame: Frame, width: int, room: int) -> list[Text]:
    """The rows in at most *room* lines: with what stands below each if all fit so, else only below the chosen one."""
    if not frame.lines:
        seen = "one is seen when it acknowledges or resyncs: within a second, if its packets pass here"
        words = f" no replica yet; {seen}" if frame.watched else " nothing yet"
        return indented(Words(words, style="dim"), width, 3)
    fitting, missing, gap = _columns(frame, frame.lines, width)
    below = [
        _below(line, [(one.title, one.cells[number]) for one in missing], width)
        for number, line in enumerate(frame.lines)
    ]
    hidden = frame.rows - len(frame.lines)
    chosen = frame.chosen if frame.chosen is not None else -1
    if hidden or len(below) + sum(map(len, below)) + 1 > room:
        below = [lines if number == chosen and room >= FEW else [] for number, lines in enumerate(below)]
    # What fits around the chosen one; a line is left for the number of the others.
    cost = [1 + len(lines) for lines in below]
    start, end = 0, len(cost)
    if hidden or sum(cost) + 1 > room:
        start, end = _around(cost, max(0, chosen), room - 2)
    lines: list[Text] = [_row(" ", [(one, Words(one.title)) for one in fitting], gap, "dim")]
    for number in range(start, end):
        line, is_chosen = frame.lines[number], number == chosen
        cells = []
        for one in fitting:
            cell = one.cells[number]
            if one is fitting[0] and is_chosen:
                cell = Words(cell.plain, style="bold")
            elif one.fills:
                cell = Words(sparkline(line.stream, one.width), style="green")
            cells.append((one, cell))
        style = "dim" if line.phase in ("gone", "no replica") and not line.trouble else ""
        lines.append(_row("▸" if is_chosen else " ", cells, gap, style))
        lines += below[number]
    others = frame.rows - (end - start)
    if others:
        lines.append(Words(f"  and {others} more{_where(frame, start, end)}", style="dim"))
    return lines


def _around(cost: Sequence[int], chosen: int, room: int) -> tuple[int, int]:
    """The rows that fit on both sides of the chosen one. cost: the lines of each."""
    start, end, left = chosen, chosen + 1, room - cost[chosen]
    grew = True
    while grew:
        grew = False
        if start > 0 and cost[start - 1] <= left:
            start -= 1
            left -= cost[start]
            grew = True
        if end < len(cost) and cost[end] <= left:
            left -= cost[end]
            end += 1
            grew = True
    return start, end


def _where(frame: Frame, start: int, end: int) -> str:
    above, below = frame.first + start, frame.rows - frame.first - end
    return f": {above} above, {below} below" if above and below else ""


def _row(mark: str, cells: Sequence[tuple[_Column, Text]], gap: int, style: str) -> Text:
    text = Words(mark, style=style)
    for number, (column, cell) in enumerate(cells):
        cell = cell.copy()
        cell.truncate(column.width, overflow="ellipsis")
        blanks = " " * (column.width - cell.cell_len)
        text.append(" " * gap if number else "")
        if column.is_right:
            text.append(blanks)
        text.append(cell)
        if not column.is_right:
            text.append(blanks)
    text.rstrip()
    return text


def _or_unknown(line: Line, value: object) -> str:
    return "" if not line.replica else "?" if value is None else str(value)


def _phase(line: Line) -> str:
    if line.silent_side:
        of = "" if line.timeout_in is None else f" of {line.silence + line.timeout_in:.0f}"
        what = "no ACK" if (line.silent_side, line.phase) == ("replica", "stream") else f"{line.silent_side} silent"
        return f"{what} {line.silence:.0f}{of} s"
    if line.phase == "rdb":
        share = line.rdb_received / line.rdb_size if line.rdb_size else None
        if share is None and 0 < line.rdb_keys <= line.rdb_announced:
            share = line.rdb_keys / line.rdb_announced
        said = "rdb" if share is None else f"rdb {share:.0%}"
    elif line.phase in ("waiting", "loading", "psync", "gone") and line.replica:
        said = f"{line.phase} {lasting(line.since)}"
    else:
        said = line.phase
    if line.is_held:
        said += ", held"
    return f"{said} LOOP" if line.loop else f"{said} ALERT" if line.alerts else said


def _lag(line: Line) -> Text:
    if line.lag_bytes is None:
        return Words("?" if line.replica else "")
    delay = "" if not line.lag_seconds or not line.lag_bytes else f" {seconds(line.lag_seconds)}"
    bound = "≥ " if line.lag_at_least else ""
    return Words(bound + size(line.lag_bytes) + delay, style="yellow" if (line.lag_seconds or 0) > 5 else "")


def _silence(line: Line) -> Text:
    if not line.replica:
        return Words()
    sides = ["-" if one is None else f"{one:.0f}" for one in (line.master_silence, line.replica_silence)]
    return Words(f"{'/'.join(sides)} s" if sides != ["-", "-"] else "-", style="bold red" if line.silent_side else "")


def _below(line: Line, missing: Sequence[tuple[str, Text]], width: int) -> list[Text]:
    """What stands below a row: the state of a resync, or what the row has no room for."""
    if not line.replica:
        words = line.trouble or f"{line.hint}, to follow {line.master or 'where it was going'}"
        return indented(Words(f"   {words}", style="red" if line.trouble else "bold"), width, 3)[:2]
    if line.phase == "gone":
        return indented(Words(f"   {line.ended}", style="red"), width, 3)[:2] if line.ended else []
    if line.phase == "rdb":
        return [progress(line, width), *indented(state(line), width, 3)[:2]]
    if line.phase in ("connect", "handshake", "psync", "waiting", "loading") or line.is_held or line.silent_side:
        return indented(state(line), width, 3)[:2]
    said = [f"{title} {cell.plain}" for title, cell in missing if cell.plain and title != "last minutes"]
    if not {title for title, _ in missing} - {"passed", "db"}:  # not worth a line
        return []
    text = Words(f"   {', '.join(said)}", style="dim")
    spare = width - text.cell_len - 3
    if any(title == "last minutes" for title, _ in missing) and spare >= 8:
        text.append("  " + sparkline(line.stream, spare), style="green")
    return [text]


def _rankings(rankings: Sequence[Ranking], top: int, width: int) -> list[Text]:
    """Tables side by side: as many as have room."""
    several = 1 if width < NARROW else max(1, min(len(rankings), width // RANKING))
    each = (width - 2 * (several - 1)) // several
    tables = [_ranking(one, top, each) for one in rankings[:several]]
    return [Words("  ").join(parts) for parts in zip(*tables, strict=True)]


def _ranking(ranking: Ranking, top: int, width: int) -> list[Text]:
    figure = size if ranking.of_bytes else str
    bound = "≥ " if ranking.at_least else "~ " if ranking.is_estimate else ""
    rows = [(name, bound + figure(count), count / max(1, ranking.total)) for name, count in ranking.first[:top]]
    figures = max([8, *(len(said) for _, said, _ in rows)])
    bar = max(0, min(30, (width - figures - 6) // 3))
    room = max(1, width - figures - 6 - bar - 1)
    names = apart([one_line(name) for name, _, _ in rows], room)
    lines = [title(ranking.title, width)]
    for name, said, share in rows:
        text = Words(names[one_line(name)])
        text.truncate(room, pad=True)
        text.append(f" {said:>{figures}} {share:>4.0%} ")
        text.append("█" * round(share * bar), style="blue")
        text.truncate(width, pad=True)
        lines.append(text)
    return lines + [Words(" " * width)] * (top - len(rows))


def _timeline(frame: Frame, room: int, width: int) -> list[Text]:
    said: list[Text] = []
    several = frame.rows != 1
    for one in reversed(frame.timeline):
        text = happening(one, (one.replica or one.link) if several else "")
        whole = indented(text, width, 10 if width >= HANGING else 3)
        left = room - 1 - len(said)
        if len(whole) > left:
            if left and (not said or left > 1):  # the beginning of an event is better than nothing
                whole[left - 1].append(" …")
                said[:0] = whole[:left]
            break
        said[:0] = whole
    return [title("what happened", width), *(said or [Words(" nothing yet", style="dim")])]
