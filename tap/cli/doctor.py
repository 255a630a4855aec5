"""`redis-tap doctor`: examine a master and its replicas as they are, and name what is wrong with its remedy."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from tap.cli.ending import until_ended
from tap.console import doctor_report
from tap.operate.doctor import examination
from tap.units import parse_duration


def doctor(
    master: Annotated[str, typer.Argument(metavar="MASTER_URL", help="The master.")],
    replicas: Annotated[
        list[str] | None,
        typer.Argument(metavar="REPLICA_URL", help="Its replicas; those that it lists if none is given."),
    ] = None,
    watch: Annotated[
        str, typer.Option("--for", metavar="TIME", help="For how long to watch what the master writes.")
    ] = "30s",
    outage: Annotated[
        str, typer.Option(metavar="TIME", help="The longest outage that should cost no full resync.")
    ] = "60s",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """What is wrong with a master and its replicas, how that is known, and the commands that mend it.

    Nothing is changed. Exit code 0 if nothing is broken, 1 if something is, 2 if a part could not be examined.
    """
    seconds, longest = parse_duration(watch), parse_duration(outage)
    with doctor_report.WatchingBar(seconds) as watching:
        done = asyncio.run(
            until_ended(
                examination.examine(master, replicas or (), seconds=seconds, outage=longest, advance=watching.advance),
                "doctor",
            )
        )
    if as_json:
        sys.stdout.write(f"{doctor_report.json_object(done)}\n")
    else:
        doctor_report.show(done)
    raise typer.Exit({True: 0, False: 1, None: 2}[done.healthy])
