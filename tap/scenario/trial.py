"""A trial at the end of a run: a few writes, then what the tap reports of them against what each server counted.

The workload has stopped by then, so that every count comes to rest and can be compared.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable

from tap.replication import events
from tap.scenario.accounts import Checked
from tap.scenario.backlog_commands import BacklogCommands, Executed
from tap.scenario.patience import Patience
from tap.scenario.stage import POLL, Stage
from tap.scenario.workload import PROBE
from tap.servers.failures import FAILURES
from tap.status import ConnectionStatus

ROUNDS = 12  # writes, each acknowledged: enough to find a tap that treats one ACK in ten wrongly
SLOW_ROUNDS = 2  # the same through a delay
ROUND_SECONDS = 2.0
AGREE_SECONDS = 5.0  # time for two counts of the same thing to agree, while something is on its way between them
REST_SECONDS = 0.3  # longer than an ACK is on its way, also through most delays
ACK_SECONDS = 1.2  # a replica sends one a second (replicationCron, replication.c), or a little later
LATE = 0.002  # seconds by which clocks may differ
# Commands that a replica also executes for other clients.
NOT_OURS = frozenset({"PING", "SELECT", "REPLCONF", "MULTI", "EXEC", "INFO"})


def compare_executed(before: Executed, after: Executed, record: BacklogCommands, checked: Checked) -> bool:
    """Whether the replica executed each command of the master's stream exactly once, as far as the record covers it."""
    if not record.begin <= before.offset <= after.offset <= record.end or before.process != after.process:
        return False
    wanted = Counter(name for name in record.between(before.offset, after.offset) if name not in NOT_OURS)
    found = Counter({name: after.executed[name] - before.executed[name] for name in wanted})
    checked.commands += wanted.total()
    if wanted != found:
        lines = [f"{name} {found[name]} of {wanted[name]}" for name in sorted(wanted) if found[name] != wanted[name]]
        checked.wrong(
            "executed",
            f"the replica executes each command of the stream once, from offset {before.offset} to {after.offset}",
            f"executed of those sent: {', '.join(lines)}",
        )
    return wanted == found


