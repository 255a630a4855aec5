"""Many runs, side by side."""

from __future__ import annotations

import asyncio
import contextlib
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Unreachable

from tap.config.link_config import listening
from tap.console.junit import write
from tap.errors import ConfigError, EnvironmentFailure
from tap.scenario import Result, library, load
from tap.scenario import campaign as campaigns
from tap.scenario.campaign import Campaign, GivenPair, new_seed
from tap.scenario.load import Scenario
from tap.scenario.result import Outcome
from tap.servers.embedded import version_of
from tap.url import Url
from tests.conftest import need
from tests.scenario.atonce import at_once
from tests.scenario.support import written
from tests.servers.standin import StandIn, stand_ins
from tests.support import MATRIX, programs, versions

BRIEF = 'workload = { kind = "none" }\nsteps = [{ do = "send SET a 1" }]'
NOT_MET = 'workload = { kind = "none" }\nsteps = []\nexpect = { resync = "full" }'


def results(campaign: Campaign) -> list[Result]:
    async def story() -> list[Result]:
        return [result async for result in campaign.results()]

    return asyncio.run(story())


def campaign(tmp_path: Path, text: str, server: str, **more: object) -> Campaign:
    program = programs()[server]
    scenario = load(written(tmp_path, text))
    settings = {"seed": 7, "scenarios": [scenario], "programs": [(program, "Redis 6.2.14")], **more}
    return Campaign(**settings)  # type: ignore[arg-type]


def test_a_run_says_how_to_repeat_it(any_server: str, tmp_path: Path) -> None:
    (result,) = results(campaign(tmp_path, BRIEF, any_server))
    program = programs()[any_server]
    assert result.command == f"redis-tap chaos {tmp_path}/mine.toml --server {program} --seed 7"
    assert result.met


def test_repeats_have_seeds_of_their_own(any_server: str, tmp_path: Path) -> None:
    found = results(campaign(tmp_path, BRIEF, any_server, repeat=5))
    assert sorted(result.seed for result in found) == [7, 8, 9, 10, 11]
    assert all(result.met for result in found)


def test_until_failure_ends_at_the_first(any_server: str, tmp_path: Path) -> None:
    found = results(campaign(tmp_path, NOT_MET, any_server, repeat=None, until_failure=True))
    assert len(found) == 1
    assert not found[0].met


def test_a_scenario_for_other_servers_is_skipped(any_server: str, tmp_path: Path) -> None:
    (result,) = results(campaign(tmp_path, f'servers = "Redis > 99"\n{BRIEF}', any_server))
    assert result.skipped == "it is for Redis > 99"
    assert result.met


def test_servers_that_do_not_start_are_a_failure_of_the_environment(any_server: str, tmp_path: Path) -> None:
    (result,) = results(campaign(tmp_path, f'master = {{ maxmemory-policy = "none" }}\n{BRIEF}', any_server))
    assert "does not start" in result.failure
    assert not result.met


def test_junit_says_what_was_met_and_what_was_not(any_server: str, tmp_path: Path) -> None:
    found = results(campaign(tmp_path, BRIEF, any_server)) + results(campaign(tmp_path, NOT_MET, any_server))
    found += results(campaign(tmp_path, f'servers = "Redis > 99"\n{BRIEF}', any_server))
    path = tmp_path / "junit.xml"
    write(path, found)
    suites = ElementTree.parse(path).getroot().findall("testsuite")
    cases = [case for suite in suites for case in suite]
    assert len(cases) == 3
    assert [[one.tag for one in case] for case in cases] == [
        ["properties"],
        ["properties", "failure", "system-out"],
        ["properties", "skipped"],
    ]
    assert {case.get("name") for case in cases} == {"mine"}
    said = {one.get("name"): one.get("value") for one in cases[1].iter("property")}
    assert said == {"seed": str(found[1].seed), "command": found[1].command}
    story = cases[1].findtext("system-out") or ""
    assert re.search(r"^ +\d+\.\d{3}  main/\d+  FULL RESYNC, ", story, re.MULTILINE)
    for name in ("master", "replica"):
        assert re.search(rf"^log of the {name}:\n[^\n]", story, re.MULTILINE)
    assert "eady to accept connections" in story
    assert not any(result.logs for result in (found[0], found[2]))
    failure = cases[1].find("failure")
    assert failure is not None
    assert "resync: expected full, found none" in (failure.get("message") or "")
    assert "repeat it with: redis-tap chaos" in (failure.text or "")
    with pytest.raises(EnvironmentFailure, match="No such file or directory"):
        write(tmp_path / "no" / "where.xml", found)


