"""`redis-tap chaos`: experiments with a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tap.paths import check_writable


def chaos(
    scenario: Annotated[
        list[str] | None, typer.Argument(metavar="FILE.toml|NAME", help="Scenarios: files, or names of --list.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="The whole library.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the library, and end.")] = False,
    server: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Start the pair from this server program. May be repeated: each in turn."),
    ] = None,
    master: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A running master: redis://USER:PASSWORD@HOST:PORT/DB, or rediss://."),
    ] = None,
    replica: Annotated[str | None, typer.Option(metavar="URL", help="Its replica.")] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where that replica reaches the tap; 127.0.0.1 if not given.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Decides every draw; drawn, and shown, if not given.")
    ] = None,
    repeat: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Run each N times, each time with the next seed.")
    ] = None,
    until_failure: Annotated[
        bool, typer.Option("--until-failure", help="Repeat until a run is not met, at most --repeat times.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="A JSON object per run on stdout, nothing else there.")] = False,
    junit_: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, too.")] = None,
) -> None:
    """Run experiments on a master and a replica with the tap between them, and judge the results.

    Servers are started for it, unless a running pair is given. Exit code 0 if every expectation was met, else 1.
    """
    # Not at the top: this loads redis-py, which takes 0.1 s and which most verbs do not need.
    from tap.cli import chaos_campaign

    if list_:
        chaos_campaign.show_library()
        return
    if junit_ is not None:
        check_writable(junit_)
    campaign = chaos_campaign.campaign(
        scenario or [], all_, server or [], master, replica, listen, seed, repeat, until_failure
    )
    raise typer.Exit(chaos_campaign.carry_out(campaign, as_json=json_, junit_file=junit_))
