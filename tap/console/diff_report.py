"""What a comparison of two data sets found, as lines for people or as JSON, and its progress bars."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tap.console import figures
from tap.console.terminal import Terminal
from tap.operate.comparison.comparison import Compared
from tap.operate.comparison.difference import Difference, Entry
from tap.operate.comparison.reader_processes import Progress as Read
from tap.printable import one_line
from tap.replication.events import as_text
from tap.replication.events import json_line as as_json

# By the type of a value, what its elements are called.
_ELEMENTS = {"list": "elements", "set": "members", "zset": "members", "hash": "fields", "stream": "entries"}
_HOW = {"only_in_a": "only in A", "only_in_b": "only in B", "type": "in type", "value": "in value", "expiry": "in expiry"}


def line(one: Difference) -> str:
    """The difference as one line: "db0 user:1: value differs (hash, 3 of 120 fields)"."""
    place = "function library" if one.db < 0 else f"db{one.db}"
    return one_line(f"{place} {one.key.decode('utf-8', 'backslashreplace')}: {_said(one)}")


def _said(one: Difference) -> str:
    a, b = one.a, one.b
    if a is None or b is None:
        (there,) = (side for side in (a, b) if side is not None)
        return f"only in {'A' if b is None else 'B'} ({_what(there)})"
    if one.how == "type":
        return f"type differs ({a.type} in A, {b.type} in B)"
    expiry = f"expiry differs ({_moment(a)} in A, {_moment(b)} in B)"
    if one.how == "expiry":
        return expiry
    if one.how == "not_comparable":
        return f"not comparable ({a.type}, saved in another version of its encoding)"
    also = f"; {expiry}" if one.expiry_differs else ""
    return f"value differs ({_value(one, a, b)}){also}"


def _what(entry: Entry) -> str:
    name = _ELEMENTS.get(entry.type)
    return entry.type if name is None else f"{entry.type} of {_count(entry.elements, name)}"


def _value(one: Difference, a: Entry, b: Entry) -> str:
    name = _ELEMENTS.get(a.type)
    if name is None:
        return a.type
    most = max(a.elements, b.elements)
    if one.elements is not None:
        return f"{a.type}, {one.elements} of {_count(most, name)}"
    if a.elements != b.elements:
        return f"{a.type}, {a.elements} {name} in A, {b.elements} in B"
    if a.type == "stream":
        return f"stream of {_count(most, name)}, which may be equal: last ID, groups or pending entries"
    return f"{a.type} of {_count(most, name)}"


def _count(number: int, name: str) -> str:
    singular = {"entries": "entry", "expiries": "expiry"}.get(name, name.removesuffix("s"))
    return f"{number} {singular if number == 1 else name}"


def _moment(entry: Entry) -> str:
    at = entry.expires_at_ms
    if at is None:
        return "none"
    try:
        return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03}Z"
    except (ValueError, OverflowError, OSError):
        return f"{at} ms"


def json_line(one: Difference) -> str:
    """The difference as an object."""
    return as_json(
        {
            "db": None if one.db < 0 else one.db,
            "key": as_text(one.key),
            "how": one.how,
            "expiry_differs": one.expiry_differs,
            "elements_differing": one.elements,
            "a": _entry(one.a),
            "b": _entry(one.b),
        }
    )


def _entry(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {"type": entry.type, "elements": entry.elements, "expires_at_ms": entry.expires_at_ms}


def json_summary(done: Compared, shown: int) -> str:
    """The last line of JSON: an object with the one field "summary"."""
    return as_json(
        {
            "summary": {
                "equal": done.equal,
                "a": {"name": done.a.name, "keys": done.a.keys},
                "b": {"name": done.b.name, "keys": done.b.keys},
                "differing": done.differing,
                "shown": shown,
                "by_how": dict(done.by_how),
                "vanished": done.vanished,
                "expired": done.expired,
                "close_expiries": done.close_expiries,
                "lacking": list(done.lacking),
            }
        }
    )


def summary(done: Compared, shown: int, seconds: float) -> list[str]:
    """The result as lines for people."""
    sides = f"A {done.a.name} ({_count(done.a.keys, 'keys')}), B {done.b.name} ({_count(done.b.keys, 'keys')})"
    found = []
    if done.by_how and shown < sum(done.by_how.values()):
        found.append(f"... {sum(done.by_how.values()) - shown} more, see --limit")
    if done.differing:
        ways = ", ".join(f"{number} {_HOW[how]}" for how, number in done.by_how.items() if how in _HOW)
        differ = "1 key differs" if done.differing == 1 else f"{done.differing} keys differ"
        found.append(f"not equal: {differ} ({ways}): {sides}")
    elif done.equal:
        found.append(f"equal: {sides}")
    else:
        found.append(f"no difference as far as can be compared: {sides}")
    if done.vanished:
        found.append(f"{_count(done.vanished, 'keys')} differed between the snapshots, but not when read again")
    if done.expired:
        found.append(f"{_count(done.expired, 'keys')} had expired and were on one side only: not counted")
    if done.close_expiries:
        number = _count(done.close_expiries, "expiries")
        found.append(
            f"{number} differ by a second or less, as those of a replica of Redis 6.2 do: see --expiry-within 1s"
        )
    return [one_line(one) for one in (*found[:-1], f"{found[-1]} ({figures.seconds(seconds)})")]


class Bars:
    """A bar for each side on stderr, if that is a terminal. advance(): as diff() reports. Close it before anything else
    is written.
    """

    def __init__(self) -> None:
        console = Terminal(stderr=True)
        self._progress: Progress | None = None
        if console.is_terminal:
            # rich would send stdout to the terminal of the bar, wherever it goes.
            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[said]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._tasks = {side: self._progress.add_task(side.upper(), total=None, said="") for side in ("a", "b")}
            self._progress.start()

    def advance(self, side: str, read: Read) -> None:
        if self._progress is not None:
            said = f"{figures.size(read.read)}, {read.keys:,} keys"
            self._progress.update(self._tasks[side], completed=read.read, total=read.total, said=said)

    def close(self) -> None:
        """May be called twice."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
