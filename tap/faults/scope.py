"""Where a fault counts, how often, how long."""

from __future__ import annotations

from dataclasses import dataclass

from tap.faults.values import channel, duration, link, name, param, side, times
from tap.replication.events import Channel, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a fault counts, how often, how long."""

    side: Side | None = param(
        side,
        "master|replica|both",
        "bytes of this direction; both, or where the trigger is",
        name="from",
    )
    link: str | None = param(link, "NAME", "only this link; all of them if not given")
    channel: Channel | None = param(
        channel,
        "main|rdb",
        "of a two-connection sync the connection with the stream, or the one with the RDB; all others are main",
    )
    times: int | None = param(times, "N|all", "how often it fires, in all")
    lasting: float | None = param(
        duration, "TIME", "how long it goes on, each time; alone, from when it is armed", name="for"
    )
    name: str = param(name, "NAME", "what events call it", default="")
