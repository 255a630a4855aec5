"""Many runs: scenarios by servers by seeds, several side by side, each on a pair of its own."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tap.errors import ConfigError, EnvironmentFailure
from tap.scenario.by_hand import undoing
from tap.scenario.experiment import LOOPBACK, check, run
from tap.scenario.load import Scenario
from tap.scenario.pair import Node, Pair, given_pair, own_pair
from tap.scenario.result import Result
from tap.servers.failures import FAILURES
from tap.url import Url

ANYWHERE = Url(LOOPBACK)
AT_ONCE = 4  # pairs side by side; most of a run is waiting


@dataclass(frozen=True, slots=True)
class GivenPair:
    """A given pair: its URLs, and where the tap listens so that a replica on another machine can reach it."""

    master: Url
    replica: Url
    listen: Url = ANYWHERE


@dataclass(frozen=True, slots=True)
class CampaignRun:
    """One run. program: to start our own pair with; None for the given pair. server: its version, "" if not known yet."""

    scenario: Scenario
    program: Path | None
    server: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What to run. programs: server programs with their versions, each used in turn. repeat: number of runs of each, with
    the seeds seed, seed + 1, and so on; None: without end. until_failure: stop at the first run that does not meet its
    expectations.
    """

    scenarios: Sequence[Scenario]
    programs: Sequence[tuple[Path, str]] = ()
    given: GivenPair | None = None
    seed: int
    repeat: int | None = 1
    until_failure: bool = False

    async def undoing(self) -> list[str]:
        """Shell commands that restore a given pair by hand to its present state."""
        if self.given is None:
            return []
        given = self.given
        return await undoing(given.master, given.replica, self.scenarios, tap_speaks_tls=given.listen.tls)

    async def results(self) -> AsyncIterator[Result]:
        """Yield each result as soon as it is available. Raises ConfigError for what the given pair cannot do."""
        jobs = self._jobs()
        running: set[asyncio.Task[Result]] = set()
        at_once = 1 if self.given is not None else AT_ONCE
        try:
            while True:
                while len(running) < at_once and (job := next(jobs, None)) is not None:
                    running.add(asyncio.create_task(self._one(job), name=f"chaos {job.scenario.name}"))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    result = task.result()
                    yield result
                    if self.until_failure and not result.met:
                        return
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _jobs(self) -> Iterator[CampaignRun]:
        number = 0
        while self.repeat is None or number < self.repeat:
            for program, server in self.programs or ((None, ""),):
                for scenario in self.scenarios:
                    yield CampaignRun(scenario, program, server, self.seed + number)
            number += 1

    async def _one(self, job: CampaignRun) -> Result:
        scenario = job.scenario
        blank = Result(
            scenario=scenario.name,
            title=scenario.title,
            server=job.server,
            seed=job.seed,
            command=self._command(job),
        )
        if job.server and not scenario.fits(job.server):
            return replace(blank, skipped=f"it is for {', '.join(map(str, scenario.servers))}")
        try:
            async with self._pair(job) as pair:
                blank = replace(blank, server=pair.version)
                check(scenario, pair)
                if not scenario.fits(pair.version):
                    return replace(blank, skipped=f"it is for {', '.join(map(str, scenario.servers))}")
                listen = self.given.listen if self.given else None
                try:
                    result = await run(scenario, pair, seed=job.seed, listen=listen)
                except Exception:
                    blank = replace(blank, logs=pair.logs())
                    raise
                return replace(result, command=blank.command, logs={} if result.met else pair.logs())
        except ConfigError as error:
            if self.given is None or len(self.scenarios) == 1:
                raise
            return replace(blank, skipped=str(error))
        except EnvironmentFailure as error:
            return replace(blank, failure=str(error))
        except FAILURES as error:
            return replace(blank, failure=f"a server failed before the first step: {str(error) or type(error).__name__}")

    @contextlib.asynccontextmanager
    async def _pair(self, job: CampaignRun) -> AsyncIterator[Pair]:
        if job.program is not None:
            async with own_pair(job.program, job.scenario) as pair:
                yield pair
            return
        assert self.given is not None
        async with given_pair(Node("master", self.given.master), Node("replica", self.given.replica)) as pair:
            yield pair

    def _command(self, job: CampaignRun) -> str:
        """The command that repeats exactly this run, without passwords."""
        words = ["redis-tap", "chaos", job.scenario.source]
        if job.program is not None:
            words += ["--server", str(job.program)]
        elif self.given is not None:
            words += ["--master", str(self.given.master), "--replica", str(self.given.replica)]
            if self.given.listen != ANYWHERE:
                words += ["--listen", str(self.given.listen)]
        return shlex.join([*words, "--seed", str(job.seed)])


def new_seed() -> int:
    """A random seed, short enough to be typed again."""
    return random.SystemRandom().randrange(1, 1_000_000)
