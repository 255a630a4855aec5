"""What a kind of fault may know of the connection it is at work on, and do to it. work.py implements it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from tap.faults.lane import Lane
from tap.faults.shaper import Shaper
from tap.faults.when import When
from tap.replication.events import Side


@dataclass(frozen=True, slots=True)
class Frame:
    """A request, a reply or a bare newline before the stream, whole and not passed on yet: bytes start <= i < end.

    side: who sends it. name: of the request, or of the request that this is the reply to; empty for a bare newline, which
    keeps the connection alive.
    """

    side: Side
    name: bytes
    start: int
    end: int

    @property
    def text(self) -> str:
        """The name, for events."""
        return self.name.decode("latin-1")


class Site(Protocol):
    """One fault on one connection. Positions count the bytes of a direction from the first of the connection.

    rng: its dice, from the seed. amount: the number in its place, drawn if that is a range. notes: what the kind keeps of
    this connection. is_placed: its place is known, or has passed.
    """

    rng: Random
    amount: float
    notes: dict[str, Any]
    is_placed: bool

    @property
    def when(self) -> When: ...

    @property
    def sides(self) -> tuple[Side, ...]:
        """The directions it is for."""

    @property
    def is_over(self) -> bool:
        """Whether it has been removed, or will not fire again."""

    def lane(self, side: Side) -> Lane: ...

    # ---- firing ----

    def may_fire(self) -> bool:
        """Whether it fires now: by its time, the number of times, and chance. Counts it if so."""

    def fired(self, side: Side, position: int, size: int, text: str) -> None:
        """Report what it has just done to *size* bytes."""

    def act(self, side: Side, position: int, *, at_once: bool = False) -> None:
        """Kind.act(), on this connection."""

    def act_at(self, side: Side, position: int) -> None:
        """Act at this byte, if it may fire by then."""

    # ---- what is done for a while ----

    def go_on(self) -> None:
        """Begin what lasts: see Kind.doing."""

    def shape(self, side: Side, shaper: Shaper) -> None:
        """Let this shaper hold back what *side* sends, while it goes on."""

    def until(self, side: Side, position: int, end: Callable[[], None]) -> None:
        """End at this byte what is done to bytes; earlier if the fault is removed."""

    def after_rdb(self, act: Callable[[], None]) -> None:
        """Act at the end of the RDB that is passing, of which only its end will say where it is."""

    # ---- what is done to a frame ----

    def act_in(self, side: Side, position: int) -> None:
        """Act at this byte of a frame; the firing is counted already."""

    def replace(self, side: Side, start: int, end: int, data: bytes) -> None:
        """Send *data* in the place of bytes start <= i < end."""

    def replace_frame(self, frame: Frame, data: bytes, text: str) -> None:
        """Send *data* in the frame's place, and report it once the bytes before have passed."""

    # ---- what is done to the link ----

    def close_link(
        self, side: Side, position: int, *, reset: bool = False, legs: str = "both", at_once: bool = False
    ) -> None:
        """Close it after the bytes before *position*; at_once: after what is due, whatever faults still hold.

        reset: with RST. legs: "both", "master", "replica".
        """

    def sent_more(self) -> None:
        """Note that the replica has been sent more of the stream than the master sent, so its ACKs may be ahead."""
