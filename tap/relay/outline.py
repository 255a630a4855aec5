"""What a connection is apart from its sockets: its name and number, where it goes, and the figures that users read.

Outline.status() has those of the live view and of metrics, Outline.figures() those that alerts compare.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container

from tap.relay.route import Route
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tap.replication.lag import UNKNOWN
from tap.replication.silence import Silence
from tap.status import AlertFigures, ConnectionStatus, connection_status, lag_of


class Outline:
    """number: counted by the tap. opened: loop time at which the replica connected.

    name: of the link; on a transparent link the master's address. ordinal: counted by the route. peer: the replica's
    source address. These and the conversation are set once the replica's leg has its socket.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.route: Route
        self.name: str
        self.ordinal: int
        self.conversation: Conversation
        self.peer = ""
        self._loop = asyncio.get_running_loop()
        self.opened = self._loop.time()
        self.silence: Silence | None = None  # once time has passed
        self._status: ConnectionStatus | None = None  # the last one; None after a change that no byte shows

    @property
    def is_held(self) -> bool:
        """Whether a fault keeps bytes for later."""
        return False

    @property
    def is_blocked(self) -> bool:
        """Whether the replica takes no more at present."""
        return False

    @property
    def is_stalled(self) -> bool:
        """Whether a fault stalls the master's bytes."""
        return False

    @property
    def has_ended(self) -> bool:
        """Whether a side has sent FIN, or its socket is gone."""
        return False

    @property
    def tap_address(self) -> tuple[str, int] | None:
        """The tap's address on the connection to the master; None while there is none."""
        return None

    @property
    def buffer_bytes(self) -> int | None:
        """Bytes in the master's output buffer for this replica; None if the master is not asked."""
        return None

    @property
    def phase(self) -> str:
        """The phase: "handshake", "rdb", "stream" and so on."""
        return self.conversation.phase.value

    @property
    def role(self) -> str | None:
        """What the peer is: "replica", "rdb_channel" and so on; None while unknown."""
        return None if self.conversation.role is None else self.conversation.role.value

    @property
    def replid(self) -> str | None:
        """The replication ID of the history that flows."""
        return self.conversation.replid

    @property
    def offset(self) -> int | None:
        """The replication offset of the last byte received from the master; None if there is none."""
        return self.conversation.offset

    @property
    def acked(self) -> int | None:
        """The last replication offset that the replica acknowledged."""
        return None if self.conversation.stream is None else self.conversation.stream.acked

    @property
    def lag_bytes(self) -> int | None:
        """How far the replica lags its master; None while unknown. See replication/lag.py."""
        return None if self.conversation.stream is None else self.conversation.stream.lag(self._loop.time()).bytes

    def status(self) -> ConnectionStatus:
        """How it stands at this moment."""
        status = self._status
        if status is None or not status.is_current(self.conversation):
            self._status = status = connection_status(
                self.conversation,
                self._loop.time(),
                number=self.number,
                link=self.name,
                peer=self.peer,
                master=self.route.master,
                opened=self.opened,
                silence=self.silence,
                is_held=self.is_held,
                buffer_bytes=self.buffer_bytes,
                is_blocked=self.is_blocked,
                is_stalled=self.is_stalled,
                has_ended=self.has_ended,
                tap_address=self.tap_address,
            )
        return status

    def figures(self, wanted: Container[str], now: float) -> AlertFigures:
        """What alerts compare of it: "lag", "silence", "buffer"."""
        silence = self.silence if "silence" in wanted else None
        return AlertFigures(
            self.name,
            self.number,
            self.conversation.replica,
            lag_of(self.conversation, self.silence, now) if "lag" in wanted else UNKNOWN,
            None if silence is None else silence.seconds(Side.MASTER, now),
            None if silence is None else silence.seconds(Side.REPLICA, now),
            self.buffer_bytes if "buffer" in wanted else None,
        )

    def __repr__(self) -> str:
        if not self.peer:
            return f"<Connection {self.number}, beginning>"
        offset = "" if self.offset is None else f", offset {self.offset}"
        replica = self.conversation.replica or self.peer
        return f"<Connection {self.number} of {self.name}: {replica}, {self.phase}{offset}>"
