"""Where bytes go besides to the other side: the interface that a recorder implements.

The relay calls it in the event loop, after the conversation has read the same bytes. A sink must return at once and must
not raise. The buffer is used again afterwards, so a sink that keeps bytes copies them.
"""

from __future__ import annotations

from typing import Protocol

from tap.replication.conversation import Conversation
from tap.replication.events import LinkOpened, Side

HostPort = tuple[str, int]  # the host in digits


class ConnectionSink(Protocol):
    """The sink of one connection."""

    def dialled(self, master: HostPort | None) -> None:
        """The master has been dialled at this address; None: over a Unix socket."""

    def received(self, side: Side, data: memoryview) -> None:
        """The next bytes from *side*, as received."""

    def ended(self, side: Side, how: str) -> None:
        """The side has ended: with "fin" its own direction, with "reset" both."""

    def noticed(self, name: bytes, position: int, words: int) -> None:
        """A command of the stream may carry passwords: see Stream, notices_secret."""


class Sink(Protocol):
    """The sink of a tap."""

    def opened(self, link: str, conversation: Conversation, replica: HostPort, tap: HostPort) -> ConnectionSink | None:
        """A replica has connected, from its address to an address of the tap. Its LinkClosed on the bus ends the sink.

        Returns None if nothing of the connection is to be kept.
        """

    def joined(
        self,
        link: str,
        conversation: Conversation,
        replica: HostPort,
        tap: HostPort,
        master: HostPort | None,
        opened: LinkOpened,
    ) -> ConnectionSink | None:
        """As opened(), of a connection that was there before the sink. master: None if it is not dialled yet.

        opened: what was reported when it opened.
        """
