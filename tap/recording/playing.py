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
from tap.replication.events import Event, Side
from tap.replication.heads import Head
from tap.replication.stream import Stream


class BytesSink(Protocol):
    """Where the bytes of one connection go besides, once the connection is known to replicate."""

    def begin(self) -> None:
        """The first call, after the events withheld so far."""

    def read(self, side: Side, begin: int, data: bytes, at: int | None) -> None:
        """The conversation has read these bytes. begin: position of the first one; those skipped are missing.

        at: when they came, in nanoseconds since the epoch; None: now.
        """

    def note(self, name: bytes, position: int, words: int) -> None:
        """A command of the stream may carry passwords: see Stream, notices_secret."""

    def goes_on(self, conversation: Conversation) -> None:
        """Another conversation reads on. It stands where the master's next byte will be."""

    def end(self, side: Side, how: str) -> None:
        """The side has ended. how: as in events.LinkClosed."""

    def close(self, from_master: int, from_replica: int) -> None:
        """Nothing more comes. from_master, from_replica: how many bytes the connection had."""


class Connected(Protocol):
    """A played connection, as the player sees it in order to make its conversation and to tick it."""

    serial: int
    connection: TcpConnection
    conversation: Conversation
    name: str
    number: int
    peer: Endpoint
    is_ours: bool

    @property
    def ends(self) -> tuple[str, str]:
        """The addresses of replica and master."""

    def note(self, name: bytes, position: int, words: int) -> None:
        """The conversation notices a command that may carry passwords."""

    def tell(self, event: Event) -> None:
        """The conversation reports an event."""

    def count(self, stream: Stream, heads: list[Head]) -> None:
        """The conversation reports commands."""


# Makes the sink of a connection that replicates; None: nothing of it is kept. The time, in nanoseconds, is that of its
# opening, if it is to be kept from its first byte on.
Sinks = Callable[[Connected, int | None], BytesSink | None]


class Playing(Protocol):
    """The player of a capture, as its connections see it.

    connections, replicating: how many there have been. at_once, watch, ended, sinks: see Player.
    """

    connections: int
    replicating: int
    at_once: bool
    watch: ByteObserver | None
    ended: Callable[[Link], None] | None
    sinks: Sinks | None
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
