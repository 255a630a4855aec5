"""A fault is what + when + scope: the same object from the command line, a scenario, the API and Python."""

from __future__ import annotations

from dataclasses import dataclass

from tap.faults.values import (
    At,
    channel,
    duration,
    edge,
    link,
    name,
    param,
    period,
    phase,
    positive,
    probability,
    raw,
    side,
    times,
    word,
)
from tap.faults.what import Answer, Corrupt, Delay, Drop, Rewrite, Slice, Stall, Throttle, Truncate, What
from tap.replication.events import Channel, Side


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


@dataclass(frozen=True, slots=True)
class Fault:
    """spec: as one would write it."""

    what: What
    when: When
    scope: Scope
    spec: str

    @property
    def kind(self) -> str:
        return self.what.kind

    @property
    def destructive(self) -> str:
        """What it does to a server, "" if servers survive it (Redis 7.0 rdb.c, rdbReportError)."""
        at = self.when.at
        in_rdb = at is not None and at.place in ("rdb", "waiting")
        if isinstance(self.what, Corrupt) and not self.matches and (at is None or at.place not in ("stream", "offset")):
            return "a replica that loads a damaged RDB exits"
        if isinstance(self.what, Truncate) and in_rdb:
            return "a replica that loads half an RDB exits"
        if isinstance(self.what, Drop) and isinstance(self.what.target, int) and (in_rdb or at is None):
            return "a replica that loads a damaged RDB exits"
        if isinstance(self.what, Answer) and (self.what.line or b"").upper().startswith(b"+CONTINUE"):
            return "a replica that asked for a full resync and is told +CONTINUE crashes"
        if isinstance(self.what, Rewrite) and self.what.psync not in (None, "? -1"):
            return "a replica that asked for a full resync and is told +CONTINUE crashes"
        return ""

    @property
    def matches(self) -> bool:
        """Whether it waits for a frame: a command, a request or a reply."""
        when = self.when
        return (when.command or when.key or when.request or when.reply) is not None

    @property
    def has_to_understand(self) -> bool:
        """Whether it has to know what the bytes of a link mean."""
        when, what = self.when, self.what
        by_meaning = self.matches or (when.at or when.during or self.scope.channel) is not None
        return by_meaning or isinstance(what, Rewrite) or (isinstance(what, Drop) and isinstance(what.target, str))

    @property
    def acts_on_time(self) -> bool:
        """Whether it acts once its time has come, whatever flows."""
        if self.matches or self.when.at is not None or self.when.during is not None:
            return False
        of_bytes = isinstance(self.what, Drop) and isinstance(self.what.target, str)
        return not of_bytes and not isinstance(self.what, Rewrite | Truncate)

    @property
    def lasts_each_time(self) -> bool:
        """Whether `for` counts anew whenever it fires, and not once from when it may."""
        when = self.when
        is_on_occasions = when.at is not None or when.during is not None or when.every is not None
        return self.spans and (self.matches or is_on_occasions)

    @property
    def is_continuous(self) -> bool:
        """Whether it is at work on every link, from its first moment to its last."""
        return self.spans and not self.lasts_each_time and self.scope.times is None

    @property
    def spans(self) -> bool:
        """Whether it goes on for a while, and is not over when it has fired."""
        return isinstance(self.what, Stall | Delay | Throttle | Slice)
