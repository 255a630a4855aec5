"""When a fault fires: at a place, on a match, on a timer, by chance."""

from __future__ import annotations

from dataclasses import dataclass

from tap.faults.at import At
from tap.faults.parameters import duration, edge, param, period, phase, positive, probability, raw, word


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The triggers of a fault. With none it fires at once on every connection, on new ones when they open."""

    at: At | None = param(At.parse, "PLACE", "a place on the connection, see below")
    command: bytes | None = param(word, "NAME", "a command of the stream")
    key: bytes | None = param(raw, "GLOB", "a command of the stream with a key that matches this pattern, as in KEYS")
    request: bytes | None = param(word, "NAME", "a request of the replica")
    reply: bytes | None = param(word, "NAME", "the master's reply to this request")
    nth: int = param(positive, "N", "the Nth match on a connection, then every Nth after it", default=1)
    edge: str = param(
        edge,
        "start|inside|end",
        "where in the match to act; with at=offset or at=stream: byte, or command or transaction for the next end of one",
        default="",
    )
    during: str | None = param(phase, "PHASE", "only while the link is in this phase")
    after: float = param(duration, "TIME", "not before this time has passed", default=0.0)
    every: float | None = param(period, "TIME", "repeatedly, at this interval")
    probability: float | None = param(probability, "0..1", "the chance of firing, each time; drawn from the seed")

    @property
    def matches(self) -> bool:
        """Whether it matches a frame: a command, a request or a reply."""
        return any(one is not None for one in (self.command, self.key, self.request, self.reply))

    @property
    def is_in_rdb(self) -> bool:
        """Whether its place is in an RDB or where one begins."""
        return self.at is not None and self.at.place in ("rdb", "waiting")
