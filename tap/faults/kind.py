"""A kind of fault: the base class that every file in kinds/ fills in. To add a kind, see CONTRIBUTING.md.

A kind is a frozen dataclass. Its fields are the parameters of a spec, each declared with param(); its docstring is its
paragraph in `redis-tap faults` and in the documentation; its class variables say which triggers make sense with it. Its
effect is in methods, all optional, each called with the connection to act on (site.py). All connections share one
instance, so a kind holds no state: what it must remember about a connection goes into site.notes.

    act            at a byte or at a time             cut, drop, corrupt, truncate
    take_command   a command of the stream            drop, duplicate, reorder, corrupt; others act() at its edge
    take_frame     a request, a reply, a newline      drop, answer, corrupt; others act() at its edge
    rewritten      a changed request                  rewrite
    header         the line that announces an RDB     truncate
    prepare        when applied to a connection       delay, throttle, slice (a shaper); truncate (a mark)
    start, stop    of an effect that lasts            stall
    over           the fault has ended, the connection has not    mute, reset: they have swallowed bytes
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from tap.faults.scope import Scope
from tap.faults.site import HandshakeFrame, Site
from tap.faults.taken_command import TakenCommand
from tap.faults.when import When
from tap.replication.events import Side
from tap.replication.requests import Request

# How a server reacts to such bytes (Redis 7.0 rdb.c, rdbReportError).
DAMAGED_RDB = "a replica that loads a damaged RDB exits"
FALSE_CONTINUE = "a replica that asked for a full resync and gets +CONTINUE crashes"


class Watch(enum.Enum):
    """What a kind matches by itself, without a trigger that names it."""

    NOTHING = enum.auto()
    ACKS = enum.auto()
    PINGS = enum.auto()
    NEWLINES = enum.auto()
    REQUESTS = enum.auto()  # every request, for rewritten()
    HEADER = enum.auto()  # the line that announces the RDB, for header()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """kind: its name in a spec. example: a spec. once: it fires once unless times= says otherwise.

    takes: the triggers that make sense with it, besides after and probability. lacks: scope parameters it refuses.
    ends_servers: an example spec that ends a server process, "" if none does. doing: for kinds that last, what events say
    when one begins. needs_argument: wait for a command's first argument before taking the command. takes_next: it also
    needs the next command, which other faults with takes_next then leave alone. damages: after it, a partial resync may
    deliver bytes twice or not at all, without either server noticing.
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
    damages: ClassVar[bool] = False

    # ---- as declared in a spec ----

    def wrong(self, when: When, scope: Scope) -> str:
        """What is missing or contradictory; "" if nothing is."""
        return ""

    def danger(self, when: When) -> str:
        """How it ends a server process, "" if servers survive it."""
        return ""

    @property
    def watches(self) -> Watch:
        return Watch.NOTHING

    @property
    def keeps_out(self) -> str:
        """How it keeps out connecting replicas: "refuse", "close" or "blackhole"; "" if it does not."""
        return ""

    @property
    def least_delay(self) -> float:
        """Minimum delay of every byte of a direction, in seconds."""
        return 0.0

    # ---- on one connection ----

    def prepare(self, site: Site) -> None:
        """Called once for each connection that the fault applies to."""

    def start(self, site: Site) -> None:
        """Begin an effect that lasts."""

    def stop(self, site: Site) -> None:
        """End an effect that lasts."""

    def over(self, site: Site) -> None:
        """An effect that lasted has ended, after stop(), because the fault was removed or its time is over."""

    def act(self, site: Site, side: Side, position: int, *, at_once: bool) -> None:
        """Act now: the lane of *side* has passed every byte before *position*.

        at_once: a timer fired, at no byte in particular. The default begins the effect of a kind that lasts.
        """
        site.go_on()

    def take_command(self, site: Site, taken: TakenCommand) -> None:
        """A command of the stream matches, and the fault fires on it."""
        edge = site.when.edge or "end"
        if edge == "end":
            taken.on_end = taken.act_at
        else:
            taken.act_at(taken.begin if edge == "start" else taken.name_end)

    def take_frame(self, site: Site, frame: HandshakeFrame) -> bytes | None:
        """A request, a reply or a newline matches, and the fault fires on it.

        Returns the line, without its line end, that replaces the master's reply to this request; None to replace nothing.
        """
        edge = site.when.edge or "start"
        site.act_in(frame.side, {"start": frame.start, "inside": (frame.start + frame.end) // 2, "end": frame.end}[edge])
        return None

    def rewritten(self, site: Site, request: Request) -> tuple[list[bytes], str] | None:
        """The request's new words and a text that says what changed; None to leave it as it is."""
        return None

    def header(self, site: Site, line: bytes, start: int, end: int) -> None:
        """The master announces the RDB: `$<length>` or `$EOF:<mark>`, in bytes start <= i < end."""
