"""Collects evidence after the last step: the state of the pair, what the tap saw, what the masters counted.

To establish that something does not happen, it watches for SETTLED seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tap.faults import Armed
from tap.replication import events
from tap.replication.events import Channel
from tap.scenario.examine import TapExamination
from tap.scenario.journal import JournalEntry
from tap.scenario.judge import Counters, RunEvidence
from tap.scenario.pair_difference import PairDifference, compare
from tap.scenario.patience import Patience
from tap.scenario.result import FaultSeen, ResyncSeen, StepTaken
from tap.scenario.stage import POLL, Stage, applied_by, until
from tap.scenario.workload import PROBE
from tap.servers.failures import FAILURES, InvalidReply

SETTLED = 2.5  # seconds, longer than two ACKs: what has not moved by then no longer moves
COMPARE_EVERY = 1.0
COMPARE_SECONDS = 900.0  # that one comparison may take
ACKS_BEHIND = 2  # ACKs that must confirm a lag: the first may have been on its way
PLACES = 20  # places listed of a fault that fires often


class EvidenceCollector:
    """Looks at a stage after its steps."""

    def __init__(self, stage: Stage, steps: list[StepTaken]) -> None:
        self._stage = stage
        self._steps = steps
        self._examination = TapExamination(stage)
        self._clock = Patience()

    async def evidence(self) -> RunEvidence:
        await self._stage.workload.stop()
        found = RunEvidence(
            steps=self._steps, refused=sum(self._stage.workload.refused.values()), checked=self._examination.checked
        )
        deadline = self._clock.now + self._stage.expect.settle
        if any(step.problem for step in self._steps):
            deadline = min(deadline, self._clock.now + SETTLED + 1)  # the run has failed already
        if self._stage.expect.replica_exits:
            await self._by(deadline, self._exits)
        else:
            up = await self._by(deadline, self._is_up) if self._stage.expect.link_up else False
            found.link = "up" if up else await self._stage.link()
            if self._stage.expect.zombie:
                await self._observe_zombie(found, deadline)
            elif up:
                await self._examination.try_link()
            await self._converge(found, deadline)
            if self._stage.expect.acked_offset is not None:
                await self._stand(found, max(deadline, self._clock.now + SETTLED + 1))
        for node in self._stage.pair.nodes:
            code = node.exit_code
            if code is not None and node.name not in self._stage.stopped:
                found.exited[node.name] = code
        await self._count(found)
        await self._examination.check_accounts(is_partial=all(one.kind == "partial" for one in found.resyncs))
        if self._stage.expect.no_data_loss_before_offset is not None:
            await self._look_for_writes(found)
        found.faults = [self._fault_seen(armed) for armed in self._stage.armed]
        found.outages = self._stage.outages.found
        return found

    async def _exits(self) -> bool:
        return self._stage.pair.replica.exit_code is not None

    async def _is_up(self) -> bool:
        return await self._stage.link() == "up"

    async def _by(self, deadline: float, question: Callable[[], Awaitable[bool]]) -> bool:
        """Wait until the condition is true or the deadline passes; True if it became true."""
        try:
            await until(question, max(POLL, deadline - self._clock.now))
        except TimeoutError:
            return False
        return True

    async def _converge(self, found: RunEvidence, deadline: float) -> None:
        """Compare the data sets until they are equal, or differ for good, or the deadline passes. If they should differ,
        equal ones are compared again: they may still come to differ.
        """
        found.why = "the servers did not come to rest"
        lag, since, compared = None, self._clock.now, -COMPARE_EVERY
        while True:
            if self._stage.pair.replica.exit_code is not None:
                found.why = "the replica's process has ended"
                return
            sample = await self._stage.sample()
            now = self._clock.now
            at_rest = found.zombie
            level = False
            if sample is not None:
                level = sample.link == "up" and sample.before <= sample.applied <= sample.after
                if sample.applied - sample.after != lag or (sample.link == "up") != self._stage.expect.link_up:
                    lag, since = sample.applied - sample.after, now
                at_rest = at_rest or now - since >= SETTLED
            if level or at_rest or now - compared >= COMPARE_EVERY or now > deadline:
                compared = now
                try:
                    async with asyncio.timeout(COMPARE_SECONDS):
                        found.difference = await self._compare()
                except TimeoutError:
                    found.why = f"reading the data sets took longer than {COMPARE_SECONDS:g} s"
                    return
                except InvalidReply as error:
                    found.why = str(error)
                    return
                except FAILURES:
                    pass
                if found.difference is not None and self._is_final(found.difference, at_rest):
                    return
            if now > deadline:
                return
            await asyncio.sleep(POLL)

    def _is_final(self, difference: PairDifference, at_rest: bool) -> bool:
        """Whether the result will stay. Data sets that should differ may do so late, by a write that is on its way."""
        return self._stage.expect.converged if difference.equal else at_rest

    async def _compare(self) -> PairDifference:
        return await compare(self._stage.pair.master, self._stage.pair.replica, debug=not self._stage.pair.given)

    async def _observe_zombie(self, found: RunEvidence, deadline: float) -> None:
        """Write a key, check that it arrives, and check for SETTLED seconds that it is not applied."""
        await self._stage.pair.master.client.ask("SET", PROBE, "?")
        offset = await self._stage.master_offset()

        async def received() -> bool:
            info = await self._stage.pair.replica.maybe_replication()
            read = None if info is None else info.slave_read_repl_offset
            return read is not None and read >= offset

        await self._by(deadline, received)
        if not await received():
            found.zombie_text = "the link takes no bytes"
            return
        end = self._clock.now + SETTLED
        while self._clock.now < end:
            info = await self._stage.pair.replica.maybe_replication()
            link = (info and info.master_link_status) or "unknown"
            if link != "up":
                found.zombie_text = f"the link is {link}"
                return
            if applied_by(info) >= offset:
                found.zombie_text = "what arrives is applied"
                return
            await asyncio.sleep(POLL)
        found.zombie = True
        found.zombie_text = f"byte {offset} received, {applied_by(info)} applied, for {SETTLED:g} s"

    async def _stand(self, found: RunEvidence, deadline: float) -> None:
        """Find where the replica stands. Level: it has applied everything, and an ACK has said so.

        A single sample may fall between two heartbeats, so samples are repeated.
        """
        level_at: int | None = None
        ahead = 0
        since, told_since = self._clock.now, self._stage.journal.now
        behind: int | None = None
        while self._clock.now < deadline:
            sample = await self._stage.sample()
            if sample is None:
                await asyncio.sleep(POLL)
                continue
            acked = -1 if sample.acked is None else sample.acked
            if level_at is None and sample.before <= sample.applied <= sample.after:
                level_at = sample.applied
            found.standing_text = f"applied {sample.applied}, acknowledged {acked}, the master is at {sample.after}"
            most = max(sample.applied, acked)
            ahead = ahead + 1 if most > sample.after else 0
            if ahead > 2:
                found.standing = "ahead"
                return
            if level_at is not None and level_at <= acked <= sample.after:
                found.standing = "level"
                return
            missing = sample.before - min(sample.applied, acked)
            if behind is None or (level_at is None and missing < behind):
                behind, since, told_since = missing, self._clock.now, self._stage.journal.now
            # A busy replica acknowledges late: only ACKs that came since, and did not cover the rest, show that it is
            # missing.
            rests = self._clock.now - since >= SETTLED and not ahead
            has_spoken = found.zombie or len(self._stage.journal.of("ack", since=told_since)) >= ACKS_BEHIND
            found.standing = "behind" if rests else "unknown"
            if rests and has_spoken:
                return
            await asyncio.sleep(POLL)

    async def _look_for_writes(self, found: RunEvidence) -> None:
        limit = self._data_loss_limit()
        if limit is None:
            return
        noted = [one for one in self._stage.workload.ledger if one.offset <= limit]
        found.looked_for = len(noted)
        for node in self._stage.pair.nodes:
            for first in range(0, len(noted), 500):
                some = noted[first : first + 500]
                try:
                    values = await node.client.ask("MGET", *(one.key for one in some))
                except FAILURES as error:
                    found.missing.append(f"all on the {node.name}: {error}")
                    break
                for one, value in zip(some, values, strict=True):
                    if value != one.value.encode():
                        found.missing.append(f"{one.key} at {one.offset} on the {node.name}")

    def _data_loss_limit(self) -> int | None:
        """The replication offset up to which nothing may be missing; None if there is no such offset."""
        wanted = self._stage.expect.no_data_loss_before_offset
        if isinstance(wanted, int):
            return wanted
        fired = self._stage.journal.of("fault_fired", since=self._stage.since)
        if not fired:
            return None
        if wanted == "fault":
            offsets = [entry.event.offset for entry in fired if isinstance(entry.event, events.FaultFired)]
            return next((offset for offset in offsets if offset is not None), None)
        acks = [
            entry.event.offset
            for entry in self._stage.journal.entries
            if isinstance(entry.event, events.Ack) and entry.at <= fired[0].at
        ]
        return acks[-1] if acks else None

    # ---- what the tap saw, and what the masters counted ----

    async def _count(self, found: RunEvidence) -> None:
        """Count resyncs. Events and INFO are read at different moments, so repeat for some time until they agree."""
        give_up = self._clock.now + SETTLED
        while True:
            full = partial = 0
            try:
                for node in self._stage.pair.nodes:
                    if node.exit_code is not None or node.name in self._stage.stopped:
                        continue  # a replica that ended has served no resync
                    more = await self._stage.tally.grown(node)
                    full, partial = full + more[0], partial + more[1]
            except FAILURES:
                return
            seen = self._stage.journal.of("full_resync", "partial_resync", since=self._stage.since)
            asked = self._stage.journal.of("psync_requested", "sync_requested", since=self._stage.since)
            refused = self._stage.journal.of("resync_refused", since=self._stage.since)
            fulls = [entry.event for entry in seen if isinstance(entry.event, events.FullResync)]
            dual = [one for one in fulls if one.channel is Channel.RDB and self._stage.pair.version.startswith("Valkey")]
            found.counters = Counters(
                sync_full=full,
                sync_partial_ok=partial,
                full_seen=len(fulls),
                partial_seen=len(seen) - len(fulls),
                unanswered=max(0, len(asked) - len(seen) - len(refused)),
                two_connections=len(dual),
            )
            found.resyncs = self._resyncs(seen)
            if found.counters.agree or self._clock.now > give_up:
                return
            await asyncio.sleep(POLL)

    def _resyncs(self, seen: list[JournalEntry]) -> list[ResyncSeen]:
        found = []
        for entry in seen:
            event = entry.event
            if isinstance(event, events.FullResync):
                rdb = self._rdb_bytes(entry)
                found.append(ResyncSeen("full", entry.at, event.reason.code, event.reason.text, event.offset, rdb))
            elif isinstance(event, events.PartialResync):
                found.append(ResyncSeen("partial", entry.at, "", "", event.offset, self._lacked(entry, event)))
        return found

    def _lacked(self, resync: JournalEntry, event: events.PartialResync) -> int:
        """Bytes that the replica lacked at that resync, at most; if it never caught up, at least."""
        for entry in self._stage.journal.of("caught_up", since=resync.at):
            if isinstance(entry.event, events.CaughtUp) and entry.told.connection == resync.told.connection:
                return entry.event.at_most
        return event.bytes_behind_at_least

    def _rdb_bytes(self, resync: JournalEntry) -> int:
        """Bytes of the RDB that followed on that connection; if it was cut, as far as rdb_progress reported."""
        most = 0
        for entry in self._stage.journal.of("rdb_finished", "rdb_progress", "full_resync", since=resync.at):
            if entry is not resync and entry.told.connection == resync.told.connection:
                if isinstance(entry.event, events.RdbFinished | events.RdbProgress):
                    most = entry.event.bytes
                if not isinstance(entry.event, events.RdbProgress):
                    break
        return most

    def _fault_seen(self, armed: Armed) -> FaultSeen:
        entries = self._stage.journal.of("fault_fired")
        fired = [entry.event for entry in entries if isinstance(entry.event, events.FaultFired)]
        mine = [event for event in fired if event.fault == armed.name]
        return FaultSeen(
            name=armed.name,
            spec=armed.spec,
            fired=armed.fired,
            places=tuple(_place(event) for event in mine[:PLACES]),
            bytes=armed.bytes,
        )


def _place(event: events.FaultFired) -> str:
    """Where a fault fired, in words."""
    offset = "" if event.offset is None else f", offset {event.offset}"
    return f"{event.phase}{offset}, byte {event.position} from the {event.side.value}"
