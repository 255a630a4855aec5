"""Many runs, side by side."""

from __future__ import annotations

import asyncio
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tap.config import listening
from tap.console.junit import write
from tap.errors import EnvironmentFailure
from tap.scenario import Result, library, load
from tap.scenario.campaign import Campaign, Given
from tap.url import Url
from tests.conftest import need
from tests.scenario.support import written
from tests.support import MATRIX, programs

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


def test_a_scenario_for_others_is_skipped(any_server: str, tmp_path: Path) -> None:
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


@pytest.mark.long
@pytest.mark.servers
@pytest.mark.parametrize(
    "name",
    [
        name if name in ("redis-6.2", "redis-newest", "valkey-newest") else pytest.param(name, marks=pytest.mark.slow)
        for name in MATRIX
    ],
)
def test_the_whole_library_is_met(name: str) -> None:
    found = results(Campaign(scenarios=library(), programs=[(programs()[need(name)], name)], seed=1))
    failing = [f"{one.command}: {'; '.join(one.troubles)}" for one in found if not one.met]
    assert not failing, "\n".join(["", *failing])
    assert len(found) == len(library())


def test_a_run_on_a_given_pair_is_repeated_with_all_but_the_passwords(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, BRIEF))
    given = Given(
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
