"""`reorder`: a command and the next one change places."""

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
class Reorder(Kind):
    """Send a command of the stream after the one that follows it. A command above 16 MB is left alone."""

    kind: ClassVar[str] = "reorder"
    damages: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset({"command", "key", "nth"})
    takes_next: ClassVar[bool] = True
    example: ClassVar[str] = "reorder command=SET key=counter"

    def wrong(self, when: When, scope: Scope) -> str:
        return "" if when.matches else f"which command? write for example {self.example!r}"

    def take_command(self, site: Site, taken: TakenCommand) -> None:
        lane, copied = site.lane(Side.MASTER), taken.copied

        def begin() -> None:
            lane.copy(copied)
            lane.skip(on=True)

        def end_copy() -> None:
            lane.end_copy(copied)
            lane.skip(on=False)

        def give_up(why: str) -> None:
            end_copy()
            lane.insert(bytes(copied))
            taken.leave_alone(why)

        def ended(end: int) -> None:
            taken.give_up = None
            lane.mark(end, end_copy)

        def next_ended(end: int) -> None:
            def act() -> None:
                lane.insert(bytes(copied))
                taken.fired(len(copied), f"sent {taken.text} after the next command")

            lane.mark(end, act)

        lane.mark(taken.begin, begin)
        taken.on_end = ended
        taken.on_next_end = next_ended
        taken.give_up = give_up
        taken.on_lost = lambda: taken.fired(len(copied), f"lost {taken.text}: no other command came after it")
