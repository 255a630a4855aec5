"""What one run works with: the pair, the tap between them, the workload, and the state of these at a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tap.faults import Armed
from tap.scenario.backlog_commands import Executed
from tap.scenario.journal import Journal
from tap.scenario.load import Expect, Scenario
from tap.scenario.outage import Outages
from tap.scenario.pair import Pair
from tap.scenario.patience import limit
from tap.scenario.tally import Tally
from tap.scenario.workload import Workload
from tap.servers.cancellation import checkpoint
from tap.servers.failures import FAILURES
from tap.servers.info import ReplicationSection
from tap.tap import Tap

POLL = 0.03  # seconds between two questions to a server, which sends no events
BACK = "back"  # the link by which the old master follows the promoted replica


@dataclass(slots=True)
class OffsetSample:
    """Offsets that belong together: the replica's, the master's before and after that was read, and the last ACK's."""

    before: int
    applied: int
    after: int
    acked: int | None
    link: str


@dataclass(slots=True)
class Stage:
    """armed: all faults of the run, including those that are over. stopped: names of nodes that a step has killed.

    since: when the steps began, by the journal's clock. offsets: offsets at which a command of the master ended, by
    replication ID. start: what the replica had executed when the steps began.
    """

    scenario: Scenario
    expect: Expect
    pair: Pair
    tap: Tap
    journal: Journal
    workload: Workload
    outages: Outages
    tally: Tally
    armed: list[Armed] = field(default_factory=list)
    stopped: set[str] = field(default_factory=set)
    since: float = 0.0
    offsets: dict[str, list[int]] = field(default_factory=dict)
    start: Executed | None = None

    async def of_master(self) -> ReplicationSection:
        """INFO replication of the master. Raises FAILURES."""
        info = await self.pair.master.client.replication()
        # A server answers between two commands, so a command ends at this offset.
        self.offsets.setdefault(info.master_replid, []).append(info.master_repl_offset)
        return info

    async def master_offset(self) -> int:
        """Raises FAILURES."""
        return (await self.of_master()).master_repl_offset

    async def snapshot(self) -> Executed | None:
        """What the replica has executed so far; None while it cannot be asked."""
        try:
            info = await self.pair.replica.client.info("all")  # one answer, so that its sections belong together
            return Executed(applied_by(info.replication), info.commandstats, info.server.run_id or "")
        except FAILURES:
            return None

    async def attach(self) -> None:
        """Point the replica at the tap."""
        await self.pair.replica.follow(self.tap.address)

    async def link(self) -> str:
        """ "up", "down", or "unknown" while the replica cannot be asked or is not a replica.

        "up" requires that both the replica and the tap say so: each learns of a cut at its own moment.
        """
        return self._link(await self.pair.replica.maybe_replication())

    def _link(self, info: ReplicationSection | None) -> str:
        status = (info and info.master_link_status) or "unknown"
        return "down" if status == "up" and not self.outages.has_stream else status

    async def is_level(self) -> bool:
        try:
            return await self.has_applied(await self.master_offset())
        except FAILURES:
            return False

    async def has_applied(self, offset: int) -> bool:
        info = await self.pair.replica.maybe_replication()
        return self._link(info) == "up" and applied_by(info) >= offset

    async def sample(self) -> OffsetSample | None:
        """Read both servers' offsets; None while one of them cannot be asked."""
        try:
            before = await self.of_master()
            theirs = await self.pair.replica.client.replication()
            after = await self.of_master()
        except FAILURES:
            return None
        return OffsetSample(
            before=before.master_repl_offset,
            applied=applied_by(theirs),
            after=after.master_repl_offset,
            acked=after.acknowledged_by(self.pair.replica.ports),
            link=self._link(theirs),
        )


async def until(question: Callable[[], Awaitable[bool]], within: float) -> None:
    """Poll until the condition is true. Raises TimeoutError."""
    async with limit(within):
        while not await question():
            checkpoint()
            await asyncio.sleep(POLL)


def applied_by(info: ReplicationSection | None) -> int:
    """The replica's own offset; -1 when it knows none, as after SYNC, or cannot be asked."""
    return -1 if info is None or info.slave_repl_offset is None else info.slave_repl_offset
