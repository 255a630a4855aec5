"""Where the bytes of links go besides to their other side: what the relay offers to whoever keeps them.

All is called in the event loop, behind the conversation's own reading of the same bytes. It must return at once and never
raise; a copy is the sink's own to make, for the buffer is used again.
"""

from __future__ import annotations

from typing import Protocol

from tap.replication.conversation import Conversation
from tap.replication.events import Side

Place = tuple[str, int]  # host, in digits, and port


class LinkSink(Protocol):
    """One link's."""

    def dialled(self, master: Place | None) -> None:
        """The master's connection is there; None: over a Unix socket."""

    def received(self, side: Side, data: memoryview) -> None:
        """The next bytes of what *side* sends, as they came in."""

    def ended(self, side: Side, how: str) -> None:
        """The side has ended what it sends: "fin", or with "reset" all."""


class Sink(Protocol):
    """All links'."""

    def opened(self, link: str, conversation: Conversation, replica: Place, tap: Place) -> LinkSink | None:
        """A replica has connected, from its address to the tap's. Its LinkClosed on the bus ends what is returned.

        None: nothing is kept of it.
        """
