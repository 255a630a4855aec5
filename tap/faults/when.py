"""When a fault fires: at a place, at what matches, on a timer, by chance."""

from __future__ import annotations

from dataclasses import dataclass

from tap.faults.at import At
from tap.faults.values import duration, edge, param, period, phase, positive, probability, raw, word


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """What has to come for a fault to fire. Nothing: at once, on every link, as it is or as it comes."""

    at: At | None = param(At.parse, "PLACE", "a place on the connection, see below")
    command: bytes | None = param(word, "NAME", "a command of the stream")
    key: bytes | None = param(raw, "GLOB", "a command of the stream with a key like this, as KEYS takes it")
    request: bytes | None = param(word, "NAME", "a request of the replica")
    reply: bytes | None = param(word, "NAME", "the master's reply to this request")
    nth: int = param(positive, "N", "the Nth match on a connection, and every Nth from then on", default=1)
    edge: str = param(
        edge,
        "start|inside|end",
        "where in what matches; for offset and stream: byte, or the next end of a command or of a transaction",
        default="",
    )
    during: str | None = param(phase, "PHASE", "only so long as the link is in this phase")
    after: float = param(duration, "TIME", "not before this time has passed", default=0.0)
    every: float | None = param(period, "TIME", "again and again, so often")
    probability: float | None = param(probability, "0..1", "with this chance, each time; drawn from the seed")

    @property
    def matches(self) -> bool:
        """Whether it waits for a frame: a command, a request or a reply."""
        return any(one is not None for one in (self.command, self.key, self.request, self.reply))

    @property
    def is_in_rdb(self) -> bool:
        """Whether its place is where an RDB begins, or in it."""
        return self.at is not None and self.at.place in ("rdb", "waiting")
