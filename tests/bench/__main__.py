"""`python -m tests.bench [--quick] [GROUP ...]`, from the root of the repository: tables, bench.json and bench.md."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status

from tap.errors import EnvironmentFailure, TapError

from . import (
    bystander,
    faults,
    fullsync,
    growth,
    latency,
    machine,
    observers,
    rdb,
    recording,
    relay,
    report,
    scanner,
    stream,
    watched,
)
from .results import Group, Say

GROUPS: dict[str, Group] = {
    "relay": relay.run,
    "latency": latency.run,
    "stream": stream.run,
    "fullsync": fullsync.run,
    "scanner": scanner.run,
    "rdb": rdb.run,
    "faults": faults.run,
    "recording": recording.run,
    "observers": observers.run,
    "bystander": bystander.run,
    "growth": growth.run,
    "watched": watched.run,
}
FLOODS: dict[str, Group] = {f"bystander:{flood}": partial(bystander.run, floods=[flood]) for flood in bystander.FLOODS}
ON_REQUEST = ("bystander", "growth", "watched")  # they take minutes of their own
FIGURES = Path("bench.json")
PAGE = Path("bench.md")


def main() -> None:
    arguments = parsed()
    # An exception, so that every with-block ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        run(arguments.groups or [name for name in GROUPS if name not in ON_REQUEST], arguments.quick)
    except TapError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=f"redis-tap beside its peers. Prints tables, and writes them to {PAGE} and {FIGURES}.",
    )
    default = (
        f"of {', '.join(GROUPS)}; without any, all but {', '.join(ON_REQUEST)}, which take minutes of their own; "
        "bystander:FLOOD is one flood of that group"
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=default)
    parser.add_argument("--quick", action="store_true", help="small sizes, two rounds: to try it, not to quote it")
    arguments = parser.parse_args()
    for name in arguments.groups:
        if name not in GROUPS | FLOODS:
            parser.error(f"unknown group {name!r}; known: {', '.join(GROUPS | FLOODS)}")
    return arguments


def run(groups: list[str], quick: bool) -> None:
    if not Path("/proc/self/stat").exists():
        raise EnvironmentFailure("the cost of a process is read from /proc, and there is none: this needs Linux")
    begin = time.monotonic()
    facts = machine.describe()
    told: dict[str, Any] = {"machine": facts, "quick": quick, "groups": {}}
    page = Page()
    page.add(report.machine(facts))
    for name in groups:
        group_begin = time.monotonic()
        outcomes = []
        with Console(stderr=True).status(name) as status:
            for outcome in (GROUPS | FLOODS)[name](quick, _says(name, status)):
                page.add(report.shown(outcome))
                outcomes.append(outcome.as_dict())
        seconds = time.monotonic() - group_begin
        page.add(f"The group {name} took {seconds:.0f} s.")
        told["groups"][name] = {"seconds": seconds, "outcomes": outcomes}
        # after each group, so that an interrupted run has something to show
        FIGURES.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{FIGURES} and {PAGE} written; this took {time.monotonic() - begin:.0f} s.")


class Page:
    """What is printed is also written, to be pasted into README.md here."""

    def __init__(self) -> None:
        PAGE.write_text("", encoding="utf-8")

    def add(self, text: str) -> None:
        print(text, end="\n\n", flush=True)
        with PAGE.open("a", encoding="utf-8") as file:
            file.write(text + "\n\n")


def _says(group: str, status: Status) -> Say:
    return lambda what: status.update(f"{group}: {what}")


if __name__ == "__main__":
    main()
