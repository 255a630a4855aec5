"""A command of the stream that a fault took: what is done to it once its end, or that of the next one, is known."""

from __future__ import annotations

from collections.abc import Callable

from tap.faults.site import Site
from tap.replication.events import Side

MAX_COPIED = 16 * 2**20  # bytes of a command that is sent twice, or later


class Taken:
    """Positions are the connection's. Kind.take_command() sets what is to be done.

    name_end: after the name. first: first byte of the first argument; without one, the last byte of the name. text: name
    and key, for events. on_end, on_next_end: called with the end of the command, and of the next one. give_up: called if
    it grows too large, or the stream stops being understood. on_lost: called if the link ends first. ends_unread: call
    on_end also where the stream stops being understood. copied: what has been collected of it.
    """

    def __init__(
        self, site: Site, begin: int, name_end: int, first: int, text: str, closed: Callable[[Taken, bool], None]
    ) -> None:
        self.begin = begin
        self.name_end = name_end
        self.first = first
        self.text = text
        self.end: int | None = None
        self.copied = bytearray()
        self.on_end: Callable[[int], None] | None = None
        self.on_next_end: Callable[[int], None] | None = None
        self.give_up: Callable[[], None] | None = None
        self.on_lost: Callable[[], None] | None = None
        self.ends_unread = False
        self._site = site
        self._closed = closed

    def close(self, *, done: bool = True) -> None:
        """The fault has done what it does to it. done=False: it never will, and has not fired."""
        self._closed(self, done)

    def act_at(self, position: int) -> None:
        """Let the kind act at this byte. A fault that has been removed by then does nothing."""

        def act() -> None:
            if not self._site.is_over:
                self._site.act(Side.MASTER, position)
            self.close()

        self._site.lane(Side.MASTER).mark(position, act)

    def fired(self, size: int, text: str) -> None:
        """Report it, and be done."""
        self._site.fired(Side.MASTER, self.begin, size, text)
        self.close()

    def limit(self) -> None:
        """Let go of a copy that has become too large."""
        if len(self.copied) > MAX_COPIED and self.give_up is not None:
            self.give_up()

    def leave_alone(self) -> None:
        """It is too large to be collected."""
        self.copied.clear()
        self.on_end = self.on_next_end = self.give_up = None
        self.fired(0, f"left {self.text} alone: it has more than {MAX_COPIED} bytes")
