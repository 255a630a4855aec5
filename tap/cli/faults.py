"""`redis-tap faults`: what can go wrong on purpose."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tap.console import fault_table
from tap.console.terminal import Terminal
from tap.errors import ConfigError, did_you_mean
from tap.faults.kinds import KINDS


def faults(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Only this fault, and all of it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List every fault and trigger, with parameters, units, defaults and an example."""
    if name is not None and name not in KINDS:
        raise ConfigError(f"unknown fault {name!r}; known: {', '.join(KINDS)}.{did_you_mean(name, KINDS)}")
    if as_json:
        print(json.dumps([one for one in fault_table.as_dicts() if name in (None, one["fault"])], indent=1))
        return
    console = Terminal()
    console.print(fault_table.overview() if name is None else fault_table.one(KINDS[name]))
