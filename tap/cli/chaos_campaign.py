"""The work of `redis-tap chaos`: make a campaign from its options, run it, and show the results."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tap.cli.ending import until_ended
from tap.config.link_config import listening
from tap.console import chaos_report, junit
from tap.console.terminal import Terminal
from tap.errors import ConfigError, EnvironmentFailure
from tap.scenario import Result, Scenario, library
from tap.scenario.campaign import Campaign, GivenPair, new_seed
from tap.scenario.load import find
from tap.servers.embedded import find_server, version_of
from tap.servers.redis_connection import connection_to
from tap.url import Url

ROWS = 12  # runs; up to this number each has a row of its own


def show_library() -> None:
    Terminal().print(chaos_report.listing(library()))


def campaign(
    names: list[str],
    all_: bool,
    servers: list[Path],
    master: str | None,
    replica: str | None,
    listen: str | None,
    seed: int | None,
    repeat: int | None,
    until_failure: bool,
) -> Campaign:
    """The campaign that the options of `chaos` describe. Raises ConfigError."""
    if all_ == bool(names):
        raise ConfigError("give scenarios by file or name, or --all; redis-tap chaos --list shows the library")
    if (master is None) != (replica is None):
        raise ConfigError("a running pair is given with both --master URL and --replica URL")
    if listen is not None and master is None:
        raise ConfigError("--listen is for a given pair: --master URL and --replica URL")
    given = None
    if master is not None and replica is not None:
        if servers:
            raise ConfigError("--server starts a pair, --master and --replica give one; take one of the two")
        given = GivenPair(_server("master", master), _server("replica", replica), listening(listen or "127.0.0.1:0"))
    scenarios: list[Scenario] = library() if all_ else [find(name) for name in names]
    programs = [] if given else [(program, version_of(program)) for program in servers or [find_server()]]
    return Campaign(
        scenarios=scenarios,
        programs=programs,
        given=given,
        seed=new_seed() if seed is None else seed,
        repeat=None if until_failure and repeat is None else repeat or 1,
        until_failure=until_failure,
    )


def _server(option: str, text: str) -> Url:
    try:
        url = Url.parse(text)
        connection_to(url)
    except ConfigError as error:
        raise ConfigError(f"--{option}: {error}") from None
    return url


def carry_out(campaign: Campaign, *, as_json: bool, junit_file: Path | None) -> int:
    """Run it, and show it as it goes. Returns the exit code."""
    return asyncio.run(_run(campaign, as_json=as_json, junit_file=junit_file))


async def _run(campaign: Campaign, *, as_json: bool, junit_file: Path | None) -> int:
    """Run until the campaign is done or a signal ends it. Its servers are stopped in any case."""
    results = await until_ended(_shown(campaign, as_json=as_json, junit_file=junit_file), "chaos")
    if any(result.failure for result in results):
        return EnvironmentFailure.exit_code
    return 0 if all(result.met for result in results) else 1


async def _shown(campaign: Campaign, *, as_json: bool, junit_file: Path | None) -> list[Result]:
    console = Terminal()
    results: list[Result] = []
    many = len(campaign.scenarios) * max(1, len(campaign.programs)) > 1 or campaign.repeat != 1
    for line in chaos_report.by_hand(await campaign.undoing()):
        (Terminal(stderr=True) if as_json else console).print(line, soft_wrap=True)
    try:
        async for result in campaign.results():
            results.append(result)
            if as_json:
                print(json.dumps(result.as_dict()), flush=True)
                continue
            if many:
                console.print(chaos_report.run_line(result), soft_wrap=True)
            if not result.met:
                console.print(chaos_report.trouble(result))
    finally:
        if junit_file is not None:
            junit.write(junit_file, results)
    if not as_json and results:
        if not many:
            console.print(chaos_report.single(results[0], console.width))
        else:
            as_table = len(results) <= ROWS and campaign.repeat == 1
            console.print(chaos_report.table(results, console.width) if as_table else chaos_report.matrix(results))
            for line in chaos_report.failures(results):
                console.print(line, soft_wrap=True)
            met = sum(result.met and not result.skipped for result in results)
            skipped = sum(bool(result.skipped) for result in results)
            console.print(f"{met} met, {len(results) - met - skipped} not met, {skipped} skipped; seed {campaign.seed}")
    return results
