"""Parts that several pages of the live view have: titles, charts, an RDB's progress, a replica's state in words."""

from __future__ import annotations

import math
from datetime import datetime

from tap.console.charts import chart, highest
from tap.console.figures import seconds, size, times
from tap.console.picture import Charts, Happening, Line
from tap.console.terminal import Text, Words, wrapped
from tap.replication import events

NARROW = 70  # columns below which charts and rankings are not side by side

_PHASE_STYLE = {
    "stream": "green",
    "rdb": "cyan",
    "loading": "cyan",
    "opaque": "red",
    "gone": "red",
    "no replica": "yellow",
}


def title(words: str, width: int) -> Text:
    """The title of a part: a rule with words in it."""
    text = Words.assemble(("─ ", "dim"), words, " ")
    text.truncate(max(1, width - 1), overflow="ellipsis")
    text.append("─" * max(0, width - text.cell_len), style="dim")
    return text


def indented(line: Text, width: int, by: int) -> list[Text]:
    """The lines that a text takes in *width* columns, all but the first indented."""
    if line.cell_len <= width:
        return [line]
    first, *_ = wrapped(line, width)
    rest = line[len(first.plain.rstrip()) :]
    rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
    return [first, *(Words.assemble(" " * by, one) for one in wrapped(rest, max(1, width - by)))]


def lasting(duration: float) -> str:
    """A duration that is known to half a second."""
    return f"{duration:.0f} s" if duration < 59.5 else seconds(duration)


def clock(at: float) -> str:
    """The local time of day. at: seconds since the epoch."""
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")


def happening(one: Happening, place: str) -> Text:
    """An event with its time. place: whose it is; "" where that is clear."""
    style = "red" if one.alarming else "bold" if one.kind == events.FullResync.kind else ""
    repeated = f"  ({times(one.times)})" if one.times > 1 else ""
    return Words.assemble((f" {clock(one.time)} ", "dim"), (place and f"{place} ", "cyan"), (one.words, style), repeated)


def phase_style(line: Line) -> str:
    if line.silent_side or line.trouble:
        return "bold red"
    return "yellow" if line.is_held else _PHASE_STYLE.get(line.phase, "yellow")


def chart_dots(width: int) -> int:
    """The number of values that a chart of charts() has room for."""
    return 2 * width if width < NARROW else 2 * ((width - 2) // 2)


def charts(of: Charts, width: int, height: int) -> list[Text]:
    """Throughput and lag side by side; one below the other on a narrow terminal. height: of each, without its title."""
    each = width if width < NARROW else (width - 2) // 2
    rate, lag = of.rate[-2 * each :], of.lag[-2 * each :]
    now = f"{size(rate[-1])}/s" if rate else "?"
    of_what = "master" if of.of_rdb else "stream"
    span = f"{of.seconds:.0f} s" if of.seconds < 120 else f"{of.seconds / 60:.0f} min"
    left = title(f"{of_what} {now}, most {size(highest(rate))}/s", each)
    is_known = any(not math.isnan(one) for one in lag)
    now = size(lag[-1]) if lag and not math.isnan(lag[-1]) else "?"
    right = title(f"lag {now}, most {size(highest(lag)) if is_known else '?'}, last {span}", each)
    rates, lags = chart(rate, each, height), chart(lag, each, height)
    style = "cyan" if of.of_rdb else "green"
    if width < NARROW:
        return [left, *(Words(one, style=style) for one in rates), right, *(Words(one, style="yellow") for one in lags)]
    return [
        Words.assemble(left, "  ", right),
        *(Words.assemble((one, style), "  ", (other, "yellow")) for one, other in zip(rates, lags, strict=True)),
    ]


def progress(line: Line, width: int) -> Text:
    """An RDB under way: a bar, and how much of it has passed at which rate."""
    total, done = line.rdb_size, line.rdb_received
    keys = f", {line.rdb_keys} keys" if line.rdb_keys else ""
    rate = f", {size(line.rdb_rate)}/s"
    left = "" if line.rdb_left is None else f", {seconds(line.rdb_left)} left"
    if total is not None:
        said = [f"RDB {done / max(1, total):.0%} of {size(total)}{rate}{left}", keys]
    elif 0 < line.rdb_keys <= line.rdb_announced:
        total, done = line.rdb_announced, line.rdb_keys
        said = [f"RDB {done / total:.0%}, {size(line.rdb_received)}{rate}{left and f'{left} (by keys)'}"]
        said.append(f", {done} of {total} keys")
    else:
        said = [f"RDB {size(line.rdb_received)}{rate}, size unknown", keys]
    words = said[0]
    for more in said[1:]:
        if len(words) + len(more) + 14 <= width:
            words += more
    bar = max(0, min(40, width - len(words) - 5))
    full = round(bar * min(1.0, done / total)) if total else 0
    return Words.assemble("   ", ("━" * full, "cyan"), ("─" * (bar - full), "dim"), f" {words}")


def state(line: Line) -> Text:
    """What a connection waits for, and what is buffered meanwhile."""
    said = [_waits_for(line)]
    if line.phase in ("waiting", "rdb", "loading"):
        said.append(buffered(line))
    style = "bold red" if line.silent_side else "yellow" if line.is_held or line.is_blocked else ""
    return Words(f"   {'; '.join(one for one in said if one)}", style=style)


def _waits_for(line: Line) -> str:
    if line.silent_side:
        ends = "" if line.timeout_in is None else f"; its master ends the connection in {seconds(line.timeout_in)}"
        what = "an acknowledgement" if (line.silent_side, line.phase) == ("replica", "stream") else "a sign of life"
        return f"waits for {what} of the {line.silent_side}, for {seconds(line.silence)} so far{ends}"
    if line.is_held:
        return "waits for a fault, which holds bytes"
    if line.phase == "rdb":
        if line.is_blocked:
            return "waits for the replica, which takes no more"
        return "waits for the rest of the RDB" if line.rdb_rate else "waits for the master, which sends nothing"
    if line.phase == "waiting":
        if line.is_saving:
            return "waits for the master's RDB, which it writes at present"
        return "waits for the master to begin its RDB (fork, repl-diskless-sync-delay)"
    return {
        "connect": "waits for the first request",
        "handshake": "waits for the end of the handshake",
        "psync": "waits for the master's answer to PSYNC",
        "loading": f"waits for the replica to load {size(line.rdb_received)}, and to acknowledge",
        "stream": "waits for nothing",
    }.get(line.phase, "")


def buffered(line: Line) -> str:
    """Bytes of the stream that wait for the end of the sync, and where."""
    parts = []
    if line.beside is not None:
        parts.append(f"{size(line.beside)} in the replica")
    if line.buffer_bytes is not None:
        parts.append(f"{size(line.buffer_bytes)} in the master")
    if parts:
        return f"buffered {', '.join(parts)}"
    why = "it has not said" if line.is_inspected else "not in packets" if line.is_watched else "needs --inspect"
    return f"buffered in the master: ? ({why})"
