"""A sync on two connections: the RDB on one of them and, at the same time, the stream on the other.

With one connection the master must buffer what is written during the RDB. With two, the replica receives it at once.
Redis 8.0 and Valkey 8.0 do this differently:

                      Redis                                       Valkey
    main connection   PSYNC <id> <offset>                         PSYNC <id> <offset>
                      +RDBCHANNELSYNC <client id>                 +DUALCHANNELSYNC
                      the stream, at once                         (waits)
    RDB channel       REPLCONF rdb-channel 1 main-ch-client-id    REPLCONF rdb-channel 1, then SYNC
                      <client id>, then PSYNC                     $ENDOFF:<offset> <id> <db> <channel's client id>
                      +FULLRESYNC <id> <offset>, the RDB          the RDB
    main connection                                               REPLCONF set-rdb-client-id <client id>
                                                                  PSYNC <id> <offset + 1>, +CONTINUE, the stream

Each connection thus depends on bytes of the other. The RDB channel's grant places the main connection's stream; the end
of the RDB starts the loading; the replica's first acknowledgement, on the main connection, shows that a diskless RDB was
complete. Both connections share a TwoConnectionSync; each calls it when something happens, and it calls the other. All
events of the sync are reported as the main connection's, in the order in which their bytes arrived.

How the two find each other: in Redis, the main connection is named by its client ID, which the channel repeats. In
Valkey there is no name at first, so the main connection waits under its announced address; the client ID that it sends
later confirms the channel, or corrects the guess, because replicas with the same address cannot be told apart before. In
a capture that lacks the requests, only the host is known. A name that fits several connections selects none of them: an
RDB channel without a main connection is reported on its own.

Sources: Redis 8.0 and Valkey 8.0 replication.c.
"""

from __future__ import annotations

from typing import Protocol

from tap.replication.phase import AS_MAIN, Phase
from tap.replication.rendezvous import Rendezvous
from tap.replication.state import State


class SyncConnection(Protocol):
    """The interface of one of the two connections for the other."""

    state: State
    sync: TwoConnectionSync | None

    @property
    def phase(self) -> Phase: ...

    def belong_to(self, main: SyncConnection | None) -> None:
        """Become the RDB channel of *main*; None: the main connection is unknown."""

    def tell_full(self, replid: str, offset: int, start: int, end: int, channel: State) -> None:
        """Report the full resync that was granted to this connection by bytes start <= i < end of the channel."""

    def place(self, replid: str, offset: int) -> None:
        """Set the history and the offset of the RDB; the stream begins after that offset."""

    def finish_if_complete(self) -> None:
        """The replica acknowledges: finish an RDB that looks complete."""


class TwoConnectionSync:
    """channel: None until its RDB is granted. is_dual: Valkey's form. has_closed: the main connection has closed; the
    channel then reports on its own.
    """

    def __init__(self, main: SyncConnection) -> None:
        self.main = main
        self.channel: SyncConnection | None = None
        self.is_dual = False
        self.has_closed = False

    @property
    def phase(self) -> Phase | None:
        """The phase of the main connection until the replica acknowledges; None while no RDB has been granted."""
        return None if self.channel is None else AS_MAIN.get(self.channel.phase, Phase.WAITING)

    def granted(self, channel: SyncConnection, replid: str, offset: int, start: int, end: int) -> None:
        """The master has granted an RDB of this history on the channel, in these bytes of it."""
        self.main.tell_full(replid, offset, start, end, channel.state)
        self.channel = channel
        self.main.place(replid, offset)

    def named(self, channel: SyncConnection) -> None:
        """The replica has named its channel, which may have been attributed to another main connection, or to none."""
        state = channel.state
        if state.replid is not None and state.base is not None:
            channel.belong_to(self.main)
            self.channel = channel
            self.main.place(state.replid, state.base)

    def rdb_read(self) -> None:
        """More of the RDB has arrived on the channel."""
        watcher = self.main.state.watcher
        if watcher is not None:
            watcher.other_channel_read()

    def rdb_ended(self) -> None:
        """All of the RDB has arrived on the channel."""
        stream = self.main.state.stream
        if stream is not None:
            stream.begin(buffered=stream.received)

    def acknowledged(self) -> None:
        """The replica has acknowledged, on the main connection."""
        if self.channel is not None:
            self.channel.finish_if_complete()


# ---- how the two find each other ----


def redis_key(client_id: str) -> str:
    """The name of a main connection of Redis."""
    return f"main client {client_id}"


def valkey_key(replica: str) -> str:
    """The name of a main connection of Valkey."""
    return f"replica {replica}"


def channel_key(client_id: str) -> str:
    """The name of an RDB channel of Valkey."""
    return f"rdb client {client_id}"


def main_by_port(rendezvous: Rendezvous[SyncConnection], state: State) -> SyncConnection | None:
    """The only main connection that waits for a Valkey RDB channel with the announced port of *state*; else None.

    Valkey 8.1 does not repeat the announced address on the second connection.
    """
    port = state.identity.options.get("listening-port")
    return _only([one for one in _mains(rendezvous, is_dual=True) if _options(one).get("listening-port") == port])


def main_by_host(rendezvous: Rendezvous[SyncConnection], state: State, *, is_dual: bool) -> SyncConnection | None:
    """The only main connection from the same host that waits for its RDB channel; else None."""
    mains = _mains(rendezvous, is_dual=is_dual)
    return _only([one for one in mains if one.state.peer_host == state.peer_host and one.state is not state])


def _mains(rendezvous: Rendezvous[SyncConnection], *, is_dual: bool) -> list[SyncConnection]:
    """The main connections whose RDB has not been granted yet."""
    return [
        one
        for one in rendezvous.all()
        if one.sync is not None and one.sync.main is one and one.sync.channel is None and one.sync.is_dual is is_dual
    ]


def _options(one: SyncConnection) -> dict[str, str]:
    return one.state.identity.options


def _only(found: list[SyncConnection]) -> SyncConnection | None:
    return found[0] if len(found) == 1 else None
