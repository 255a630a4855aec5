"""The scope of a fault: where it applies, how often it fires, how long it lasts."""

from __future__ import annotations

from dataclasses import dataclass

from tap.faults.parameters import channel, duration, link, name, param, side, times
from tap.replication.events import Channel, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a fault applies, how often it fires, how long it lasts."""

    side: Side | None = param(
        side,
        "master|replica|both",
        "only bytes that this side sends; both: either side, or the side of the trigger",
        name="from",
    )
    link: str | None = param(link, "NAME", "only this link; all links if not given")
    channel: Channel | None = param(
        channel,
        "main|rdb",
        "in a two-connection sync, the connection with the stream or the one with the RDB; other connections are main",
    )
    times: int | None = param(times, "N|all", "how often it fires in total")
    lasting: float | None = param(
        duration,
        "TIME",
        "how long it lasts each time it fires; without a trigger or a lasting effect, how long it stays armed",
        name="for",
    )
    name: str = param(name, "NAME", "its name in events", default="")
