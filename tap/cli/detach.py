"""`redis-tap detach`: give replicas back to their masters, also after an attach that was killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from tap.console.stderr import say
from tap.errors import TapError
from tap.operate.attach_state import state_path
from tap.operate.attachment import detach as give_back
from tap.paths import state_directory
from tap.url import Url


def detach(
    replica: Annotated[
        str | None,
        typer.Argument(metavar="REPLICA_URL|FILE", help="The replica, or the state file; all of them if not given."),
    ] = None,
) -> None:
    """Give a replica back to the master that it followed before redis-tap attach.

    May be repeated: a replica that follows something else by now is left as it is.
    """
    url: Url | None = None
    if replica is None:
        paths = sorted(state_directory().glob("attach-*.json"))
        if not paths:
            typer.echo(f"nothing is attached: {state_directory()} holds no state of an attach")
    elif "://" not in replica and (replica.endswith(".json") or Path(replica).is_file()):
        paths = [Path(replica)]
    else:
        url = Url.parse(replica)
        paths = [state_path(url)]
    failed: list[TapError] = []
    for path in paths:
        try:
            typer.echo(asyncio.run(give_back(path, url)))
        except FileNotFoundError:
            typer.echo(f"nothing is attached: {path} does not exist")
        except TapError as error:
            failed.append(error)
    for one in failed[:-1]:
        say(*one.sentences)
    if failed:
        raise failed[-1]
