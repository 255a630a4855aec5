"""One scenario, carried out on one pair with a tap between: steps, then evidence, then verdicts.

Nothing here waits for an amount of time that is hoped to be enough: each wait is for an event or a condition, with a
limit that only a failure reaches. What has to be seen not to happen is observed for SETTLED seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from redis.exceptions import RedisError

from tap.bus import Told
from tap.config import Address, Config, LinkConfig
from tap.errors import ConfigError
from tap.faults import Armed, parse
from tap.replication import events
from tap.replication.events import Channel
from tap.scenario.actions import Action
from tap.scenario.compare import Difference, compare
from tap.scenario.journal import Entry, Journal
from tap.scenario.judge import Counters, Evidence, verdicts
from tap.scenario.load import Scenario, Step
from tap.scenario.outage import Outages
from tap.scenario.pair import Info, Node, Pair, options_set, replica_offset
from tap.scenario.result import FaultSeen, Result, Resync, StepTaken
from tap.scenario.workload import PREFIX, Workload
from tap.tap import Tap

LOOPBACK = Address("127.0.0.1", 0)
POLL = 0.03  # seconds between two questions to a server, which has no event to tell
SETTLED = 2.5  # seconds, more than two ACKs: what has not moved for so long no longer moves
COMPARE_EVERY = 1.0
ATTACH_SECONDS = 30.0
BACK = "back"  # the link by which the old master follows the promoted replica
LIVELY = frozenset({"ack", "commands", "rdb_progress"})  # events that come all the time


async def run(scenario: Scenario, pair: Pair, *, seed: int, listen: Address | None = None) -> Result:
    """Run it, and judge. listen: where the tap takes the replica; its host must be reachable from there.

    The seed decides every draw of faults and workload. Raises ConfigError for what this pair cannot do,
    EnvironmentFailure when a port cannot be had, redis-py's errors and OSError when a server fails before the first step.
    """
    listen = listen or (LOOPBACK if pair.given else Address(pair.master.address.host, 0))
    links = [LinkConfig(master=pair.master.address, listen=listen)]
    if any(step.do is not None and step.do.verb == "demote" for step in scenario.steps):
        links.append(LinkConfig(master=pair.replica.address, listen=Address(listen.host, 0), name=BACK))
    config = Config(
        links=tuple(links),
        seed=seed,
        destructive=not pair.given,
    )
    journal = Journal()
    async with contextlib.AsyncExitStack() as until_end:
        if pair.given:
            for node, options in ((pair.master, scenario.master), (pair.replica, scenario.replica)):
                await until_end.enter_async_context(options_set(node, {**scenario.both, **options}))
        tap = await until_end.enter_async_context(Tap(config))
        until_end.callback(pair.end)  # before the tap: no replica looks for its port, which others may be given
        tap.bus.subscribe(journal)
        workload = Workload(
            pair.master,
            seed,
            scenario.workload.rate,
            dbs=(pair.master.db,) if pair.given else (0, 0, 0, 1, 3),
            ledger=scenario.expect.at(pair.version).no_data_loss_before_offset is not None,
        )
        if pair.given:
            until_end.push_async_callback(_cleaned, workload)
        until_end.push_async_callback(workload.stop)  # before it is cleaned up behind it
        outages = Outages(tap)
        until_end.push_async_callback(outages.close)
        return await _Run(scenario, pair, seed, tap, journal, workload, outages).result()


async def _cleaned(workload: Workload) -> None:
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await workload.clean()


@dataclass(slots=True)
class _Sample:
    """Offsets that belong together: the master's before and after the replica's, and what it has acknowledged."""

    before: int
    applied: int
    after: int
    acked: int | None
    link: str


class _Run:
    def __init__(
        self,
        scenario: Scenario,
        pair: Pair,
        seed: int,
        tap: Tap,
        journal: Journal,
        workload: Workload,
        outages: Outages,
    ) -> None:
        self._scenario = scenario
        self._pair = pair
        self._seed = seed
        self._tap = tap
        self._journal = journal
        self._workload = workload
        self._outages = outages
        self._expect = scenario.expect.at(pair.version)
        self._armed: list[Armed] = []
        self._steps: list[StepTaken] = []
        self._counted: dict[str, tuple[int, int]] = {}  # by node: INFO stats when the steps began
        self._before: dict[str, tuple[int, int]] = {}  # by node: what processes of it counted that have ended
        self._stopped: set[str] = set()  # nodes that a step has killed
        self._since = 0.0  # when the steps began, by the journal's clock

    async def result(self) -> Result:
        began = time.monotonic()
        await self._begin()
        self._since = self._journal.now
        for step in self._scenario.steps:
            if step.only is not None and not step.only.match(self._pair.version):
                continue
            if not await self._take(step):
                break
        evidence = await self._evidence()
        return Result(
            scenario=self._scenario.name,
            title=self._scenario.title,
            server=self._pair.version,
            seed=self._seed,
            seconds=time.monotonic() - began,
            steps=tuple(evidence.steps),
            faults=tuple(evidence.faults),
            resyncs=tuple(evidence.resyncs),
            outage=sum(evidence.outages),
            resent=sum(resync.bytes for resync in evidence.resyncs),
            written=self._workload.written,
            refused=evidence.refused,
            verdicts=tuple(verdicts(self._expect, evidence)),
            story=tuple(entry for entry in self._journal.entries if entry.event.kind not in LIVELY),
        )

    # ---- before the steps ----

    async def _begin(self) -> None:
        table = self._scenario.workload
        if table.kind == "mixed":
            await self._workload.preload(table.preload)
        if self._scenario.attaches:
            if self._pair.given:
                await self._pair.replica.follow(None)
        else:
            await self._attach()
            await self._until(self._is_level, ATTACH_SECONDS)
            await self._until(self._has_settled, ATTACH_SECONDS)
        if table.kind == "mixed":
            self._workload.start()
        if self._expect.no_data_loss_before_offset is not None:
            await self._until(self._has_acked_a_write, ATTACH_SECONDS)
        for node in self._pair.nodes:
            self._counted[node.name] = await _resyncs_counted(node)
            self._before[node.name] = (0, 0)
        self._journal.skip()

    async def _attach(self) -> None:
        await self._pair.replica.follow(self._tap.listeners[0].address)

    async def _has_settled(self) -> bool:
        """The replica has loaded and says so, and what brought it here is told: a partial resync is some moments late."""
        return bool(self._journal.of("stream_started") and self._journal.of("ack"))

    async def _has_acked_a_write(self) -> bool:
        """Without one there would be nothing to lose."""
        acks = self._journal.of("ack")
        ledger = self._workload.ledger
        return bool(acks and ledger) and getattr(acks[-1].event, "offset", 0) >= ledger[0].offset

    # ---- steps ----

    async def _take(self, step: Step) -> bool:
        """Whether to go on: behind a step that failed there is nothing to see."""
        began = self._journal.now
        problem = ""
        try:
            if step.fault is not None:
                self._armed.append(self._tap.faults.add(step.fault))
            elif step.remove is not None:
                self._tap.faults.remove(step.remove)
            elif step.do is not None:
                async with asyncio.timeout(max(step.within, step.do.amount * 2 if step.do.verb == "pause" else 0)):
                    await self._do(step.do)
            else:
                await self._wait(step)
        except TimeoutError:
            problem = f"not within {step.within:g} s"
        except (RedisError, OSError) as error:
            problem = f"{type(error).__name__}: {error}"
        self._steps.append(StepTaken(str(step), began, self._journal.now - began, problem))
        return not problem

    async def _do(self, action: Action) -> None:
        node = self._pair.node(action.target)
        match action.verb:
            case "attach":
                await self._attach()
            case "write":
                await self._workload.burst(int(action.amount))
            case "send":
                await self._pair.master.client().execute_command(*action.words)
            case "pause":
                await asyncio.sleep(action.amount)
            case "stop":
                await self._workload.stop()
            case "disconnect":
                await self._pair.master.client().execute_command("CLIENT", "KILL", "TYPE", "replica")
            case "set":
                await node.client().config_set(*action.words)
            case "promote":
                await self._pair.replica.follow(None)
            case "demote":
                await self._demote()
            case "kill":
                self._stopped.add(node.name)
                await self._remember(node)
                await node.kill()
            case "restart":
                await self._remember(node)
                await node.restart()
            case "start" if action.target == "workload":
                self._workload.start()
            case "start":
                await node.start()
                self._stopped.discard(node.name)

    async def _demote(self) -> None:
        running = self._workload.running
        await self._workload.stop()
        listener = next(one for one in self._tap.listeners if one.config.name == BACK)
        await self._pair.master.follow(listener.address)
        self._pair.swap()
        self._workload.node = self._pair.master
        if running:
            self._workload.start()

    async def _remember(self, node: Node) -> None:
        """A new process counts from nought."""
        full, partial = await self._grown(node)
        self._before[node.name] = full, partial
        self._counted[node.name] = (0, 0)

    async def _wait(self, step: Step) -> None:
        assert step.wait is not None
        condition = self._condition(step.wait)
        if condition is None:
            await self._journal.wait_for(step.wait, where=step.where, times=step.times, within=step.within)
        else:
            await self._until(await condition(), step.within)

    def _condition(self, name: str) -> Callable[[], Awaitable[Callable[[], Awaitable[bool]]]] | None:
        """What makes the question to ask; it may have to look first at how things stand when the waiting begins."""

        async def level() -> Callable[[], Awaitable[bool]]:
            offset = await _offset(self._pair.master)
            return lambda: self._has_applied(offset)

        def plain(question: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[Callable[[], Awaitable[bool]]]]:
            async def made() -> Callable[[], Awaitable[bool]]:
                return question

            return made

        async def link(state: str) -> bool:
            return await self._link() == state

        async def exits() -> bool:
            return self._pair.replica.exit_code is not None

        async def alone() -> bool:
            return (await self._pair.master.maybe_info("replication")).get("connected_slaves") == 0

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
            await self._pair.master.client().set(f"{PREFIX}write", self._journal.now)
        except (RedisError, OSError):
            return False
        return True

    # ---- how things stand ----

    async def _until(self, question: Callable[[], Awaitable[bool]], within: float) -> None:
        """Raises TimeoutError."""
        async with asyncio.timeout(within):
            while not await question():
                await asyncio.sleep(POLL)

    async def _link(self) -> str:
        """ "up", "down", or "unknown" while the replica cannot be asked or is none."""
        info = await self._pair.replica.maybe_info("replication")
        return str(info.get("master_link_status", "unknown"))

    async def _is_level(self) -> bool:
        try:
            return await self._has_applied(await _offset(self._pair.master))
        except (RedisError, OSError):
            return False

    async def _has_applied(self, offset: int) -> bool:
        info = await self._pair.replica.maybe_info("replication")
        return info.get("master_link_status") == "up" and _applied(info) >= offset

    async def _sample(self) -> _Sample | None:
        """None while one of them cannot be asked."""
        try:
            before = await self._pair.master.info("replication")
            theirs = await self._pair.replica.info("replication")
            after = await self._pair.master.info("replication")
        except (RedisError, OSError):
            return None
        return _Sample(
            before=int(before["master_repl_offset"]),
            applied=_applied(theirs),
            after=int(after["master_repl_offset"]),
            acked=replica_offset(after, self._pair.replica.address.port),
            link=str(theirs.get("master_link_status", "unknown")),
        )

    # ---- evidence ----

    async def _evidence(self) -> Evidence:
        await self._workload.stop()
        found = Evidence(steps=self._steps, refused=sum(self._workload.refused.values()))
        deadline = self._journal.now + self._expect.settle
        if any(step.problem for step in self._steps):
            deadline = min(deadline, self._journal.now + SETTLED + 1)  # it is lost already
        if self._expect.replica_exits:
            await self._by(deadline, self._exits)
        else:
            if self._expect.zombie:
                await self._observe_zombie(found, deadline)
            await self._converge(found, deadline)
            if self._expect.acked_offset is not None:
                await self._stand(found, max(deadline, self._journal.now + SETTLED + 1))
            if self._expect.link_up:
                await self._by(deadline, self._is_up)
            found.link = await self._link()
        for node in self._pair.nodes:
            code = node.exit_code
            if code is not None and node.name not in self._stopped:
                found.exited[node.name] = code
        await self._count(found)
        if self._expect.no_data_loss_before_offset is not None:
            await self._look_for_writes(found)
        found.faults = [self._fault_seen(armed) for armed in self._armed]
        found.outages = self._outages.found
        return found

    async def _exits(self) -> bool:
        return self._pair.replica.exit_code is not None

    async def _is_up(self) -> bool:
        return await self._link() == "up"

    async def _by(self, deadline: float, question: Callable[[], Awaitable[bool]]) -> None:
        """Wait for it until then; whether it came is for others to say."""
        with contextlib.suppress(TimeoutError):
            await self._until(question, max(POLL, deadline - self._journal.now))

    async def _converge(self, found: Evidence, deadline: float) -> None:
        """Compare the data sets until they are equal, or differ and will stay so."""
        found.why = "the servers did not come to rest"
        lag, since, compared = None, self._journal.now, -COMPARE_EVERY
        while True:
            if self._pair.replica.exit_code is not None:
                found.why = "the replica's process has ended"
                return
            sample = await self._sample()
            now = self._journal.now
            at_rest = found.zombie
            level = False
            if sample is not None:
                level = sample.link == "up" and sample.before <= sample.applied <= sample.after
                if sample.applied - sample.after != lag or (sample.link == "up") != self._expect.link_up:
                    lag, since = sample.applied - sample.after, now
                at_rest = at_rest or now - since >= SETTLED
            if level or at_rest or now - compared >= COMPARE_EVERY or now > deadline:
                compared = now
                with contextlib.suppress(RedisError, OSError):
                    found.difference = await self._compare()
                if found.difference is not None and (found.difference.equal or at_rest):
                    return
            if now > deadline:
                return
            await asyncio.sleep(POLL)

    async def _compare(self) -> Difference:
        return await compare(self._pair.master, self._pair.replica, debug=not self._pair.given)

    async def _observe_zombie(self, found: Evidence, deadline: float) -> None:
        """Write, see that it arrives, and see for a while that it is not applied."""
        await self._pair.master.client().set(f"{PREFIX}zombie", "?")
        offset = await _offset(self._pair.master)

        async def received() -> bool:
            info = await self._pair.replica.maybe_info("replication")
            return int(info.get("slave_read_repl_offset", -1)) >= offset

        await self._by(deadline, received)
        if not await received():
            found.zombie_text = "the link takes no bytes"
            return
        end = self._journal.now + SETTLED
        while self._journal.now < end:
            info = await self._pair.replica.maybe_info("replication")
            if info.get("master_link_status") != "up":
                found.zombie_text = f"the link is {info.get('master_link_status', 'unknown')}"
                return
            if _applied(info) >= offset:
                found.zombie_text = "what arrives is applied"
                return
            await asyncio.sleep(POLL)
        found.zombie = True
        found.zombie_text = f"byte {offset} received, {_applied(info)} applied, for {SETTLED:g} s"

    async def _stand(self, found: Evidence, deadline: float) -> None:
        """Level: the replica has applied all, and an ACK has said so. A single sample may fall between two heartbeats."""
        level_at: int | None = None
        ahead = 0
        since = self._journal.now
        behind: int | None = None
        while self._journal.now < deadline:
            sample = await self._sample()
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
                behind, since = missing, self._journal.now
            if self._journal.now - since >= SETTLED and not ahead:
                found.standing = "behind"
                return
            await asyncio.sleep(POLL)

    async def _look_for_writes(self, found: Evidence) -> None:
        limit = self._data_loss_limit()
        if limit is None:
            return
        noted = [one for one in self._workload.ledger if one.offset <= limit]
        found.checked = len(noted)
        for node in self._pair.nodes:
            for first in range(0, len(noted), 500):
                some = noted[first : first + 500]
                try:
                    values = await node.client().mget([one.key for one in some])
                except (RedisError, OSError) as error:
                    found.missing.append(f"all on the {node.name}: {error}")
                    break
                for one, value in zip(some, values, strict=True):
                    if value != one.value.encode():
                        found.missing.append(f"{one.key} at {one.offset} on the {node.name}")

    def _data_loss_limit(self) -> int | None:
        """The replication offset up to which nothing may be missing; None where there is none."""
        wanted = self._expect.no_data_loss_before_offset
        if isinstance(wanted, int):
            return wanted
        fired = self._journal.of("fault_fired", since=self._since)
        if not fired:
            return None
        if wanted == "fault":
            offsets = [getattr(entry.event, "offset", None) for entry in fired]
            return next((offset for offset in offsets if offset is not None), None)
        acks = [
            entry.event.offset
            for entry in self._journal.entries
            if isinstance(entry.event, events.Ack) and entry.at <= fired[0].at
        ]
        return acks[-1] if acks else None

    # ---- what the tap saw, and what the masters count ----

    async def _grown(self, node: Node) -> tuple[int, int]:
        """sync_full and sync_partial_ok of the node since the steps began, over all its processes."""
        now = await _resyncs_counted(node)
        then, ended = self._counted[node.name], self._before[node.name]
        return now[0] - then[0] + ended[0], now[1] - then[1] + ended[1]

    async def _count(self, found: Evidence) -> None:
        """Events and INFO are read at different moments: again, until they agree or that takes too long."""
        give_up = self._journal.now + SETTLED
        while True:
            full = partial = 0
            try:
                for node in self._pair.nodes:
                    if node.exit_code is not None or node.name in self._stopped:
                        continue  # a replica that ended has served nobody
                    more = await self._grown(node)
                    full, partial = full + more[0], partial + more[1]
            except (RedisError, OSError):
                return
            seen = self._journal.of("full_resync", "partial_resync", since=self._since)
            asked = self._journal.of("psync_requested", "sync_requested", since=self._since)
            refused = self._journal.of("resync_refused", since=self._since)
            fulls = [entry.event for entry in seen if isinstance(entry.event, events.FullResync)]
            dual = [one for one in fulls if one.channel is Channel.RDB and self._pair.version.startswith("Valkey")]
            found.counters = Counters(
                sync_full=full,
                sync_partial_ok=partial,
                full_seen=len(fulls),
                partial_seen=len(seen) - len(fulls),
                unanswered=max(0, len(asked) - len(seen) - len(refused)),
                two_connections=len(dual),
            )
            found.resyncs = self._resyncs(seen)
            if found.counters.agree or self._journal.now > give_up:
                return
            await asyncio.sleep(POLL)

    def _resyncs(self, seen: list[Entry]) -> list[Resync]:
        found = []
        for entry in seen:
            event = entry.event
            if isinstance(event, events.FullResync):
                rdb = self._rdb_bytes(entry)
                found.append(Resync("full", entry.at, event.reason.code, event.reason.text, event.offset, rdb))
            elif isinstance(event, events.PartialResync):
                found.append(Resync("partial", entry.at, "", "", event.offset, event.bytes_behind))
        return found

    def _rdb_bytes(self, resync: Entry) -> int:
        """Of the RDB behind it on that connection; of a transfer that was cut, as far as progress told."""
        most = 0
        for entry in self._journal.of("rdb_finished", "rdb_progress", "full_resync", since=resync.at):
            if entry is not resync and entry.told.connection == resync.told.connection:
                if isinstance(entry.event, events.RdbFinished | events.RdbProgress):
                    most = entry.event.bytes
                if not isinstance(entry.event, events.RdbProgress):
                    break
        return most

    def _fault_seen(self, armed: Armed) -> FaultSeen:
        fired = [
            entry.told for entry in self._journal.of("fault_fired") if getattr(entry.event, "fault", "") == armed.name
        ]
        return FaultSeen(
            name=armed.name,
            spec=armed.spec,
            fired=armed.fired,
            places=tuple(_place(told) for told in fired[:20]),
            bytes=sum(getattr(told.event, "bytes", 0) or 0 for told in fired),
        )


def _place(told: Told) -> str:
    """Where a fault fired, in words."""
    said = told.as_dict()
    parts = [f"{said['phase']}" if said.get("phase") else ""]
    if said.get("offset") is not None:
        parts.append(f"offset {said['offset']}")
    if said.get("position") is not None:
        parts.append(f"byte {said['position']} from the {said.get('side', '?')}")
    return ", ".join(part for part in parts if part)


async def _offset(node: Node) -> int:
    """Raises redis-py's errors and OSError."""
    return int((await node.info("replication"))["master_repl_offset"])


def _applied(info: Info) -> int:
    """The replica's own offset; of one that knows none, as behind SYNC, -1."""
    return int(info.get("slave_repl_offset", -1))


async def _resyncs_counted(node: Node) -> tuple[int, int]:
    stats = await node.info("stats")
    return int(stats["sync_full"]), int(stats["sync_partial_ok"])


def check(scenario: Scenario, pair: Pair) -> None:
    """Whether this pair can do it. Raises ConfigError."""
    if not pair.given:
        return
    for step in scenario.steps:
        harm = "" if step.fault is None else parse(step.fault).destructive
        if harm:
            raise ConfigError(
                f"{scenario.name}: fault {step.fault!r} is destructive: {harm}. It is done to servers of our own only; "
                "leave --master out"
            )
        action = step.do
        if action is not None and (
            action.verb in ("kill", "restart", "promote", "demote")
            or (action.verb == "start" and action.target != "workload")
        ):
            raise ConfigError(f"{scenario.name}: {action.text!r} is done to servers of our own only; leave --master out")
