"""`redis-tap chaos`: experiments with a verdict."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tap.config import Address
from tap.console import chaos_report
from tap.errors import ConfigError, EnvironmentFailure
from tap.scenario import Result, Scenario, junit, library
from tap.scenario.campaign import Campaign, Given, new_seed
from tap.scenario.load import find
from tap.scenario.pair import parse_url
from tap.servers.embedded import find_server, version_of

ROWS = 12  # runs up to which each gets a row of its own


def chaos(
    scenario: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE.toml|NAME]...", help="Scenarios: files, or names of --list.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="The whole library.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the library, and end.")] = False,
    server: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Start the pair from this server program. May be repeated: each in turn."),
    ] = None,
    master: Annotated[
        str | None, typer.Option(metavar="URL", help="A running master: redis://[USER:PASSWORD@]HOST:PORT[/DB].")
    ] = None,
    replica: Annotated[str | None, typer.Option(metavar="URL", help="Its replica.")] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where that replica reaches the tap. [default: 127.0.0.1]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Decides every draw. [default: drawn, and shown]")
    ] = None,
    repeat: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Run each N times, with seeds N, N+1, ...")
    ] = None,
    until_failure: Annotated[
        bool, typer.Option("--until-failure", help="Repeat until a run is not met, at most --repeat times.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="A JSON object per run on stdout, nothing else there.")] = False,
    junit_: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, too.")] = None,
) -> None:
    """Run experiments on a master and a replica with the tap between, and judge what came of them.

    Servers are started for it, unless a running pair is given. Exit code 0 if all that was expected came true, else 1.
    """
    if list_:
        Console(highlight=False).print(chaos_report.listing(library()))
        return
    campaign = _campaign(scenario or [], all_, server or [], master, replica, listen, seed, repeat, until_failure)
    raise typer.Exit(asyncio.run(_run(campaign, as_json=json_, junit_file=junit_)))


def _campaign(
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
        for name, url in (("master", master), ("replica", replica)):
            parse_url(name, url)
        given = Given(master, replica, Address.parse(listen) if listen else Address("127.0.0.1", 0))
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


async def _run(campaign: Campaign, *, as_json: bool, junit_file: Path | None) -> int:
    """Until it is done or a signal ends it; its servers never outlive it."""
    loop = asyncio.get_running_loop()
    signals: list[signal.Signals] = []
    work = loop.create_task(_shown(campaign, as_json=as_json, junit_file=junit_file), name="chaos")

    def end(number: signal.Signals) -> None:
        if not signals:  # a second one must not disturb the cleaning up
            work.cancel()
        signals.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        results = await work
    except asyncio.CancelledError:
        if not signals:
            raise
        return 128 + signals[0]
    if any(result.failure for result in results):
        return EnvironmentFailure.exit_code
    return 0 if all(result.met for result in results) else 1


async def _shown(campaign: Campaign, *, as_json: bool, junit_file: Path | None) -> list[Result]:
    console = Console(highlight=False)
    results: list[Result] = []
    many = len(campaign.scenarios) * max(1, len(campaign.programs)) > 1 or campaign.repeat != 1
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
            met = sum(result.met and not result.skipped for result in results)
            skipped = sum(bool(result.skipped) for result in results)
            console.print(f"{met} met, {len(results) - met - skipped} not met, {skipped} skipped; seed {campaign.seed}")
    return results
