"""How one connection gets its data: what the replica asks for, what the master grants, and what follows.

A replica asks with PSYNC for the first byte it lacks, or with SYNC for everything. The master's answer decides:

    +FULLRESYNC <id> <offset>   an RDB of that history up to the offset, and the stream from the next byte on
    +CONTINUE <id>              the stream from where the replica stopped; the ID may be a new one for the same history
    two connections             the RDB on another one: see two_connections.py
    -...                        not now; the replica asks again, or falls back to SYNC, which gets the RDB's header only

The wire does not show why a resync is a full one, how much a partial one brings, and which database is in force where it
begins. Only the memory of earlier connections can, as far as it goes.
"""

from __future__ import annotations

from collections.abc import Sequence

from tap.replication import events
from tap.replication.events import Reason, Role
from tap.replication.grants import (
    DualChannelGrant,
    FullGrant,
    PartialGrant,
    RdbChannelGrant,
    is_number,
    read_end_offset,
    read_grant,
)
from tap.replication.memory import Memory
from tap.replication.phase import REPLIES, Lost, Phase
from tap.replication.reasons import why_full, why_sync
from tap.replication.rendezvous import Rendezvous
from tap.replication.replies import readable
from tap.replication.requests import Request
from tap.replication.snapshot import Snapshot
from tap.replication.state import State
from tap.replication.stream import Stream
from tap.replication.two_connections import (
    SyncConnection,
    TwoConnectionSync,
    channel_key,
    main_by_host,
    main_by_port,
    redis_key,
    valkey_key,
)