def all_are_met(scenarios: list[Scenario], name: str) -> None:
    found = results(Campaign(scenarios=scenarios, programs=[(programs()[name], name)], seed=1))
    failing = [f"{one.command}: {'; '.join(one.troubles)}" for one in found if not one.met]
    assert not failing, "\n".join(["", *failing])
    assert len(found) == len(scenarios)


@pytest.mark.long
@pytest.mark.servers
@pytest.mark.parametrize("name", versions(quick=["redis-newest"]))
def test_each_scenario_of_the_library_is_met_on_one_of_the_servers(name: str) -> None:
    """In turn, among those that the scenario is for."""
    need(name)
    known = {one: version_of(programs()[one]) for one in MATRIX if one in programs()}
    ours = []
    for number, scenario in enumerate(library()):
        fitting = [one for one, version in known.items() if scenario.fits(version)]
        if fitting and fitting[number % len(fitting)] == name:
            ours.append(scenario)
    all_are_met(ours, name)


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.parametrize("name", MATRIX)
def test_the_whole_library_is_met(name: str) -> None:
    all_are_met(library(), need(name))


def test_a_run_on_a_given_pair_is_repeated_with_all_but_the_passwords(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, BRIEF))
    given = GivenPair(
        Url.parse("rediss://:sesame@127.0.0.1:1?sni=redis.example"),
        Url.parse("127.0.0.1:2"),
        listening("rediss://127.0.0.1:0?cert=tap.pem"),
    )
    (result,) = results(Campaign(scenarios=[scenario], given=given, seed=7))
    assert "the master at 127.0.0.1:1 does not answer" in result.failure
    assert result.command == (
        f"redis-tap chaos {tmp_path}/mine.toml --master 'rediss://:***@127.0.0.1:1?sni=redis.example' "
        "--replica 127.0.0.1:2 --listen 'rediss://127.0.0.1:0?cert=tap.pem' --seed 7"
    )


# ---- on played pairs ----


ATTACH: Any = [{"do": "attach"}]


