"""Checks the tap itself: finds the connection by which the replica follows, runs the trial, compares the accounts."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from tap.replication.events import Role
from tap.replication.phase import Phase
from tap.scenario.accounts import Checked, check, uncut
from tap.scenario.backlog_commands import BacklogCommands, Executed, read
from tap.scenario.stage import Stage, until
from tap.scenario.trial import Trial, compare_executed
from tap.servers.failures import FAILURES
from tap.status import ConnectionStatus

BEGIN_SECONDS = 2.5  # for a partial resync to be reported, which happens a little late, and for a replica to be level
CUT_SECONDS = 10.0  # for a link that was cut to close


class TapExamination:
    """The examination of the tap on one stage. checked: its result."""

    def __init__(self, stage: Stage) -> None:
        self.checked = Checked()
        self._stage = stage
        self._before: Executed | None = None  # of the replica, before the trial
        self._after: Executed | None = None  # and after it

    async def try_link(self) -> None:
        """If the data sets should be equal: write, and compare what the tap and both servers count."""
        expect = self._stage.expect
        if not expect.converged or expect.acked_offset not in (None, "level"):
            return
        await _comes(self._has_begun, BEGIN_SECONDS)
        connection = self._connection()
        if connection is None or connection.offset is None:  # after SYNC there are no offsets to compare
            return
        with contextlib.suppress(*FAILURES):
            self._before = await self._level()
            await Trial(self._stage, connection, self.checked).run()
            self._after = await self._level()

    async def check_accounts(self, *, is_partial: bool) -> None:
        """Compare all events. is_partial: there has been no full resync since the steps began."""
        stage = self._stage

        async def is_cut() -> bool:
            return not uncut(stage.journal.entries)

        await _comes(is_cut, CUT_SECONDS)
        record = await self._record()
        if record is not None and self._before is not None and self._after is not None:
            compare_executed(self._before, self._after, record, self.checked)
            if stage.start is not None and is_partial and not stage.pair.damaged:
                self.checked.executed_all = compare_executed(stage.start, self._after, record, self.checked)
        check(
            stage.journal.entries,
            record,
            self.checked,
            endless={one.name for one in stage.armed if one.fault.is_continuous or not one.fault.scope.lasting},
            damaged=stage.pair.damaged,
        )

    def _connection(self) -> ConnectionStatus | None:
        """The connection by which the replica follows; None if there is none."""
        return next(
            (
                one
                for one in reversed(self._stage.tap.status().connections)
                if one.role is Role.REPLICA and one.phase is Phase.STREAM and not one.has_ended
            ),
            None,
        )

    async def _has_begun(self) -> bool:
        connection = self._connection()
        started = self._stage.journal.of("stream_started")
        return connection is not None and any(one.told.connection == connection.number for one in started)

    async def _level(self) -> Executed | None:
        offset = await self._stage.master_offset()
        await _comes(lambda: self._stage.has_applied(offset), BEGIN_SECONDS)
        return await self._stage.snapshot()

    async def _record(self) -> BacklogCommands | None:
        """The master's stream; None for a given pair, which would notice, and where it cannot be read."""
        if self._stage.pair.given or self._stage.pair.master.exit_code is not None:
            return None
        with contextlib.suppress(*FAILURES, EOFError, ValueError):
            return await read(self._stage.pair.master.client, self._stage.offsets)
        return None


async def _comes(question: Callable[[], Awaitable[bool]], within: float) -> None:
    """Wait until the condition is true, for at most *within* seconds."""
    with contextlib.suppress(TimeoutError):
        await until(question, within)
