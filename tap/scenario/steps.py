"""Takes the steps of a scenario, one by one.

No wait here is a guess at a sufficient time: each waits for an event or a condition, with a limit that only a failure
reaches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tap.scenario.actions import Action
from tap.scenario.load import Step
from tap.scenario.patience import limit
from tap.scenario.result import StepTaken
from tap.scenario.stage import BACK, Stage, until
from tap.scenario.workload import PREFIX, PROBE
from tap.servers.cancellation import checkpoint
from tap.servers.failures import FAILURES

Question = Callable[[], Awaitable[bool]]


class Steps:
    """taken: in order; the last one may have failed."""

    def __init__(self, stage: Stage) -> None:
        self.taken: list[StepTaken] = []
        self._stage = stage

    async def take_all(self) -> None:
        """Take the steps that are for this server, up to the first that fails."""
        for step in self._stage.scenario.steps:
            checkpoint()
            if step.only is None or step.only.match(self._stage.pair.version):
                taken = await self._take(step)
                self.taken.append(taken)
                if taken.problem:
                    return

    async def _take(self, step: Step) -> StepTaken:
        journal = self._stage.journal
        began = journal.now
        problem = ""
        try:
            if step.fault is not None:
                armed = self._stage.tap.faults.add(step.fault)
                self._stage.armed.append(armed)
                self._stage.pair.damaged |= armed.fault.what.damages
            elif step.remove is not None:
                self._remove(step.remove)
            elif step.do is not None:
                async with limit(max(step.within, step.do.amount * 2 if step.do.verb == "pause" else 0)):
                    await self._do(step.do)
            else:
                await self._wait(step)
        except TimeoutError:
            problem = f"not within {step.within:g} s"
        except FAILURES as error:
            problem = f"{type(error).__name__}: {error}"
        return StepTaken(str(step), began, journal.now - began, problem)

    def _remove(self, name: str) -> None:
        """Remove a fault, unless it has expired already."""
        if any(armed.name == name and not armed.is_over for armed in self._stage.armed):
            self._stage.tap.faults.remove(name)

    async def _do(self, action: Action) -> None:
        node = self._stage.pair.node(action.target)
        match action.verb:
            case "attach":
                await self._stage.attach()
            case "write":
                await self._stage.workload.burst(int(action.amount))
            case "send":
                self._stage.workload.keys.update(word for word in action.words if word.startswith(PREFIX))
                await self._stage.pair.master.client.ask(*action.words)
            case "pause":
                await asyncio.sleep(action.amount)
            case "stop":
                await self._stage.workload.stop()
            case "disconnect":
                await self._disconnect()
            case "set":
                await node.options.set(*action.words)
            case "promote":
                await self._stage.pair.replica.follow(None)
            case "demote":
                await self._demote()
            case "kill":
                self._stage.stopped.add(node.name)
                await self._stage.tally.remember(node)
                await node.kill()
            case "restart":
                await self._stage.tally.remember(node)
                await node.restart()
            case "start" if action.target == "workload":
                self._stage.workload.start()
            case "start":
                await node.start()
                self._stage.stopped.discard(node.name)

    async def _disconnect(self) -> None:
        """Close the replica's connections, by address: a given master may have other replicas."""
        for connection in self._stage.tap.status().connections:
            if connection.tap_address is not None:
                host, port = connection.tap_address
                await self._stage.pair.master.client.ask("CLIENT", "KILL", "ADDR", f"{host}:{port}")

    async def _demote(self) -> None:
        running = self._stage.workload.running
        await self._stage.workload.stop()
        link = next(one for one in self._stage.tap.status().links if one.name == BACK)
        await self._stage.pair.master.follow(link.address)
        self._stage.pair.swap()
        self._stage.workload.node = self._stage.pair.master
        if running:
            self._stage.workload.start()

    async def _wait(self, step: Step) -> None:
        assert step.wait is not None
        condition = self._condition(step.wait)
        if condition is None:
            await self._stage.journal.wait_for(step.wait, where=step.where, times=step.times, within=step.within)
        else:
            await until(await condition(), step.within)

    def _condition(self, name: str) -> Callable[[], Awaitable[Question]] | None:
        """A function that makes the question to poll. It may first have to read the state at the start of the wait."""

        async def level() -> Question:
            offset = await self._stage.master_offset()
            return lambda: self._stage.has_applied(offset)

        def plain(question: Question) -> Callable[[], Awaitable[Question]]:
            async def made() -> Question:
                return question

            return made

        async def link(state: str) -> bool:
            return await self._stage.link() == state

        async def exits() -> bool:
            return self._stage.pair.replica.exit_code is not None

        async def alone() -> bool:
            info = await self._stage.pair.master.maybe_replication()
            return info is not None and info.connected_slaves == 0

        async def refused() -> bool:
            return not await self._takes_a_write()

        return {
            "level": level,
            "link_up": plain(lambda: link("up")),
            "link_down": plain(lambda: link("down")),
            "replica_exits": plain(exits),
            "no_replica": plain(alone),
            "writes_refused": plain(refused),
            "writes_taken": plain(self._takes_a_write),
        }.get(name)

    async def _takes_a_write(self) -> bool:
        try:
            await self._stage.pair.master.client.ask("SET", PROBE, self._stage.journal.now)
        except FAILURES:
            return False
        return True
