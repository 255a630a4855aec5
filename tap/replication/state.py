"""What is known of one connection: a record that the parts of its conversation share, and other rooms read.

Each part of a conversation changes only its own fields: the handshake the role and the replies, the resync the history,
the snapshot the RDB's positions. Changes to the connection as a whole are methods here: enter a phase, identify the
peer.
"""

from __future__ import annotations

from collections.abc import Callable

from tap.replication import events
from tap.replication.events import Channel, Event, Role, Side
from tap.replication.head_samples import HeadSamples
from tap.replication.heads import Head
from tap.replication.heard_secrets import HeardSecrets
from tap.replication.identity import ROLES, Identity
from tap.replication.passing import Passing
from tap.replication.payload import Payload
from tap.replication.phase import NEXT, REPLIES, Lost, Phase
from tap.replication.replies import readable
from tap.replication.requests import Request, exchange
from tap.replication.stream import Stream
from tap.replication.watcher import Watcher


class State:
    """Positions count the bytes of a direction from the beginning of the connection; None: there is no such position."""

    # CPython shares the keys of instance dicts up to 30 attributes only. Slots save 1.3 KB per connection, and a quarter
    # of the time that Tap.status() takes for 10,000 replicas.
    __slots__ = (
        "_kept_alive",
        "acked",
        "acknowledges",
        "base",
        "carried_db",
        "compares_acks",
        "connection",
        "db",
        "every_command",
        "every_key",
        "forced",
        "from_master",
        "from_replica",
        "heard_secrets",
        "identity",
        "is_unmatched",
        "lacks_replica",
        "max_command",
        "measures",
        "notices_secret",
        "ordinary_until",
        "passing",
        "rdb",
        "rdb_end",
        "rdb_ended_at",
        "rdb_start",
        "replid",
        "role",
        "samples",
        "step",
        "stream",
        "tell",
        "tell_heads",
        "waiting_from",
        "wants",
        "watcher",
    )

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

        # Set from outside.
        self.watcher: Watcher | None = None
        self.notices_secret: Callable[[bytes, int, int], None] | None = None  # see Stream; set before the stream begins
        self.compares_acks = True  # see Stream; set before the stream begins
        self.measures = True  # see Stream; set before the stream begins
        self.samples: HeadSamples | None = None  # see Stream; set before the stream begins
        self.carried_db: int | None = None  # in force at a partial resync, for a caller that knows more than the memory
        self.forced = ""  # how a fault forces the next resync to be a full one; "" if none does

        self.step = Phase.CONNECT  # by the bytes of this connection alone; see enter()
        self.role: Role | None = None
        self.from_master = 0  # bytes received in each direction
        self.from_replica = 0
        self.lacks_replica = False  # some of the replica's bytes are missing
        self.is_unmatched = False  # replies cannot be matched by count: see Handshake.unmatch()
        self.heard_secrets = HeardSecrets()
        self.acknowledges = False  # the replica has sent an acknowledgement, perhaps before there was a stream
        self._kept_alive: set[Side] = set()  # sides whose keepalive has been reported in this phase

        # An ordinary connection.
        self.passing: Passing | None = None  # after a request to replicate, too, until earlier replies have come
        self.ordinary_until: int | None = None  # position; the master's bytes before it are for an ordinary client

        # The history.
        self.replid: str | None = None
        self.base: int | None = None  # replication offset of the RDB, and before the stream's first byte
        self.db: int | None = None  # the database in force there

        # The RDB, as positions in the master's bytes.
        self.waiting_from: int | None = None  # where Phase.WAITING began
        self.rdb: Payload | None = None
        self.rdb_start: int | None = None  # the RDB's first byte; None until its header has been read
        self.rdb_end: int | None = None  # after the RDB and its mark
        self.rdb_ended_at: float | None = None  # the time of its last byte; None as well if its beginning was not read

        self.stream: Stream | None = None
        self.acked: int | None = None  # the last acknowledged offset, if the stream is not understood

    def enter(self, phase: Phase) -> None:
        """Change the phase; nothing else does. Raises Lost if the phase cannot follow the present one."""
        if phase is self.step:
            return
        if phase not in NEXT[self.step]:
            raise Lost(f"{phase.value} does not follow {self.step.value}")
        self.step = phase
        self._kept_alive.clear()

    def exchanged(self, request: Request | None, line: bytes | None) -> None:
        """Report a request and the first line of its reply; None: that one is not known."""
        self.tell(exchange(request, None if line is None else self.heard_secrets.hide(line)))

    def shown(self, line: bytes) -> str:
        """A line of the master as it may be shown."""
        return readable(self.heard_secrets.hide(line))

    def has_kept_alive(self, side: Side) -> bool:
        """Whether a keepalive of that side has been reported in this phase."""
        return side in self._kept_alive

    def keep_alive(self, side: Side, start: int, end: int) -> None:
        """Report a side's keepalive, once per phase."""
        if side not in self._kept_alive:
            self._kept_alive.add(side)
            self.tell(events.Keepalive(start=start, end=end, side=side))

    # ---- who it is ----

    def identify(self, role: Role, start: int, end: int, main: int | None = None) -> None:
        """Report what the peer is, unless that is known already. start, end: the request that shows it.

        main: for an RDB channel, the number of its main connection.
        """
        if self.role not in (None, Role.ORDINARY):
            return
        text = ROLES[role]
        if self.role is Role.ORDINARY:
            text += ", an ordinary connection until now: its earlier requests were not reported, and fired no fault"
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
        """The replica's source host, used as its name until the replica announces another."""
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
        """Which connection of a sync this one is."""
        return Channel.RDB if self.role is Role.RDB_CHANNEL else Channel.MAIN

    # ---- how far it is ----

    @property
    def is_followed(self) -> bool:
        """Whether this is an ordinary connection that may still ask to replicate."""
        return self.step is Phase.ORDINARY and self.passing is not None

    @property
    def is_beginning(self) -> bool:
        """Whether a reader needs all bytes since the first, of which there are few: see Conversation.standing()."""
        if self.step in REPLIES:
            return True
        stream = self.stream  # on a main connection the RDB channel may not have given its offset yet
        return self.step is Phase.STREAM and stream is not None and not (stream.has_begun or stream.is_placed)

    @property
    def is_in_rdb(self) -> bool:
        """Whether the master is sending an RDB on this connection."""
        return self.step is Phase.RDB

    @property
    def offset(self) -> int | None:
        """Replication offset of the last stream byte received from the master; before the stream, that of the RDB.

        While the master's bytes are not understood, the offset that the replica acknowledged last. None while unknown,
        and on a connection without a stream.
        """
        if self.stream is None:
            known = self.base if self.acked is None else self.acked
            return known if self.role is Role.REPLICA else None
        return self.stream.offset

    @property
    def rdb_filter(self) -> str | None:
        """The only content of the RDB, as requested by the peer; None: everything.

        "functions" for redis-cli --functions-rdb; "", no content, for redis-cli --replica (Redis 7.0 redis-cli.c).
        """
        return self.identity.options.get("rdb-filter-only")
