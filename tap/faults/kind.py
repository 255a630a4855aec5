"""A kind of fault: what every file in kinds/ fills in. To add one, see CONTRIBUTING.md.

A kind is a frozen dataclass. Its fields are the parameters that people write, each made by param(); its docstring is its
paragraph in `redis-tap faults` and in the documentation; its class variables say which triggers make sense with it. What
it does stands in methods, all optional, called with the connection it is at work on (site.py). A kind is shared by all
connections and keeps nothing: what it has to remember of one goes into site.notes.

    act            at a byte, or at a time            cut, drop, corrupt, truncate
    take_command   a command of the stream            drop, duplicate, reorder, corrupt; others act() at its edge
    take_frame     a request, a reply, a newline      drop, answer, corrupt; others act() at its edge
    rewritten      what a request becomes             rewrite
    header         the line that announces an RDB     truncate
    prepare        the fault comes to a connection    delay, throttle, slice (a shaper); truncate (a mark)
    start, stop    of what goes on for a while        stall
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from tap.faults.scope import Scope
from tap.faults.site import Frame, Site
from tap.faults.taken import Taken
from tap.faults.when import When
from tap.replication.events import Side
from tap.replication.requests import Request

# What a server does that gets such bytes (Redis 7.0 rdb.c, rdbReportError).
DAMAGED_RDB = "a replica that loads a damaged RDB exits"
FALSE_CONTINUE = "a replica that asked for a full resync and is told +CONTINUE crashes"


class Watch(enum.Enum):
    """What a kind waits for by itself, without a trigger that names it."""

    NOTHING = enum.auto()
    ACKS = enum.auto()
    PINGS = enum.auto()
    NEWLINES = enum.auto()
    REQUESTS = enum.auto()  # every request, for rewritten()
    HEADER = enum.auto()  # the line that announces the RDB, for header()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """kind: its name in a spec. example: a spec. once: it fires once unless times= says otherwise.

    takes: the triggers that make sense with it, besides after and probability. lacks: what it does not take of a scope.
    ends_servers: a spec of its own that ends a server process, "" if none does. doing: what it does while it goes on, for
    kinds that last. needs_argument: a command it takes has to be there up to its first argument. takes_next: it needs the
    next command, which can not be taken by another fault of the kind.
    """

    kind: ClassVar[str]
    example: ClassVar[str]
    once: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset({"at", "command", "key", "request", "reply", "edge", "nth", "every"})
    lacks: ClassVar[frozenset[str]] = frozenset()
    ends_servers: ClassVar[str] = ""
    doing: ClassVar[str] = ""
    needs_argument: ClassVar[bool] = False
    takes_next: ClassVar[bool] = False

    # ---- as it is written ----

    def wrong(self, when: When, scope: Scope) -> str:
        """What is missing, or contradicts itself; "" if nothing."""
        return ""

    def danger(self, when: When) -> str:
        """What it does to a server, "" if servers survive it."""
        return ""

    @property
    def watches(self) -> Watch:
        return Watch.NOTHING

    @property
    def keeps_out(self) -> str:
        """How it keeps out a replica that connects: "refuse", "close" or "blackhole"; "" if it does not."""
        return ""

    @property
    def least_delay(self) -> float:
        """Seconds by which it delays every byte of a direction at least."""
        return 0.0

    # ---- on one connection ----

    def prepare(self, site: Site) -> None:
        """The fault comes to this connection."""

    def start(self, site: Site) -> None:
        """What lasts begins."""

    def stop(self, site: Site) -> None:
        """What lasts is over."""

    def act(self, site: Site, side: Side, position: int, *, at_once: bool) -> None:
        """The fault has its moment: the lane of *side* has passed every byte before *position*.

        at_once: it came on time, at no byte in particular. Kinds that last go on from here.
        """
        site.go_on()

    def take_command(self, site: Site, taken: Taken) -> None:
        """A command of the stream matches, and the fault fires on it."""
        edge = site.when.edge or "end"
        if edge == "end":
            taken.on_end = taken.act_at
        else:
            taken.act_at(taken.begin if edge == "start" else taken.name_end)

    def take_frame(self, site: Site, frame: Frame) -> bytes | None:
        """A request, a reply or a newline matches, and the fault fires on it.

        Returns the line, without its end, that the replica gets instead of the master's reply to this request.
        """
        edge = site.when.edge or "start"
        site.act_in(frame.side, {"start": frame.start, "inside": (frame.start + frame.end) // 2, "end": frame.end}[edge])
        return None

    def rewritten(self, site: Site, request: Request) -> tuple[list[bytes], str] | None:
        """The request's new words, and what was changed; None if it stays as it is."""
        return None

    def header(self, site: Site, line: bytes, start: int, end: int) -> None:
        """The RDB is announced: `$<length>` or `$EOF:<mark>`, in bytes start <= i < end of the master."""