class Resync:
    """sync: the two-connection sync that this connection takes part in, as main connection or RDB channel; else None."""

    __slots__ = (
        "_asked",
        "_memory",
        "_refusal",
        "_written",
        "snapshot",
        "state",
        "sync",
    )

    def __init__(self, state: State, memory: Memory) -> None:
        self.state = state
        self.sync: TwoConnectionSync | None = None
        self.snapshot = Snapshot(state, self._syncing, self._rdb_ended)
        self._memory = memory
        self._asked: tuple[str | None, int] | None = None  # ID and offset of the sync's first PSYNC; ID None: ?
        self._written: int | None = None  # by the master, as far as was known then
        self._refusal: str | None = None

    @property
    def _rendezvous(self) -> Rendezvous[SyncConnection]:
        rendezvous: Rendezvous[SyncConnection] = self._memory.rendezvous
        return rendezvous

    @property
    def phase(self) -> Phase:
        """The phase from the replica's point of view: a main connection has that of its RDB channel until the replica
        acknowledges, and a replica is LOADING between its RDB and its first acknowledgement.
        """
        state, step = self.state, self.state.step
        if step is Phase.STREAM:
            if state.stream is None or state.stream.acked is not None:
                return step
            is_replica = state.role is Role.REPLICA
            if is_replica and not state.stream.is_placed and not state.stream.has_begun:
                return Phase.WAITING
            channels = None if self.sync is None or self._as_main is None else self._as_main.phase
            if channels is not None:
                return channels
            return Phase.LOADING if is_replica and state.rdb is not None and not state.lacks_replica else step
        if step is Phase.RDB and state.rdb is not None and state.rdb.looks_complete:
            return Phase.LOADING
        return Phase.STREAM if state.acked is not None and self.lacks_answer else step

    @property
    def lacks_answer(self) -> bool:
        """Whether the replica acknowledges a stream although the line that granted it is missing."""
        return self.state.step in REPLIES and self.state.acked is not None

    # ---- the two connections of one sync ----

    @property
    def main(self) -> SyncConnection | None:
        """The main connection, if this is an RDB channel; None if not, or if the main connection is unknown or closed."""
        return None if self._as_channel is None else self._as_channel.main

    @property
    def channel(self) -> SyncConnection | None:
        """The RDB channel, if this is a main connection and the RDB has been granted."""
        return None if self._as_main is None else self._as_main.channel

    @property
    def _as_main(self) -> TwoConnectionSync | None:
        """The sync whose main connection this is."""
        return self.sync if self.sync is not None and self.sync.main is self else None

    @property
    def _as_channel(self) -> TwoConnectionSync | None:
        """The sync whose RDB channel this is, until its main connection closes."""
        sync = self.sync
        return None if sync is None or sync.main is self or sync.has_closed else sync

    @property
    def _is_dual_main(self) -> bool:
        return self._as_main is not None and self._as_main.is_dual

    def _syncing(self) -> State:
        """The connection to whose sync this one's RDB belongs."""
        main = self.main
        return self.state if main is None else main.state

    def _begin_two(self, key: str, *, is_dual: bool) -> None:
        """The RDB will come on another connection, which names *key*."""
        self.sync = self._as_main or TwoConnectionSync(self)
        self.sync.is_dual |= is_dual
        self._rendezvous.wait(key, self)

    def stand(self, awaited: Sequence[str], main: Resync | None) -> None:
        """Continue from a standing. awaited: the names under which that connection waited. main: of an RDB channel."""
        for key in awaited:
            self._rendezvous.wait(key, self)
        if main is not None:
            self.sync = main.sync = main.sync or TwoConnectionSync(main)
            self.sync.channel = self
        elif awaited and self.state.role is not Role.RDB_CHANNEL:
            self.sync = TwoConnectionSync(self)

    def belong_to(self, main: SyncConnection | None) -> None:
        self.sync = None if main is None else main.sync
        if main is not None:
            self.state.identity.take_address(main.state.identity)

    def loaded(self, at: float) -> None:
        """The replica acknowledges for the first time, and has loaded the RDB if it received one."""
        ended_at = (self.state if self.channel is None else self.channel.state).rdb_ended_at
        if ended_at is not None and self.state.role is Role.REPLICA:
            self._memory.load_times.add(max(0.0, at - ended_at))

    def identify(self, role: Role, start: int, end: int) -> None:
        """As State.identify(), with the main connection of an RDB channel."""
        main = self.main
        self.state.identify(role, start, end, None if main is None else main.state.connection)

    def configured(self, request: Request) -> None:
        """Take a REPLCONF, which may say that this is an RDB channel, or which connection is."""
        state, options = self.state, self.state.identity.options
        main_id = options.get("main-ch-client-id")
        if state.role in (None, Role.ORDINARY) and options.get("rdb-channel") == "1":
            main = self._rendezvous.named(valkey_key(state.identity.announced) if main_id is None else redis_key(main_id))
            if main is None and main_id is None:
                main = main_by_port(self._rendezvous, state)
            self.belong_to(main)
            self.identify(Role.RDB_CHANNEL, request.start, request.end)
        channel_id = options.get("set-rdb-client-id")
        if channel_id is not None and self.sync is not None and self._is_dual_main and state.stream is None:
            channel = self._rendezvous.named(channel_key(channel_id))
            if channel is not None:
                self.sync.named(channel)

    def infer(self, line: bytes, *, first_reply: bytes) -> None:
        """Infer a missing request: only PSYNC or SYNC is answered with this line. first_reply: of the connection."""
        state, rendezvous = self.state, self._rendezvous
        if state.step in (Phase.CONNECT, Phase.HANDSHAKE):
            state.enter(Phase.PSYNC)
        if state.role is not None:
            return
        begin = state.from_replica
        if line.startswith(b"$ENDOFF:"):
            self.belong_to(main_by_host(rendezvous, state, is_dual=True))
            self.identify(Role.RDB_CHANNEL, begin, begin)
            return
        if line.startswith(b"+FULLRESYNC") and first_reply == b"+OK":
            # Unlike replicas, an RDB channel does not begin with PING (Redis 8.0 replication.c, rdbChannelSendHandshake).
            main = main_by_host(rendezvous, state, is_dual=False)
            if main is not None:
                self.belong_to(main)
                self.identify(Role.RDB_CHANNEL, begin, begin)
                return
        self.identify(Role.SYNC_CLIENT if line.startswith(b"$") else Role.REPLICA, begin, begin)

    # ---- requests ----

    def requested_psync(self, request: Request) -> None:
        state, words = self.state, request.args
        state.enter(Phase.PSYNC)
        if len(words) < 3 or not is_number(words[2].removeprefix(b"-")):
            return
        if state.role is Role.RDB_CHANNEL or (self.channel is not None and self._is_dual_main):
            return  # a step of a sync that has been reported as requested; its reply is reported as a Handshake
        replid = None if words[1] == b"?" else readable(words[1])
        offset = int(words[2])
        self.identify(Role.REPLICA, request.start, request.end)
        self._asked = (replid, offset)
        self._written = None if replid is None else self._memory.written(replid)
        if replid is not None:
            self._memory.offered(state.replica, replid)
        state.tell(
            events.PsyncRequested(
                start=request.start,
                end=request.end,
                replid=replid,
                offset=offset,
                failover=len(words) > 3 and words[3].upper() == b"FAILOVER",
            )
        )

    def requested_sync(self, request: Request) -> None:
        state, options = self.state, self.state.identity.options
        state.enter(Phase.WAITING)
        state.waiting_from = state.from_master
        if state.role is Role.RDB_CHANNEL:
            if self.main is None:
                named = self._rendezvous.named(valkey_key(state.identity.announced))
                self.belong_to(named or main_by_port(self._rendezvous, state))
            return
        if options.get("rdb-only") == "1":
            role = Role.RDB_CLIENT
        elif "listening-port" in options or self._refusal is not None:
            role = Role.REPLICA
        else:
            role = Role.SYNC_CLIENT
        self.identify(role, request.start, request.end)
        state.tell(events.SyncRequested(start=request.start, end=request.end, inline=request.inline))

    # ---- the master's answer ----

    def answered(self, request: Request | None, line: bytes, start: int, end: int, at: float) -> bool:
        """Take the answer to PSYNC. request: None if it is missing. Returns whether the answer is complete."""
        state = self.state
        if line.startswith(b"-"):
            self._refused(line, start, end)
            return True
        grant = read_grant(line)
        if isinstance(grant, FullGrant):
            state.replid, state.base = grant.replid, grant.offset
            if state.role is Role.RDB_CHANNEL:
                state.exchanged(request, line)
            self._granted_full(start, end)
            state.waiting_from = end
            state.enter(Phase.WAITING)
            return False  # the RDB's header follows
        if isinstance(grant, PartialGrant):
            self._granted_partial(grant, request, line, start, end, at)
        elif isinstance(grant, RdbChannelGrant):
            state.exchanged(request, line)
            self._begin_two(redis_key(grant.client_id), is_dual=False)
            state.waiting_from = end
            state.enter(Phase.STREAM)
            self.begin_stream(end, None)
        elif isinstance(grant, DualChannelGrant):
            state.exchanged(request, line)
            # Without its request, the replica's announced port is unknown, and its name is not unique.
            unnamed = "" if request is not None else f" of connection {state.connection}"
            self._begin_two(valkey_key(state.identity.announced + unnamed), is_dual=True)
            state.waiting_from = end
            state.enter(Phase.HANDSHAKE)
        else:
            raise Lost(f"an unknown answer to PSYNC: {state.shown(line)[:80]}")
        return True

    def announced(self, request: Request | None, line: bytes, start: int, end: int, at: float) -> bool:
        """Take a line after +FULLRESYNC or SYNC that is not empty: the RDB's header, or an error.

        request: the PSYNC or SYNC, None if it is missing. Returns whether the answer to it is complete.
        """
        if line.startswith(b"$ENDOFF:"):
            self._end_offset(request, line, start, end)
            return False
        if line.startswith(b"$"):
            state = self.state
            if state.replid is None and self.main is None:
                if request is not None and request.name == b"SYNC":
                    reason = why_sync(self._refusal)
                else:
                    what = "the request for it" if request is None else "the answer that granted it"
                    reason = Reason(code="unknown", text=f"{what} was not seen")
                state.tell(events.FullResync(start=start, end=end, replid=None, offset=None, reason=reason))
            self.snapshot.begin(line[1:], end, at)
        elif line.startswith(b"-"):
            self._refused(line, start, end)
        else:
            raise Lost(f"where the RDB was expected: {self.state.shown(line)[:80]}")
        return True

    def _refused(self, line: bytes, start: int, end: int) -> None:
        self._refusal = self.state.shown(line)
        self.state.tell(events.ResyncRefused(start=start, end=end, reply=self._refusal))
        self.state.enter(Phase.HANDSHAKE)

    def _end_offset(self, request: Request | None, line: bytes, start: int, end: int) -> None:
        state, said = self.state, read_end_offset(line)
        if state.replid is not None or said is None:
            raise Lost(f"where the RDB was expected: {state.shown(line)[:80]}")
        state.exchanged(request, line)
        state.replid, state.base, state.db = said.replid, said.offset, said.db
        self._rendezvous.wait(channel_key(said.client_id), self)
        self._granted_full(start, end)

    def _granted_full(self, start: int, end: int) -> None:
        """Report that these bytes granted the RDB of state.replid up to state.base."""
        state = self.state
        assert state.replid is not None
        assert state.base is not None
        if self._as_channel is not None:
            self._as_channel.granted(self, state.replid, state.base, start, end)
        else:
            self.tell_full(state.replid, state.base, start, end, state)

    def tell_full(self, replid: str, offset: int, start: int, end: int, channel: State) -> None:
        state = self.state
        if state.forced:
            reason = Reason(code="forced_by_fault", text=state.forced, known_from="tap")
        elif self._asked is None:
            reason = Reason(code="unknown", text="the request for it was not seen")
        else:
            reason = why_full(self._memory, state.replica, *self._asked, replid, offset, written=self._written)
        state.tell(
            events.FullResync(start=start, end=end, replid=replid, offset=offset, reason=reason, channel=channel.channel)
        )
        self._memory.history(replid)
        self._memory.granted_full(state.replica, offset)

    def place(self, replid: str, offset: int) -> None:
        state = self.state
        state.replid, state.base = replid, offset
        if state.stream is not None and not state.stream.is_placed:  # a stream joined in its middle may be
            state.stream.rebase(replid, offset)

    def _granted_partial(
        self, grant: PartialGrant, request: Request | None, line: bytes, start: int, end: int, at: float
    ) -> None:
        state, channel, asked = self.state, self.channel, self._asked
        if channel is None and asked is not None and asked[0] is None:
            raise Lost(f"an unknown answer to PSYNC: {state.shown(line)[:80]}")
        state.enter(Phase.STREAM)
        if channel is not None:
            state.exchanged(request, line)
            stream = self.begin_stream(end, channel.state.db)
            if channel.phase is Phase.DONE:
                stream.begin()
        elif asked is None or asked[0] is None:  # the request is missing
            state.replid = grant.replid
            stream = self.begin_stream(end, None)
            if self._is_dual_main:  # the offset was announced on an RDB channel that is not known
                state.exchanged(request, line)
                stream.begin()
            else:
                stream.continues(None, start, end, at, previous_link=None, at_least=0)
        else:
            self._go_on(asked[0], asked[1] - 1, grant.replid or asked[0], start, end, at)

    def _go_on(self, asked: str, offset: int, replid: str, start: int, end: int, at: float) -> None:
        """The history *asked* continues after this offset, as *replid*."""
        state, memory = self.state, self._memory
        previous_link = None
        if replid != asked:
            memory.succeed(asked, replid, offset)
            if memory.elsewhere(replid) is None:
                previous_link = memory.elsewhere(asked)
        # What the former ID names beyond the place where another one took over, this master need not have written.
        written = self._written if replid == asked else None
        state.replid, state.base = replid, offset
        db = memory.history(replid).db_at(offset)
        stream = self.begin_stream(end, state.carried_db if db is None else db)
        stream.continues(
            None if replid == asked else asked,
            start,
            end,
            at,
            previous_link=previous_link,
            at_least=0 if written is None else max(0, written - offset),
        )

    # ---- the RDB, and the stream after it ----

    def read_rdb(self, data: bytes | memoryview, at: float) -> int:
        """Read the next bytes as the RDB. Returns how many of them were."""
        taken = self.snapshot.read(data, at)
        if self._as_channel is not None:
            self._as_channel.rdb_read()
        return taken

    def _rdb_ended(self, position: int) -> None:
        """The RDB has ended before this position."""
        state = self.state
        if self._as_channel is not None:
            state.enter(Phase.DONE)
            self._as_channel.rdb_ended()
        elif state.role in (Role.RDB_CLIENT, Role.RDB_CHANNEL):
            state.enter(Phase.DONE)
        else:
            state.enter(Phase.STREAM)
            self.begin_stream(position, None).begin()

    def acknowledged(self) -> None:
        """The replica acknowledges: finish an RDB that looks complete, here or on the RDB channel."""
        if self._as_main is not None:
            self._as_main.acknowledged()
        self.snapshot.finish_if_complete()

    def finish_if_complete(self) -> None:
        self.snapshot.finish_if_complete()

    def begin_stream(
        self, position: int, db: int | None, *, unfinished: bytes = b"", in_transaction: bool = False
    ) -> Stream:
        """Begin the stream at this position, with *db* in force; None if unknown."""
        state = self.state
        state.stream = stream = Stream(
            state.tell,
            self._memory,
            position,
            replid=state.replid,
            base=state.base,
            db=db,
            every_command=state.every_command,
            unfinished=unfinished,
            in_transaction=in_transaction,
            max_command=state.max_command,
            tell_heads=state.tell_heads,
            wants=state.wants,
            compares_acks=state.compares_acks,
            measures=state.measures,
            notices_secret=state.notices_secret,
            samples=state.samples,
        )
        if state.watcher is not None:
            state.watcher.stream_begins(stream)
        return stream

    # ---- the end ----

    def close(self) -> None:
        """The connection has ended: stop waiting for another one, and release the RDB channel."""
        self._rendezvous.leave(self)
        if self._as_main is not None:
            self._as_main.has_closed = True
