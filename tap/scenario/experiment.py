"""Carries out one scenario on one pair with a tap between them: steps, then evidence, then verdicts."""

from __future__ import annotations

import asyncio
import contextlib
import time

from tap import faults
from tap.config import Config, LinkConfig
from tap.errors import ConfigError, EnvironmentFailure
from tap.replication import events
from tap.scenario.evidence import EvidenceCollector
from tap.scenario.journal import Journal
from tap.scenario.judge import verdicts
from tap.scenario.load import Scenario
from tap.scenario.outage import Outages
from tap.scenario.pair import FAREWELL_SECONDS, Pair, agree_on_tls, set_options
from tap.scenario.result import Result
from tap.scenario.stage import BACK, Stage, until
from tap.scenario.steps import Steps
from tap.scenario.tally import Tally
from tap.scenario.workload import BIG, DBS, Workload
from tap.servers.cancellation import to_the_end
from tap.servers.failures import FAILURES
from tap.tap import Tap
from tap.url import Address, Url

LOOPBACK = Address("127.0.0.1", 0)
ATTACH_SECONDS = 30.0
PRIVATE = frozenset({"requirepass", "masterauth", "masteruser", "port", "bind", "replicaof", "dir", "dbfilename", "save"})
LIVELY = frozenset({"ack", "commands", "rdb_progress"})  # frequent events, left out of the story


async def run(scenario: Scenario, pair: Pair, *, seed: int, listen: Url | None = None) -> Result:
    """Run a scenario and judge it. listen: where the tap listens for the replica, which must be able to reach that
    address. With TLS, listen names the tap's certificate.

    The seed decides every draw of faults and workload. Raises ConfigError for what this pair cannot do,
    EnvironmentFailure when a port is not available, FAILURES when a server fails before the first step.
    """
    listen = listen or Url(LOOPBACK if pair.given else Address(pair.master.address.host, 0))
    links = [LinkConfig(master=pair.master.url.endpoint, listen=listen)]
    if scenario.does("demote"):
        back = Address(listen.address.host, 0)
        links.append(LinkConfig(master=pair.replica.address, listen=back, name=BACK))
    if pair.given:
        await agree_on_tls(pair.replica, listen)
        for node, options in ((pair.master, scenario.master), (pair.replica, scenario.replica)):
            await set_options(node, {**scenario.both, **options})
    until_end = contextlib.AsyncExitStack()
    try:
        tap = await until_end.enter_async_context(Tap(Config(links=tuple(links), seed=seed, destructive=not pair.given)))
        until_end.callback(pair.end)  # before the tap: no replica may look for its port once another process can get it
        journal = Journal()
        tap.bus.subscribe(journal)
        expect = scenario.expect.at(pair.version)
        workload = Workload(
            pair.master,
            seed,
            scenario.workload.rate,
            dbs=(pair.master.db,) if pair.given else DBS,
            ledger=expect.no_data_loss_before_offset is not None,
            big=min(BIG, scenario.workload.preload // 2 or BIG),
        )
        if pair.given:
            until_end.push_async_callback(_cleaned, workload)
        until_end.push_async_callback(workload.stop, FAREWELL_SECONDS)
        outages = Outages(tap)
        until_end.push_async_callback(outages.close)
        return await _played(Stage(scenario, expect, pair, tap, journal, workload, outages, Tally()), seed)
    finally:
        await to_the_end(until_end.aclose())


async def _cleaned(workload: Workload) -> None:
    with contextlib.suppress(*FAILURES):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await workload.clean()


async def _played(stage: Stage, seed: int) -> Result:
    began = time.monotonic()
    try:
        await _begin(stage)
    except TimeoutError:
        raise EnvironmentFailure(
            f"the replica did not come to follow its master within {ATTACH_SECONDS:g} s, before the first step"
        ) from None
    steps = Steps(stage)
    await steps.take_all()
    evidence = await EvidenceCollector(stage, steps.taken).evidence()
    return Result(
        scenario=stage.scenario.name,
        title=stage.scenario.title,
        server=stage.pair.version,
        seed=seed,
        seconds=time.monotonic() - began,
        steps=tuple(evidence.steps),
        faults=tuple(evidence.faults),
        resyncs=tuple(evidence.resyncs),
        outage=sum(evidence.outages),
        resent=sum(resync.bytes for resync in evidence.resyncs),
        written=stage.workload.written,
        refused=evidence.refused,
        verdicts=tuple(verdicts(stage.expect, evidence)),
        story=tuple(entry for entry in stage.journal.entries if entry.event.kind not in LIVELY),
    )


async def _begin(stage: Stage) -> None:
    """Bring the pair to where the first step can be taken. Raises TimeoutError."""
    journal, workload, table = stage.journal, stage.workload, stage.scenario.workload

    async def has_settled() -> bool:
        """The replica has loaded and acknowledged, and its resync is reported; for a partial one that comes late."""
        return bool(journal.of("stream_started") and journal.of("ack"))

    async def has_acked_a_write() -> bool:
        """The replica has acknowledged a write of the ledger: without one there would be nothing to lose."""
        acked = [entry.event.offset for entry in journal.entries if isinstance(entry.event, events.Ack)]
        return bool(acked and workload.ledger) and acked[-1] >= workload.ledger[0].offset

    if table.kind == "mixed":
        await workload.preload(table.preload)
    if stage.scenario.attaches:
        if stage.pair.given:
            await stage.pair.replica.follow(None)
    else:
        await stage.attach()
        await until(stage.is_level, ATTACH_SECONDS)
        await until(has_settled, ATTACH_SECONDS)
    if table.kind == "mixed":
        workload.start()
    if stage.expect.no_data_loss_before_offset is not None:
        await until(has_acked_a_write, ATTACH_SECONDS)
    await stage.tally.begin(stage.pair.nodes)
    await stage.of_master()
    stage.start = await stage.snapshot()
    journal.skip()
    stage.since = journal.now


def can_run(scenario: Scenario, pair: Pair) -> bool:
    try:
        check(scenario, pair)
    except ConfigError:
        return False
    return True


def check(scenario: Scenario, pair: Pair) -> None:
    """Raises ConfigError if this pair cannot run the scenario."""
    if not pair.given:
        return
    for step in scenario.steps:
        action = step.do
        if action is not None and action.is_own_only:
            raise ConfigError(f"{scenario.name}: {action.text!r} is done to servers of our own only; leave --master out")
        harm = faults.parse(step.fault).destructive if step.fault is not None else ""
        if harm:
            raise ConfigError(
                f"{scenario.name}: fault {step.fault!r} is for servers of our own only: {harm}; leave --master out"
            )
    for option in (*scenario.both, *scenario.master, *scenario.replica):
        if option in PRIVATE:
            raise ConfigError(
                f"{scenario.name}: {option} of a running server is not for us to change; leave --master out"
            )
