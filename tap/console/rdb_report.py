"""The content of an RDB for people: tables, bars, and a line per key, with the columns of `--format keys`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from tap.console.figures import size
from tap.console.sentences import argument
from tap.console.terminal import Words
from tap.rdb import Key, Parser, Summary

TYPES_WIDTH = 76  # columns of the table of types without its bars
HEADING = "db  type     encoding        bytes  elements  expires                  key"

# The AUX fields that are shown, in this order, with their labels.
_AUX = (
    ("ctime", "written"),
    ("used-mem", "memory in use there"),
    ("repl-id", "replication ID"),
    ("repl-offset", "replication offset"),
)


def report(name: str, parser: Parser, summary: Summary, width: int) -> RenderableType:
    """The whole report, for a terminal of *width* columns."""
    parts: list[RenderableType] = [_head(name, parser, summary), Words()]
    if summary.keys:
        parts += [_types(summary, max(4, min(40, width - TYPES_WIDTH))), Words()]
        if len(summary.databases) > 1:
            parts += [_databases(summary), Words()]
        parts.append(_largest("largest keys", summary.biggest()))
        most = [key for key in summary.most_elements() if key.elements > 1]
        if most:
            parts += [Words(), _largest("keys with the most elements", most)]
    return Group(*parts)


def _head(name: str, parser: Parser, summary: Summary) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    aux = summary.aux
    writer = ""
    for field, server in (("valkey-ver", "Valkey"), ("redis-ver", "Redis")):
        if field in aux:
            writer = f", written by {server} {aux[field]}"
            break
    grid.add_row("RDB", Words(name, style="bold"))
    if parser.version:
        grid.add_row("version", Words(f"{parser.version}{writer}"))
    exactly = f" ({parser.position} bytes)" if parser.position >= 1024 else ""
    grid.add_row("size", f"{size(parser.position)}{exactly}")
    for field, label in _AUX:
        if field in aux:
            grid.add_row(label, Words(_readable(field, aux[field])))
    expiring = [one for one in summary.databases.values() if one.expiring]
    keys = f"{summary.keys} in {len(summary.databases)} db{'' if len(summary.databases) == 1 else 's'}"
    if expiring:
        first = min(one.first_expiry_ms or 0 for one in expiring)
        last = max(one.last_expiry_ms or 0 for one in expiring)
        when = f"at {moment(first)}" if first == last else f"from {moment(first)} to {moment(last)}"
        keys += f", {summary.expiring} expire, {when}"
    grid.add_row("keys", keys)
    if summary.functions:
        grid.add_row("function libraries", str(summary.functions))
    if summary.module_names:
        grid.add_row("data of modules", Words(", ".join(sorted(summary.module_names))))
    verdict = {
        "ok": Words("ok", style="green"),
        "wrong": Words("WRONG", style="bold red"),
        "disabled": Words("none: the writer left it out", style="yellow"),
        "absent": Words("none: RDBs had none before version 5"),
        "unchecked": Words("not verified"),
    }
    grid.add_row("checksum", verdict.get(parser.checksum, Words("not reached", style="red")))
    return grid


def _readable(field: str, value: str) -> str:
    is_number = value.isascii() and value.isdigit()
    if field == "ctime" and is_number and len(value) < 12:
        return moment(int(value) * 1000)
    if field == "used-mem" and is_number and len(value) < 20:
        return size(int(value))
    return value


def moment(milliseconds: int) -> str:
    """A Unix time in UTC; as a number if it is outside the range of datetime."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for column in columns:
        numeric = column in ("keys", "expire", "bytes", "share", "elements", "bytes/key", "db")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=column != "key", overflow="fold")
    return table


def _types(summary: Summary, width: int) -> RenderableType:
    rows: dict[tuple[str, str], list[int]] = {}
    for database in summary.databases.values():
        for type_name, encoding, *figures in database.by_encoding():
            row = rows.setdefault((type_name, encoding), [0, 0, 0])
            for place, figure in enumerate(figures):
                row[place] += figure
    total = max(1, sum(row[1] for row in rows.values()))
    largest = max(row[1] for row in rows.values())
    table = _table("type", "encoding", "keys", "bytes", "share", "", "elements", "bytes/key")
    for (type_name, encoding), (keys, taken, elements) in sorted(rows.items(), key=lambda item: -item[1][1]):
        bar = Words("█" * max(1, round(width * taken / max(1, largest))), style="blue")
        table.add_row(
            type_name, encoding, str(keys), size(taken), f"{taken / total:.1%}", bar, str(elements), f"{taken / keys:.0f}"
        )
    return table


def _databases(summary: Summary) -> RenderableType:
    table = _table("db", "keys", "expire", "bytes", "elements")
    for number, one in sorted(summary.databases.items()):
        name = "others" if number < 0 else str(number)
        table.add_row(name, str(one.keys), str(one.expiring), size(one.bytes), str(one.elements))
    return table


def _largest(title: str, keys: list[Key]) -> RenderableType:
    table = _table("db", "bytes", "elements", "type", "encoding", "key")
    table.title = title
    table.title_justify = "left"
    table.title_style = "bold"
    for key in keys:
        name = Words(argument(key.key))
        table.add_row(str(key.db), size(key.serialized_bytes), str(key.elements), key.type, key.encoding, name)
    return table


def _stamp(milliseconds: int) -> str:
    """A moment without blanks."""
    return moment(milliseconds).replace(" UTC", "Z").replace(" ms", "ms").replace(" ", "T")


def key_line(key: Key) -> str:
    """Columns under HEADING."""
    expires = "-" if key.expires_at_ms is None else _stamp(key.expires_at_ms)
    figures = f"{key.serialized_bytes:>9} {key.elements:>9}"
    return f"{key.db:<3} {key.type:<8} {key.encoding:<11} {figures}  {expires:<23}  {argument(key.key, whole=True)}"


def key_lines(keys: Iterable[Key]) -> str:
    return "".join(f"{key_line(key)}\n" for key in keys)
