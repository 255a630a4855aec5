"""One RDB as it passes on a connection: parsed and reported.

The payload knows where its bytes end (payload.py); the snapshot knows its positions on the connection, its times, and
its events. The RDB of an RDB channel is reported as events of the main connection, to whose sync it belongs.
"""

from __future__ import annotations

from collections.abc import Callable

from tap.rdb.keys import Key
from tap.replication import events
from tap.replication.payload import Payload
from tap.replication.phase import Lost, Phase
from tap.replication.replies import readable
from tap.replication.standing import RdbStanding
from tap.replication.state import State


class Snapshot:
    """The RDB of one connection. Exists before the RDB begins."""

    __slots__ = (
        "_began",
        "_ended",
        "_grew",
        "_is_problem_reported",
        "_is_reported",
        "_state",
        "_syncing",
    )

    def __init__(self, state: State, syncing: Callable[[], State], ended: Callable[[int], None]) -> None:
        """syncing: returns the connection whose sync this is. ended: called with the position after RDB and mark."""
        self._state = state
        self._syncing = syncing
        self._ended = ended
        self._began = 0.0  # the times of the header and of the last byte so far
        self._grew = 0.0
        self._is_reported = False
        self._is_problem_reported = False

    def begin(self, header: bytes, start: int, at: float) -> None:
        """header: the header line after its $. start: position of the RDB's first byte."""
        state = self._state
        try:
            payload = Payload(header, self._tell_keys if self._wants_keys else None)
        except ValueError:
            raise Lost(f"an unknown RDB header: ${readable(header[:80])}") from None
        state.enter(Phase.RDB)
        state.rdb, state.rdb_start = payload, start
        if state.acknowledges or state.lacks_replica:
            payload.watch()
        self._began = self._grew = at
        if payload.is_complete:
            self._finish(payload)

    def stand(self, standing: RdbStanding) -> None:
        """Continue in the middle of an RDB. Raises ValueError, and changes nothing, for an impossible standing."""
        state, rdb = self._state, Payload(standing.header.encode("latin-1"))
        rdb.join(standing.received, ended=standing.ended, mark_received=standing.mark_received)
        if state.acknowledges:
            rdb.watch()
        state.rdb, state.rdb_start = rdb, standing.start
        self._is_reported = True

    @property
    def standing(self) -> RdbStanding | None:
        """The argument for stand(); None while no RDB is passing."""
        rdb, start = self._passing, self._state.rdb_start
        if rdb is None or start is None:
            return None
        return RdbStanding(
            header=rdb.header.decode("latin-1"),
            start=start,
            end=None if rdb.size is None else start + rdb.size,
            received=rdb.received,
            ended=rdb.ended,
            mark_received=rdb.mark_received,
        )

    @property
    def _passing(self) -> Payload | None:
        return self._state.rdb if self._state.step is Phase.RDB else None

    @property
    def _start(self) -> int:
        start = self._state.rdb_start
        assert start is not None
        return start

    # ---- bytes ----

    def read(self, data: bytes | memoryview, at: float) -> int:
        """Read the next bytes. Returns how many of them were the RDB's."""
        rdb = self._state.rdb
        assert rdb is not None
        taken = rdb.feed(data)
        self._grew = at
        if not self._is_reported:
            self.tell_started()
        self._tell_problem(rdb)
        if rdb.reached_milestone:
            self._tell_progress(rdb, at)
        if rdb.is_complete:
            self._finish(rdb)
        return taken

    def finish_if_complete(self) -> None:
        """The replica acknowledges, or has left: finish an RDB that looks complete."""
        rdb = self._passing
        if rdb is not None and rdb.looks_complete:
            self._finish(rdb)

    def skip(self, size: int) -> int:
        """The next bytes are missing. Returns how many of them are the RDB's, and skips those.

        For a diskless RDB whose own end has not come, that is all of them; has_missed_end shows later whether its mark
        was among them. 0 if no RDB is passing.
        """
        state, rdb = self._state, self._passing
        if rdb is None or (rdb.size is None and state.acknowledges):
            return 0
        taken = rdb.skip(size)
        state.from_master += taken
        self.tell_started(at_last=True)
        self._tell_problem(rdb)
        if rdb.is_complete:
            self._finish(rdb)
        return taken

    def skip_rest(self, size: int) -> bool:
        """The next bytes, the rest of the RDB with its mark, are missing. Returns False if no RDB is passing."""
        state = self._state
        if self._passing is None:
            return False
        state.from_master += size
        self.tell_started(at_last=True)
        state.rdb_end = state.from_master
        self._ended(state.from_master)
        return True

    @property
    def has_missed_end(self) -> bool:
        """Whether the replica acknowledges although the end of a diskless RDB that lacks bytes has not been found."""
        rdb = self._passing
        return rdb is not None and rdb.size is None and rdb.lacks and self._state.acknowledges

    @property
    def ends_without_replica(self) -> bool:
        """Whether the RDB's end can be found without understanding the replica."""
        rdb = self._passing
        return rdb is not None and (rdb.size is not None or rdb.problem is None)

    # ---- events ----

    def tell_started(self, *, at_last: bool = False) -> None:
        """Report the beginning once the fields before the first key are known. at_last: report it without them."""
        rdb = self._state.rdb
        if rdb is None or self._is_reported or (rdb.heading is None and not at_last):
            return
        self._is_reported = True
        self._syncing().tell(
            events.RdbStarted(
                start=self._start,
                end=self._start,
                transfer=rdb.transfer,
                size=rdb.size,
                version=rdb.version,
                aux=rdb.heading or {},
                channel=self._state.channel,
            )
        )

    def _tell_problem(self, rdb: Payload) -> None:
        problem = rdb.problem
        if problem is None or self._is_problem_reported or rdb.joined or problem.kind == "checksum":
            return
        self._is_problem_reported = True
        syncing, position = self._syncing(), self._start + problem.position
        syncing.tell(
            events.RdbProblem(
                start=position,
                end=position,
                problem=problem.kind,
                text=problem.text if problem.position else problem.text + syncing.identity.way_out,
                position=problem.position,
                keys=rdb.summary.keys,
                db=problem.db,
                key=problem.key,
                channel=self._state.channel,
            )
        )

    def _tell_progress(self, rdb: Payload, at: float) -> None:
        elapsed = at - self._began
        rate = rdb.received / elapsed if elapsed > 0 else None
        left = None
        keys, announced = rdb.summary.keys, rdb.summary.announced
        if rate and rdb.size is not None:
            left = (rdb.size - rdb.received) / rate
        elif rate and 0 < keys <= announced:
            left = elapsed * (announced - keys) / keys
        self._syncing().tell(
            events.RdbProgress(
                start=self._start,
                end=self._start + rdb.received,
                bytes=rdb.received,
                size=rdb.size,
                keys=keys,
                keys_announced=announced,
                bytes_per_second=rate,
                seconds_left=left,
                channel=self._state.channel,
            )
        )

    @property
    def _wants_keys(self) -> bool:
        watcher = self._state.watcher
        return self._state.every_key or (watcher is not None and watcher.wants_keys)

    def _tell_keys(self, keys: list[Key]) -> None:
        """Report keys that have passed."""
        state, start = self._state, self._start
        if state.watcher is not None:
            state.watcher.keys(keys, start)
        if not state.every_key:
            return
        self.tell_started()
        tell, channel = self._syncing().tell, state.channel
        for key in keys:
            if not state.wants(events.RdbKey):
                continue
            position = start + key.position
            tell(
                events.RdbKey(
                    start=position,
                    end=position + key.serialized_bytes,
                    db=key.db,
                    key=key.key,
                    type=key.type,
                    encoding=key.encoding,
                    rdb_type=key.rdb_type,
                    serialized_bytes=key.serialized_bytes,
                    elements=key.elements,
                    expires_at_ms=key.expires_at_ms,
                    freq=key.freq,
                    idle_s=key.idle_s,
                    channel=channel,
                )
            )

    def _finish(self, rdb: Payload) -> None:
        end = self._state.rdb_end = self._start + rdb.received
        rdb.close()
        if not rdb.joined:  # otherwise its contents are unknown
            self.tell_started(at_last=True)
            self._tell_problem(rdb)
            self._tell_finished(rdb)
            self._state.rdb_ended_at = self._grew
        self._ended(end)

    def _tell_finished(self, rdb: Payload) -> None:
        summary = rdb.summary
        self._syncing().tell(
            events.RdbFinished(
                start=self._start,
                end=self._start + rdb.rdb_bytes,
                transfer=rdb.transfer,
                bytes=rdb.rdb_bytes,
                seconds=self._grew - self._began,
                keys=summary.keys,
                expiring=summary.expiring,
                functions=summary.functions,
                by_type={
                    name: events.TypeShare(keys=keys, bytes=size, elements=elements)
                    for name, (keys, size, elements) in summary.by_type().items()
                },
                largest=tuple(
                    events.LargeKey(
                        db=key.db,
                        key=key.key,
                        type=key.type,
                        serialized_bytes=key.serialized_bytes,
                        elements=key.elements,
                    )
                    for key in summary.biggest()
                ),
                checksum=rdb.checksum or "unread",
                channel=self._state.channel,
            )
        )
