"""A connection as its parts see it: what opening, closing and carrying out faults may ask of the whole.

The parts know this interface and not the connection, so that imports go one way: connection.py uses the parts.
"""

from __future__ import annotations

from typing import Protocol

from tap.faults.rules import Rules
from tap.relay.closing import Closing
from tap.relay.leg import Leg
from tap.relay.route import Route
from tap.relay.sink import ConnectionSink
from tap.replication.conversation import Conversation
from tap.replication.events import Event


class ConnectionInterface(Protocol):
    """See Outline and Connection."""

    number: int
    name: str
    ordinal: int
    peer: str
    opened: float
    closed: bool
    route: Route
    conversation: Conversation
    replica: Leg
    master: Leg
    closing: Closing
    sink: ConnectionSink | None

    @property
    def is_known(self) -> bool:
        """Whether the replica's address has synced through this tap before."""

    @property
    def is_dialling(self) -> bool:
        """Whether the master's leg is still being made."""

    def notice_secret(self, name: bytes, position: int, words: int) -> None:
        """A command of the stream may carry passwords."""

    def tell(self, event: Event) -> None:
        """Publish an event of this connection."""

    def add(self) -> None:
        """The connection has its socket and its route: count it among those that are open."""

    def set_rules(self, rules: Rules) -> None:
        """What the link changes of this replica's requests."""

    def dial(self) -> None:
        """Connect to the master."""

    def stop_dialling(self) -> None:
        """Give up connecting to the master, if that is under way."""

    def announce(self, host: str) -> None:
        """Tell the master that the replica's address is this one; "": what the replica says by itself."""

    def pass_fin(self, leg: Leg) -> None:
        """Forward the FIN of the leg's peer."""
