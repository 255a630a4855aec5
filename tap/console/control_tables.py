"""What `redis-tap ctl` shows of the API's answers, which are JSON objects as in tap/control."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from tap.bus import Told
from tap.console.figures import seconds, size, times
from tap.console.lines import log_line
from tap.console.terminal import Text, Words, lines, stacked
from tap.replication.events import EVENTS
from tap.replication.json_values import made

Said = Mapping[str, Any]


def links(found: Sequence[Said]) -> RenderableType:
    """Every link, below it a line for each replica, and what is wrong."""
    if not found:
        return Words("this tap has no link")
    return Group(*(part for one in found for part in _link(one)))


def _link(link: Said) -> list[RenderableType]:
    closed = "" if link["is_listening"] else ", which a fault keeps closed"
    way = f": {link['address']} -> {link['master'] or 'each its own'}{closed}"
    ordinary = [one for one in (_count(link["ordinary"], "ordinary connection"), _count(link["omitted"], "other")) if one]
    replicas = link["connections"]
    parts: list[RenderableType] = [Words.assemble((str(link["name"]), "bold"), way)]
    if replicas:
        parts.append(_replicas(replicas))
    if ordinary or not replicas:
        parts.append(Words(f"  {', '.join(['' if replicas else 'no replica', *ordinary]).strip(', ')}"))
    parts += [Words(f"  {one['text']}" if "text" in one else f"  {json.dumps(one)}", "red") for one in link["verdicts"]]
    return parts


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count > 1 else ''}" if count else ""


def _replicas(connections: Sequence[Said]) -> Table:
    table = _table("replica", "phase", "offset", "acknowledged", "lag", "received", "state")
    for one in connections:
        table.add_row(
            one["replica"],
            one["phase"],
            "" if one["offset"] is None else str(one["offset"]),
            "" if one["acked"] is None else str(one["acked"]),
            _lag(one),
            size(one["bytes_from_master"]),
            _state(one),
        )
    return table


def _lag(one: Said) -> str:
    if one["lag_bytes"] is None:
        return "unknown" if one["phase"] == "stream" else ""
    if not one["lag_bytes"] and not one["lag_at_least"]:
        return "none"
    since = "" if not one["lag_seconds"] else f", {seconds(one['lag_seconds'])}"
    return f"{'at least ' if one['lag_at_least'] else ''}{size(one['lag_bytes'])}{since}"


def _state(one: Said) -> str:
    said = []
    if one["silent"]:
        quiet = one[f"{one['silent']}_silence"]
        said.append(f"the {one['silent']} is silent" + ("" if quiet is None else f" for {seconds(quiet)}"))
    said += [
        words
        for field, words in (
            ("is_stalled", "stalled by a fault"),
            ("is_held", "a fault holds bytes"),
            ("is_blocked", "the replica takes no more"),
            ("has_ended", "is ending"),
        )
        if one[field]
    ]
    rdb = one["rdb"]
    if rdb is not None and one["phase"] in ("waiting", "rdb", "loading"):
        total = "" if rdb["size"] is None else f" of {size(rdb['size'])}"
        said.append(f"RDB {size(rdb['received'])}{total}")
    return ", ".join(said)


def faults(said: Said) -> RenderableType:
    """Those that are armed, and those that are over."""
    found = [*said["faults"], *said["ended"]]
    return _faults(found) if found else Words("no fault is armed, and none was")


def removed(said: Said) -> RenderableType:
    return _faults(said["removed"]) if said["removed"] else Words("no fault was armed")


def _faults(found: Sequence[Said]) -> Table:
    table = _table("fault", "fired", "bytes", "", "spec")
    for one in found:
        state = "over" if one["is_over"] else f"at work {times(one['at_work'])}" if one["at_work"] else "armed"
        table.add_row(
            one["name"], times(one["fired"]) if one["fired"] else "never", size(one["bytes"]), state, one["spec"]
        )
    return table


def recordings(said: Said) -> RenderableType:
    return Group(*map(_recording, said["recordings"])) if said["recordings"] else Words("nothing is being recorded")


def _recording(one: Said) -> Text:
    lost = [f"{size(one['lost_bytes'])} lost"] if one["lost_bytes"] else []
    lost += [f"{_count(one['lost_links'], 'connection')} not recorded"] if one["lost_links"] else []
    trouble = [one["trouble"]] if one["trouble"] else []
    return Words(": ".join([one["path"], ", ".join([f"{size(one['waiting'])} not in the file yet", *lost, *trouble])]))


def armed(said: Said) -> Text:
    return Words(f"{said['name']}: {said['spec']}")


def waited(said: Said) -> RenderableType:
    """The event, or what happened instead."""
    if "event" in said:
        return event(said["event"]["event"], said["event"])
    instead = [event(one["event"], one) for one in said["last"]]
    return Group(lines(said["error"]), *([Words("the last of these:"), *instead] if instead else ()))


def event(kind: str, said: Said) -> Text:
    """The event in the words of a tap's own log, or as its fields if this version does not know it."""
    if kind == "lost":
        count = "an unknown number of" if said["count"] is None else said["count"]
        return Words(f"{count} events are no longer kept by the tap, or were missed", "red")
    try:
        told = Told(said["time"], said["link"], said["connection"], said["replica"], made(EVENTS[kind], said))
        line = log_line(told)
    except (KeyError, TypeError, ValueError):  # another version's
        line = None
    if line is not None:
        return stacked(*lines(line).split("\n"))
    at = time.strftime("%H:%M:%S", time.localtime(said.get("time", 0)))
    fields = {name: value for name, value in said.items() if name not in ("event", "time")}
    return Words(f"{at} {kind} {json.dumps(fields)}")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="dim")
    for one in columns:
        table.add_column(one, justify="right" if one in ("offset", "acknowledged", "bytes") else "left")
    return table
