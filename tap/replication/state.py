"""What is known of one connection: a record that the parts of its conversation share, and others read.

Each part of a conversation changes what is its own: the handshake the role and the replies, the resync the history, the
snapshot the RDB's places. What they do to the connection as a whole is a method here: to enter a phase, to identify the
peer.
"""

from __future__ import annotations

from collections.abc import Callable

from tap.replication import events
from tap.replication.events import Channel, Event, Role, Side
from tap.replication.heads import Head
from tap.replication.identity import ROLES, Identity
from tap.replication.passing import Passing
from tap.replication.payload import Payload
from tap.replication.phase import NEXT, REPLIES, Lost, Phase
from tap.replication.stream import Stream
from tap.replication.watcher import Watcher


class State:
    """Positions count the bytes of a direction from the first of the connection; None where there is no such place."""

    def __init__(
        self,
        tell: Callable[[Event], None],
        connection: int,
        identity: Identity,
        every_command: bool,
        every_key: bool,
        max_command: int,
        tell_heads: Callable[[Stream, list[Head]], None] | None,
        wants: Callable[[type[Event]], bool],
    ) -> None:
        self.tell = tell
        self.connection = connection
        self.identity = identity
        self.every_command = every_command
        self.every_key = every_key
        self.max_command = max_command
        self.tell_heads = tell_heads
        self.wants = wants

        # For others to set.
        self.watcher: Watcher | None = None
        self.notices_secret: Callable[[bytes, int, int], None] | None = None  # see Stream; before it begins
        self.compares_acks = True  # see Stream; before it begins
        self.carried_db: int | None = None  # over a partial resync, where more is known than the memory holds
        self.forced = ""  # what a fault did so that the next resync is a full one

        self.step = Phase.CONNECT  # as the bytes of this connection alone say; see enter()
        self.role: Role | None = None
        self.from_master = 0  # bytes received in each direction
        self.from_replica = 0
        self.lacks_replica = False  # some bytes of the replica are not at hand
        self.is_unmatched = False  # replies cannot be counted: see Handshake.unmatch()
        self.acknowledges = False  # the replica does, or did while there was nothing yet
        self._kept_alive: set[Side] = set()  # sides whose keepalive has been told in this phase

        # An ordinary connection.
        self.passing: Passing | None = None  # also after it asked to replicate, while earlier replies are to come
        self.ordinary_until: int | None = None  # in the master's bytes; those before it are an ordinary client's

        # The history.
        self.replid: str | None = None
        self.base: int | None = None  # replication offset of the RDB, and before the stream's first byte
        self.db: int | None = None  # in force there

        # The RDB, in the master's bytes.
        self.waiting_from: int | None = None  # where Phase.WAITING began
        self.rdb: Payload | None = None
        self.rdb_start: int | None = None  # its first byte; None until its header has been read
        self.rdb_end: int | None = None  # after it and its mark

        self.stream: Stream | None = None
        self.acked: int | None = None  # by a replica whose stream is not understood

    def enter(self, phase: Phase) -> None:
        """The only place that changes the phase. Raises Lost for one that does not follow."""
        if phase is self.step:
            return
        if phase not in NEXT[self.step]:
            raise Lost(f"{phase.value} does not follow {self.step.value}")
        self.step = phase
        self._kept_alive.clear()

    def has_kept_alive(self, side: Side) -> bool:
        """Whether a keepalive of that side has been reported in this phase."""
        return side in self._kept_alive

    def keep_alive(self, side: Side, start: int, end: int) -> None:
        """Tell a keepalive, once in a phase."""
        if side not in self._kept_alive:
            self._kept_alive.add(side)
            self.tell(events.Keepalive(start=start, end=end, side=side))

    # ---- who it is ----

    def identify(self, role: Role, start: int, end: int, main: int | None = None) -> None:
        """Tell what the peer is, unless that is known. start, end: of the request that shows it.

        main: the number of the main connection, of an RDB channel.
        """
        if self.role not in (None, Role.ORDINARY):
            return
        text = ROLES[role]
        if self.role is Role.ORDINARY:
            text += ", an ordinary connection until now: no request of that time was told, and no fault fired on them"
        self.role = role
        if role is Role.RDB_CHANNEL and main is not None:
            text = f"{text} of connection {main}"
        self.tell(
            events.Identified(start=start, end=end, role=role, replica=self.replica, text=text, main_connection=main)
        )

    @property
    def replica(self) -> str:
        """The replica's name; see Identity.name()."""
        return self.identity.name(self.role)

    @property
    def peer_host(self) -> str:
        """The replica's source host, which is its name until it announces another."""
        return self.identity.host

    @peer_host.setter
    def peer_host(self, host: str) -> None:
        self.identity.host = host

    @property
    def peer_port(self) -> int:
        """The replica's source port, 0 where it is unknown."""
        return self.identity.port

    @peer_port.setter
    def peer_port(self, port: int) -> None:
        self.identity.port = port

    @property
    def channel(self) -> Channel:
        """Which connection of a sync it is."""
        return Channel.RDB if self.role is Role.RDB_CHANNEL else Channel.MAIN

    # ---- how far it is ----

    @property
    def is_followed(self) -> bool:
        """Whether it is an ordinary connection that may still ask to replicate."""
        return self.step is Phase.ORDINARY and self.passing is not None

    @property
    def is_beginning(self) -> bool:
        """Whether only its first bytes make it understood, and few have come yet: see Conversation.standing()."""
        if self.step in REPLIES:
            return True
        stream = self.stream  # on a main connection its offset may still have to come from the RDB channel
        return self.step is Phase.STREAM and stream is not None and not (stream.has_begun or stream.is_placed)

    @property
    def is_in_rdb(self) -> bool:
        """Whether the master is sending an RDB on this connection."""
        return self.step is Phase.RDB

    @property
    def offset(self) -> int | None:
        """Replication offset of the last stream byte received from the master, or of the RDB before there is one.

        Where the master was not understood so far, what the replica acknowledged last. None while unknown, and on a
        connection that has no stream.
        """
        if self.stream is None:
            known = self.base if self.acked is None else self.acked
            return known if self.role is Role.REPLICA else None
        return self.stream.offset

    @property
    def rdb_filter(self) -> str | None:
        """The only content of the RDB, by request of the peer; None: everything.

        "functions" for redis-cli --functions-rdb, "", which is nothing, for redis-cli --replica (Redis 7.0 redis-cli.c).
        """
        return self.identity.options.get("rdb-filter-only")
