"""A command of the stream that a fault took: what to do once its end, or the end of the next command, is known."""

from __future__ import annotations

from collections.abc import Callable

from tap.faults.site import Site
from tap.replication.events import Side

MAX_COPIED = 16 * 2**20  # bytes of a command that is sent twice or later


class TakenCommand:
    """Positions count from the connection's first byte. Kind.take_command() sets the callbacks.

    name_end: after the name. first: first byte of the first argument; without one, the last byte of the name. text: name
    and key, for events. on_end, on_next_end: called with the end of this command and of the next one. give_up: called
    with the reason if the command grows too large, or if the stream can no longer be parsed. on_unread: without give_up,
    called with the position from which the stream can no longer be parsed, if that comes before the command's end.
    on_lost: called if the link ends first. copied: the command's bytes, as far as collected.
    """

    def __init__(
        self, site: Site, begin: int, name_end: int, first: int, text: str, closed: Callable[[TakenCommand, bool], None]
    ) -> None:
        self.begin = begin
        self.name_end = name_end
        self.first = first
        self.text = text
        self.end: int | None = None
        self.copied = bytearray()
        self.on_end: Callable[[int], None] | None = None
        self.on_next_end: Callable[[int], None] | None = None
        self.give_up: Callable[[str], None] | None = None
        self.on_unread: Callable[[int], None] | None = None
        self.on_lost: Callable[[], None] | None = None
        self._site = site
        self._closed = closed

    def close(self, *, done: bool = True) -> None:
        """The fault is done with this command. done=False: it never acted, so the firing does not count."""
        self._closed(self, done)

    def act_at(self, position: int) -> None:
        """Let the kind act at this byte, unless the fault has been removed by then."""

        def act() -> None:
            if not self._site.is_over:
                self._site.act(Side.MASTER, position)
            self.close()

        self._site.lane(Side.MASTER).mark(position, act)

    def fired(self, size: int, text: str) -> None:
        """Report the firing and close."""
        self._site.fired(Side.MASTER, self.begin, size, text)
        self.close()

    def limit(self) -> None:
        """Give up a copy that has grown too large."""
        if len(self.copied) > MAX_COPIED and self.give_up is not None:
            self.give_up(f"it has more than {MAX_COPIED} bytes")

    def leave_alone(self, why: str) -> None:
        """Do nothing to a command that cannot be collected."""
        self.copied.clear()
        self.on_end = self.on_next_end = self.give_up = None
        self.fired(0, f"left {self.text} alone: {why}")
