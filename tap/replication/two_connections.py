"""A sync on two connections: the RDB on one of them, and beside it, at the same time, the stream on the other.

With one connection a master keeps what is written during an RDB in its own memory. With two, the replica takes it at
once. Redis 8.0 and Valkey 8.0 do it differently:

                      Redis                                       Valkey
    main connection   PSYNC <id> <offset>                         PSYNC <id> <offset>
                      +RDBCHANNELSYNC <client id>                 +DUALCHANNELSYNC
                      the stream, at once                         (waits)
    RDB channel       REPLCONF rdb-channel 1 main-ch-client-id    REPLCONF rdb-channel 1, then SYNC
                      <client id>, then PSYNC                     $ENDOFF:<offset> <id> <db> <channel's client id>
                      +FULLRESYNC <id> <offset>, the RDB          the RDB
    main connection                                               REPLCONF set-rdb-client-id <client id>
                                                                  PSYNC <id> <offset + 1>, +CONTINUE, the stream

So bytes of one connection place the other: the channel's grant says where the main one's stream begins, the end of the
RDB there makes the replica load, and its first acknowledgement, here, shows that a diskless RDB was whole. A
TwoConnectionSync is what both share; each calls it when something happened, and it tells the other one. All events of the
sync are reported as the main connection's, in the order in which their bytes came.

How they find each other: Redis names the main connection by its client ID, which the channel repeats. Valkey names
nothing at first, so the main connection waits under its announced address; the client ID that it names later confirms
the channel, or corrects the guess, because replicas that share an address look alike. In a capture that lacks the
requests, only the host remains. A name that fits several connections leads to none of them: an RDB channel without a
main connection is reported on its own.

Sources: Redis 8.0 and Valkey 8.0 replication.c.
"""

from __future__ import annotations

from typing import Protocol

from tap.replication.phase import AS_MAIN, Phase
from tap.replication.rendezvous import Rendezvous
from tap.replication.state import State


class Half(Protocol):
    """One of the two connections, as the other one sees it."""

    state: State
    sync: TwoConnectionSync | None

    @property
    def phase(self) -> Phase: ...

    def belong_to(self, main: Half | None) -> None:
        """Be the RDB channel of *main*, if that is known."""

    def tell_full(self, replid: str, offset: int, start: int, end: int, channel: State) -> None:
        """Tell the full resync that bytes start <= i < end of that connection granted to this one."""

    def place(self, replid: str, offset: int) -> None:
        """The RDB, and what comes before the first byte of the stream, is of this history up to this offset."""

    def finish_if_complete(self) -> None:
        """The replica acknowledges: an RDB that looks complete is."""


class TwoConnectionSync:
    """channel: None until its RDB was granted. is_dual: Valkey's kind. has_closed: the main connection has: what the
    channel still brings is then its own.
    """

    def __init__(self, main: Half) -> None:
        self.main = main
        self.channel: Half | None = None
        self.is_dual = False
        self.has_closed = False

    @property
    def phase(self) -> Phase | None:
        """The phase of the main connection, until the replica acknowledges; None while no RDB has been granted."""
        return None if self.channel is None else AS_MAIN.get(self.channel.phase, Phase.WAITING)

    def granted(self, channel: Half, replid: str, offset: int, start: int, end: int) -> None:
        """The master has granted an RDB of this history on that connection, in these bytes of it."""
        self.main.tell_full(replid, offset, start, end, channel.state)
        self.channel = channel
        self.main.place(replid, offset)

    def named(self, channel: Half) -> None:
        """The replica has said which connection is the channel. It may have been taken for another one's, or for none."""
        state = channel.state
        if state.replid is not None and state.base is not None:
            channel.belong_to(self.main)
            self.channel = channel
            self.main.place(state.replid, state.base)

    def rdb_read(self) -> None:
        """More of the RDB has come on the channel."""
        watcher = self.main.state.watcher
        if watcher is not None:
            watcher.other_channel_read()

    def rdb_ended(self) -> None:
        """All of the RDB has come on the channel."""
        stream = self.main.state.stream
        if stream is not None:
            stream.begin(buffered=stream.received)

    def acknowledged(self) -> None:
        """The replica acknowledges, on the main connection."""
        if self.channel is not None:
            self.channel.finish_if_complete()


# ---- how they find each other ----


def redis_key(client_id: str) -> str:
    """The name of a main connection of Redis."""
    return f"main client {client_id}"


def valkey_key(replica: str) -> str:
    """The name of a main connection of Valkey."""
    return f"replica {replica}"


def channel_key(client_id: str) -> str:
    """The name of an RDB channel of Valkey."""
    return f"rdb client {client_id}"


def main_by_port(rendezvous: Rendezvous[Half], state: State) -> Half | None:
    """The main connection that waits for a Valkey RDB channel with this one's port, if there is only one.

    Valkey 8.1 does not repeat the announced address on the second connection.
    """
    port = state.identity.options.get("listening-port")
    return _only([one for one in _mains(rendezvous, is_dual=True) if _options(one).get("listening-port") == port])


def main_by_host(rendezvous: Rendezvous[Half], state: State, *, is_dual: bool) -> Half | None:
    """The main connection from the same host that waits for its RDB channel, if there is only one."""
    mains = _mains(rendezvous, is_dual=is_dual)
    return _only([one for one in mains if one.state.peer_host == state.peer_host and one.state is not state])


def _mains(rendezvous: Rendezvous[Half], *, is_dual: bool) -> list[Half]:
    """Those whose RDB has not been granted yet."""
    return [
        one
        for one in rendezvous.all()
        if one.sync is not None and one.sync.main is one and one.sync.channel is None and one.sync.is_dual is is_dual
    ]


def _options(one: Half) -> dict[str, str]:
    return one.state.identity.options


def _only(found: list[Half]) -> Half | None:
    return found[0] if len(found) == 1 else None
