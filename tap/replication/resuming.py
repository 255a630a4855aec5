"""Starting a conversation where another one stopped, or in the middle of a stream.

A recording spans many files, and a reader may have only one of them; a capture may begin anywhere. The recorder
therefore writes down where each connection stands (standing.py), and a reader starts there. Until a resync has been
granted a reader needs all bytes from the first: see State.is_beginning.
"""

from __future__ import annotations

from tap.replication.events import Role
from tap.replication.handshake import HandshakeReader
from tap.replication.memory import Memory
from tap.replication.phase import REPLIES, Phase
from tap.replication.resync import Resync
from tap.replication.standing import Standing
from tap.replication.state import State


class Resuming:
    """Starts one conversation in the middle, and records where it stands."""

    def __init__(self, state: State, memory: Memory, handshake: HandshakeReader, resync: Resync) -> None:
        self._state = state
        self._memory = memory
        self._handshake = handshake
        self._resync = resync

    def skip(self, from_master: int, from_replica: int) -> None:
        """See Conversation.skip()."""
        self._state.from_master = self._handshake.reply_begin = from_master
        self._handshake.skip_requests(from_replica)

    def join(self, from_master: int, from_replica: int, replid: str | None, offset: int | None) -> None:
        """Begin in the middle of a stream; see Conversation.join()."""
        state = self._state
        self.skip(from_master, from_replica)
        state.role = Role.REPLICA
        state.replid, state.base = replid, offset
        state.enter(Phase.STREAM)
        self._resync.begin_stream(from_master, None).begin()

    def standing(self, *, at_boundary: bool) -> Standing:
        """Where the conversation stands; see Conversation.standing()."""
        state, main = self._state, self._resync.main
        stream, rdb = state.stream, self._resync.snapshot.standing
        position, offset, unfinished = state.from_master, state.offset, b""
        if stream is not None:
            unfinished = stream.unfinished
            if at_boundary:
                position, unfinished = stream.boundary, b""
            offset = stream.offset_at(position)
        return Standing(
            phase=state.step.value,
            role=state.role,
            from_master=position,
            from_replica=state.from_replica,
            options=dict(state.identity.options),
            replid=state.replid,
            offset=state.base if rdb is not None else offset,
            db=state.db if stream is None else stream.db,
            in_transaction=stream is not None and stream.in_transaction,
            unfinished=unfinished.decode("latin-1"),
            has_begun=stream is not None and stream.has_begun,
            acknowledges=state.acknowledges,
            rdb=rdb,
            main=None if main is None else main.state.connection,
            awaited=self._memory.rendezvous.keys_of(self._resync),
            passing=state.passing.standing() if state.is_followed and state.passing is not None else None,
        )

    def stand(self, standing: Standing, main: Resync | None) -> None:
        """Continue from a standing; see Conversation.stand()."""
        standing.check()
        phase, rdb, passing = Phase(standing.phase), standing.rdb, standing.passing
        is_odd = phase in REPLIES or (phase is Phase.RDB) != (rdb is not None)
        if is_odd or (passing is not None and phase is not Phase.ORDINARY):
            raise ValueError(f"not a state that a connection can have: {standing}")
        state = self._state
        self.skip(standing.from_master, standing.from_replica)
        state.identity.options = dict(standing.options)
        state.role = standing.role
        state.replid, state.base, state.db = standing.replid, standing.offset, standing.db
        state.acknowledges = standing.acknowledges
        if rdb is not None:
            self._resync.snapshot.stand(rdb)
        self._resync.stand(standing.awaited, main)
        state.enter(phase)
        self._handshake.stand(passing)
        if phase is Phase.STREAM:
            stream = self._resync.begin_stream(
                state.from_master,
                standing.db,
                unfinished=standing.unfinished.encode("latin-1"),
                in_transaction=standing.in_transaction,
            )
            if standing.has_begun or stream.is_placed:
                stream.begin()
