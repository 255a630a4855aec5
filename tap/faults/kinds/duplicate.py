"""`duplicate`: a command goes out twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.faults.kind import Kind
from tap.faults.scope import Scope
from tap.faults.site import Site
from tap.faults.taken_command import TakenCommand
from tap.faults.when import When
from tap.replication.events import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Kind):
    """Send a command of the stream twice. A command above 16 MB is left alone."""

    kind: ClassVar[str] = "duplicate"
    damages: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset({"command", "key", "nth"})
    example: ClassVar[str] = "duplicate command=INCR nth=10"

    def wrong(self, when: When, scope: Scope) -> str:
        return "" if when.matches else f"which command? write for example {self.example!r}"

    def take_command(self, site: Site, taken: TakenCommand) -> None:
        lane, copied = site.lane(Side.MASTER), taken.copied

        def give_up(why: str) -> None:
            lane.end_copy(copied)
            taken.leave_alone(why)

        def ended(end: int) -> None:
            def act() -> None:
                lane.end_copy(copied)
                lane.insert(bytes(copied))
                site.sent_more()
                taken.fired(len(copied), f"sent {taken.text} twice")

            taken.give_up = None
            lane.mark(end, act)

        lane.mark(taken.begin, lambda: lane.copy(copied))
        taken.on_end = ended
        taken.give_up = give_up
