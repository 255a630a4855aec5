"""The interface of what receives the master's raw bytes while a recording is played."""

from __future__ import annotations

from typing import Protocol

from tap.replication.conversation import Conversation


class ByteObserver(Protocol):
    """Receives raw bytes of replication, each chunk after the conversation has read it."""

    def received(self, connection: int, link: str, conversation: Conversation, data: bytes, time: int) -> None:
        """Take the master's next bytes, which end at conversation.from_master. time: nanoseconds.

        connection: its serial number in the capture, from 1. After a gap the same connection has a new conversation.
        """

    def ended(self, conversation: Conversation) -> None:
        """Note that nothing more comes for a conversation."""
