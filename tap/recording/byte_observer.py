"""Who sees the master's bytes themselves while a recording is played."""

from __future__ import annotations

from typing import Protocol

from tap.replication.conversation import Conversation


class Watch(Protocol):
    """Sees the bytes of replication themselves, behind the conversation's own reading of them."""

    def received(self, connection: int, link: str, conversation: Conversation, data: bytes, time: int) -> None:
        """The master's next bytes, the last of conversation.from_master. connection: counted as they began, from 1.

        Behind a gap in the bytes there is a new conversation of the same connection. time: nanoseconds.
        """

    def ended(self, conversation: Conversation) -> None:
        """It has been told all that it will be."""