class Trial:
    """The trial of one connection, by which the replica follows its master, from the moment of construction."""

    def __init__(self, stage: Stage, connection: ConnectionStatus, checked: Checked) -> None:
        self._stage = stage
        self._number = connection.number
        self._link = connection.link
        self._checked = checked

    async def run(self) -> None:
        """Raises FAILURES."""
        is_alone = (await self._stage.of_master()).connected_slaves == 1
        heard = await self._balance() if is_alone else None
        quickest = await self._write()
        if heard is not None:
            await self._compare_acks(*heard)
        await self._compare_offsets()
        await self._compare_applied()
        self._compare_delay(quickest)

    def _status(self) -> ConnectionStatus | None:
        """None once the connection is closed."""
        return next((one for one in self._stage.tap.status().connections if one.number == self._number), None)

    @property
    def _lives(self) -> bool:
        return self._status() is not None

    @property
    def _offset(self) -> int | None:
        connection = self._status()
        return None if connection is None else connection.offset

    # ---- writes ----

    async def _write(self) -> float:
        """Write, and wait for the ACK of each write. Returns the shortest time in seconds, infinite without an ACK."""
        loop = asyncio.get_running_loop()
        quickest = float("inf")
        slow = self._slowest_delay() > 0
        client = self._stage.pair.master.client
        give_up = loop.time() + ROUND_SECONDS
        for number in range(SLOW_ROUNDS if slow else ROUNDS):
            began = loop.time()
            said, acknowledged = await client.ask_all(
                [("SET", PROBE, f"trial {number}"), ("WAIT", 1, int(ROUND_SECONDS * 1000))]
            )
            if said is True and acknowledged == 1:
                quickest = min(quickest, loop.time() - began)
            if loop.time() > give_up or not self._lives:
                break
        return quickest

    # ---- ACKs ----

    def _reported_acks(self) -> int:
        return sum(
            isinstance(entry.event, events.Ack)
            for entry in self._stage.journal.entries
            if entry.told.connection == self._number
        )

    async def _counts(self) -> tuple[int, int] | None:
        """ACKs that the tap reported and REPLCONFs that the master executed; None if an ACK came in between."""
        told = self._reported_acks()
        heard = (await self._stage.pair.master.client.info("commandstats")).commandstats["REPLCONF"]
        return (told, heard) if told == self._reported_acks() else None

    async def _balance(self) -> tuple[int, int] | None:
        """Both counts while no ACK is on its way, which means that they were read twice without change."""
        before: tuple[int, int] | None = None

        async def is_quiet() -> bool:
            nonlocal before
            last, before = before, await self._counts()
            return before is not None and before == last

        return before if await self._comes(is_quiet) else None

    async def _compare_acks(self, told_before: int, heard_before: int) -> None:
        """Check that the master gets each ACK that the tap reports, once, and no other.

        The counts may agree for a moment and differ in the end, while an ACK that the tap passed on but did not report is
        on its way. A replica sends an ACK each second, and everything it sent earlier arrives earlier. So the counts
        agree once they have done so for REST_SECONDS and the tap has reported one more ACK since the writes ended. If
        that never happens, the last counts decide, unless ACKs keep coming through a delay that lets them agree only for
        moments.
        """
        loop = asyncio.get_running_loop()
        written = self._reported_acks()
        told = heard = 0
        agreed_since: float | None = None
        agreed_at = told_at = -float("inf")

        async def agree() -> bool:
            nonlocal told, heard, agreed_since, agreed_at, told_at
            counts = await self._counts()
            if counts is None:
                return False
            now = loop.time()
            if counts[0] - told_before != told:
                told_at = now
            told, heard = counts[0] - told_before, counts[1] - heard_before
            if told != heard:
                agreed_since = None
                return False
            agreed_since = now if agreed_since is None else agreed_since
            agreed_at = now
            return counts[0] > written and now - agreed_since >= REST_SECONDS

        await self._comes(agree)
        if not self._lives:
            return
        self._checked.acks += told
        is_restless = min(told_at, agreed_at) > loop.time() - ACK_SECONDS
        if told != heard and not is_restless:
            lost, more = f"{told - heard} of {told} did not reach it", f"{heard - told} more than the tap reports"
            self._checked.wrong(
                "acks",
                f"the master hears each of the replica's ACKs once: {told}, as the tap reports",
                f"the master heard {heard}: {lost if told > heard else more}",
            )

    # ---- offsets ----

    async def _compare_offsets(self) -> None:
        wrong = ""

        async def agree() -> bool:
            """At rest the tap's offset is the master's, and the offset of the last ACK is the one the master noted."""
            nonlocal wrong
            offset, acked = self._offset, self._last_ack()
            info = await self._stage.of_master()
            master, heard = info.master_repl_offset, info.acknowledged_by(self._stage.pair.replica.ports)
            if offset != self._offset or acked != self._last_ack():
                return False
            wrong = ""
            if offset is not None and offset != master:
                wrong = f"the master is at offset {master}, and the tap reports that it has passed on up to {offset}"
            elif acked is not None and heard is not None and acked != heard:
                wrong = f"the replica last acknowledged {acked}, as the tap reports; the master heard {heard}"
            return not wrong

        agreed = await self._comes(agree)
        if not self._lives:
            return
        self._checked.offsets += 2
        if not agreed and wrong:
            self._checked.wrong("offsets", "the tap and the servers report the same offsets at rest", wrong)

    def _last_ack(self) -> int | None:
        for entry in reversed(self._stage.journal.entries):
            if entry.told.connection == self._number and isinstance(entry.event, events.Ack):
                return entry.event.offset
        return None

    async def _compare_applied(self) -> None:
        applied = master = 0
        if self._stage.pair.damaged:  # on purpose
            return

        async def agree() -> bool:
            nonlocal applied, master
            sample = await self._stage.sample()
            if sample is None or sample.before != sample.after:
                return False
            applied, master = sample.applied, sample.after
            return applied == master

        agreed = await self._comes(agree)
        if self._lives and not agreed:
            less, more = f"{master - applied} bytes less", f"{applied - master} bytes more: some came twice"
            self._checked.wrong(
                "bytes",
                f"the replica gets each byte of the stream once, up to offset {master}",
                f"it has applied {more if applied > master else less}",
            )

    # ---- delays ----

    def _slowest_delay(self) -> float:
        """Minimum seconds that a write and its ACK take, there and back, through the faults that delay."""
        floor = 0.0
        for armed in self._stage.armed:
            scope = armed.fault.scope
            is_everywhere = armed.fault.is_continuous and armed.fault.when.probability is None
            if armed.is_over or not (is_everywhere and armed.at_work and scope.channel is None):
                continue
            if scope.link in (None, self._link):
                floor += (2 if scope.side is None else 1) * armed.fault.what.least_delay
        return floor

    def _compare_delay(self, quickest: float) -> None:
        floor = self._slowest_delay()
        if self._lives and quickest < floor - LATE:
            self._checked.wrong(
                "delay",
                f"through the delay a write is acknowledged after {floor * 1000:.0f} ms at the earliest",
                f"one was acknowledged after {quickest * 1000:.1f} ms",
            )

    async def _comes(self, question: Callable[[], Awaitable[bool]]) -> bool:
        """Whether the condition becomes true in time, while the link lives."""
        clock = Patience()
        while self._lives:
            with contextlib.suppress(*FAILURES):
                if await question():
                    return True
            if clock.now > AGREE_SECONDS:
                return False
            await asyncio.sleep(POLL)
        return False
