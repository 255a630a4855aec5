"""What a kind of fault may know about the connection it acts on, and do to it. work.py implements it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from tap.faults.flow_items import CloseLink
from tap.faults.lane import Lane
from tap.faults.shaper import Shaper
from tap.faults.when import When
from tap.replication.events import Side


@dataclass(frozen=True, slots=True)
class HandshakeFrame:
    """A complete request, reply or bare newline before the stream, not passed on yet: bytes start <= i < end.

    side: the sender. name: of the request, or of the request that this reply answers; empty for a bare newline (a
    keepalive).
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
    """One fault on one connection. Positions count the bytes of a direction from the connection's first byte.

    rng: derived from the seed. amount: the number in the fault's place, drawn if that is a range. notes: what the kind
    remembers about this connection. is_placed: its place is known or has passed.
    """

    rng: Random
    amount: float
    notes: dict[str, Any]
    is_placed: bool

    @property
    def when(self) -> When: ...

    @property
    def sides(self) -> tuple[Side, ...]:
        """The directions that the fault applies to, by sender."""

    @property
    def is_over(self) -> bool:
        """Whether the fault has been removed or will not fire again."""

    def lane(self, side: Side) -> Lane: ...

    # ---- firing ----

    def may_fire(self) -> bool:
        """Whether the fault fires now, by its time window, times= and probability=. Counts the firing if it does."""

    def fired(self, side: Side, position: int, size: int, text: str) -> None:
        """Report what the fault has just done to *size* bytes."""

    def act(self, side: Side, position: int, *, at_once: bool = False) -> None:
        """Kind.act(), on this connection."""

    def act_at(self, side: Side, position: int) -> None:
        """Act at this byte, if the fault may fire by then."""

    # ---- lasting effects ----

    def go_on(self) -> None:
        """Begin a lasting effect: see Kind.doing."""

    def shape(self, side: Side, shaper: Shaper) -> None:
        """Let this shaper hold back what *side* sends while the effect lasts."""

    def call_later(self, seconds: float, act: Callable[[], None]) -> None:
        """Call *act* after this time unless the effect ends before. Replaces what was to be called."""

    def until(self, side: Side, position: int, end: Callable[[], None]) -> None:
        """Call *end* at this byte to end an effect on bytes; earlier if the fault is removed."""

    def after_rdb(self, act: Callable[[], None]) -> None:
        """Act at the end of the RDB that is passing; where that is may be known only once it is reached."""

    # ---- effects on a frame ----

    def act_in(self, side: Side, position: int) -> None:
        """Act at this byte of a frame; the firing is counted already."""

    def replace(self, side: Side, start: int, end: int, data: bytes) -> None:
        """Send *data* in place of the bytes start <= i < end."""

    def replace_frame(self, frame: HandshakeFrame, data: bytes, text: str) -> None:
        """Send *data* in place of the frame, and report that once the bytes before the frame have passed."""

    # ---- effects on the link ----

    def close_link(
        self, side: Side, position: int, *, reset: bool = False, legs: str = "both", at_once: bool = False
    ) -> None:
        """Close the link after the bytes before *position*. at_once: after due items, discarding what faults still hold.

        reset: with RST. legs: "both", "master", "replica".
        """

    def order_to_close(self, side: Side, position: int) -> CloseLink:
        """For a shaper to pass on after the bytes before *position*: close the link there, with FIN."""

    def sent_more(self) -> None:
        """Note that the replica has been sent more of the stream than the master sent, so its ACKs may be ahead."""
