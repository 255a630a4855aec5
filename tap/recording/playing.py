"""The interfaces between a played connection and its player, so that neither has to import the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tap.bus import Told
from tap.capture.segments import Endpoint
from tap.capture.tcp_connection import TcpConnection
from tap.recording.batch import Batch
from tap.recording.byte_observer import ByteObserver
from tap.recording.link import Link
from tap.recording.missing import Account
from tap.replication.conversation import Conversation
from tap.replication.events import Event
from tap.replication.heads import Head
from tap.replication.stream import Stream


class Connected(Protocol):
    """A played connection, as the player sees it in order to make its conversation and to tick it."""

    serial: int
    connection: TcpConnection
    conversation: Conversation
    name: str
    number: int
    peer: Endpoint
    is_ours: bool

    def tell(self, event: Event) -> None:
        """The conversation reports an event."""

    def count(self, stream: Stream, heads: list[Head]) -> None:
        """The conversation reports commands."""


class Playing(Protocol):
    """The player of a capture, as its connections see it.

    connections, replicating: how many there have been. at_once, watch, ended: see Player.
    """

    connections: int
    replicating: int
    at_once: bool
    watch: ByteObserver | None
    ended: Callable[[Link], None] | None
    account: Account

    @property
    def now(self) -> int:
        """Nanoseconds since the epoch."""

    def number(self, wanted: int | None) -> int:
        """The number of the next connection."""

    def conversation(self, link: Connected) -> Conversation:
        """A new conversation for the link."""

    def find(self, number: int | None) -> Conversation | None:
        """The conversation of the connection with that number."""

    def wake(self, link: Connected) -> None:
        """Note that something about the link changes."""

    def tell(self, told: Told) -> None:
        """Report an event."""

    def count(self, batch: Batch) -> None:
        """Report commands."""

    def remark(self, text: str, kind: str = "remarks") -> None:
        """Add, once, a remark that makes no answer incomplete."""

    def remark_cuts(self) -> None:
        """Note that packets of a reported connection were cut short."""