class Runs:
    """A stand-in for run() and for pairs: what was run, how many at a time, and the outcome by the seed."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.now = self.most = self.cancelled = 0
        self.met: Callable[[int], bool] = lambda seed: True
        self.fails: Exception | None = None
        self.listens: list[Any] = []
        self.programs: list[Any] = []
        self.version = "Redis 7.0.15"

    async def run(self, scenario: Scenario, pair: Any, *, seed: int, listen: Any) -> Result:
        self.seeds.append(seed)
        self.listens.append(listen)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(seed)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1
        if self.fails is not None:
            raise self.fails
        verdict = Outcome("resync", "full", "none", self.met(seed))
        return Result(scenario=scenario.name, title="", server=pair.version, seed=seed, verdicts=(verdict,))

    @contextlib.asynccontextmanager
    async def pair(self, *what: Any) -> AsyncIterator[Any]:
        self.programs.append(what)
        yield SimpleNamespace(given=False, version=self.version, logs=lambda: {"master": "a line"})

    def results(self, *names: str, servers: Any = None, given: GivenPair | None = None, **more: Any) -> list[Result]:
        fitting: Any = [servers] if servers else []
        named = [Scenario(name=name, title=f"title of {name}", servers=fitting, steps=ATTACH) for name in names]
        for one in named:
            one._source = one.name
        if given is None:
            more.setdefault("programs", [(Path("one"), "Redis 7.0.15")])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(campaigns, "run", self.run)
            patch.setattr(campaigns, "own_pair", self.pair)
            patch.setattr(campaigns, "given_pair", self.pair)

            async def story() -> list[Result]:
                found = Campaign(scenarios=named, given=given, **{"seed": 1, **more})
                return [one async for one in found.results()]

            return at_once(story())


GIVEN = GivenPair(Url.parse("redis://:sesame@127.0.0.1:1"), Url.parse("127.0.0.1:2"))


def test_each_scenario_is_run_on_each_server_with_each_seed_four_at_a_time() -> None:
    runs = Runs()
    programs = [(Path("one"), "Redis 7.0.15"), (Path("two"), "Valkey 8.1.1")]
    found = runs.results("a", "b", programs=programs, repeat=3, seed=5)
    assert (runs.most, len(found), runs.cancelled) == (4, 12, 0)
    assert runs.seeds == [5] * 4 + [6] * 4 + [7] * 4
    order = [(program, scenario.name) for program, scenario in runs.programs]
    assert order == [(Path(one), name) for one in ("one", "two") for name in ("a", "b")] * 3
    assert {one.command for one in found} >= {f"redis-tap chaos {name} --server one --seed 5" for name in "ab"}
    assert {one.scenario for one in found} == {"a", "b"}
    assert all(not one.logs for one in found)


def test_on_a_given_pair_runs_follow_one_another() -> None:
    runs = Runs()
    found = runs.results("a", "b", given=GIVEN, repeat=2)
    assert (runs.most, len(found)) == (1, 4)
    assert [(master.name, str(master.address), replica.name) for master, replica in runs.programs] == [
        ("master", "127.0.0.1:1", "replica")
    ] * 4
    assert found[0].command == "redis-tap chaos a --master 'redis://:***@127.0.0.1:1' --replica 127.0.0.1:2 --seed 1"
    assert runs.listens == [GIVEN.listen] * 4
    runs = Runs()
    runs.results("a")
    assert runs.listens == [None]


def test_until_failure_other_runs_are_ended() -> None:
    runs = Runs()
    runs.met = lambda seed: seed != 3
    found = runs.results("a", repeat=None, until_failure=True)
    assert [one.seed for one in found] == [1, 2, 3]
    assert found[-1].logs == {"master": "a line"}
    assert (runs.now, runs.cancelled) == (0, 3)
    runs = Runs()
    runs.met = lambda seed: False
    assert len(runs.results("a", repeat=3)) == 3


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (EnvironmentFailure("no port"), "no port"),
        (OSError("gone"), "a server failed before the first step: gone"),
        (OSError(), "a server failed before the first step: OSError"),
        (Unreachable("gone"), "a server failed before the first step: gone"),
    ],
)
def test_a_failure_of_the_environment_is_reported_with_the_servers_logs(error: Exception, failure: str) -> None:
    runs = Runs()
    runs.fails = error
    (one,) = runs.results("a")
    assert (one.failure, one.met, one.logs) == (failure, False, {"master": "a line"})
    assert (one.scenario, one.title, one.server, one.seed) == ("a", "title of a", "Redis 7.0.15", 1)
    assert one.command == "redis-tap chaos a --server one --seed 1"


def test_what_a_given_pair_cannot_do_is_a_mistake_or_one_of_many_to_skip() -> None:
    runs = Runs()
    runs.fails = ConfigError("not here")
    with pytest.raises(ConfigError):
        runs.results("a", given=GIVEN)
    assert [one.skipped for one in runs.results("a", "b", given=GIVEN)] == ["not here"] * 2
    with pytest.raises(ConfigError):
        runs.results("a", "b")


def test_a_scenario_for_other_servers_is_skipped_before_and_after_the_start() -> None:
    runs = Runs()
    (one,) = runs.results("a", servers="Valkey")
    assert (one.skipped, runs.programs, one.server) == ("it is for Valkey", [], "Redis 7.0.15")
    (one,) = runs.results("a", servers="Valkey", given=GIVEN)
    assert (one.skipped, len(runs.programs), runs.seeds, one.server) == ("it is for Valkey", 1, [], "Redis 7.0.15")
    assert not runs.results("a", servers="Redis", given=GIVEN)[0].skipped


def test_a_campaign_on_a_given_pair_says_how_to_undo_it() -> None:
    async def story() -> tuple[list[str], list[str]]:
        one = Scenario(title="a", steps=ATTACH)
        own = await Campaign(scenarios=[one], seed=1).undoing()
        master, replica = StandIn(), StandIn()
        replica.options["tls-replication"] = "yes"
        async with stand_ins(master, replica):
            return own, await Campaign(scenarios=[one], given=GivenPair(master.url, replica.url), seed=1).undoing()

    own, given = at_once(story())
    assert own == []
    assert [line.split(" ", 5)[-1] for line in given[:2]] == ["CONFIG SET tls-replication yes", "REPLICAOF NO ONE"]


def test_a_seed_is_short_and_new() -> None:
    seeds = {new_seed() for _ in range(20)}
    assert len(seeds) > 15
    assert all(1 <= seed < 1_000_000 for seed in seeds)
