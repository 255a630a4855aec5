"""`python -m tests.bench [--quick] [GROUP ...]`, from the root of the repository: tables, and bench.json."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.status import Status

from tap.errors import EnvironmentFailure, TapError

from . import faults, fullsync, latency, machine, observers, rdb, recording, relay, report, scanner, stream
from .results import Say

GROUPS = {
    "relay": relay.run,
    "latency": latency.run,
    "stream": stream.run,
    "fullsync": fullsync.run,
    "scanner": scanner.run,
    "rdb": rdb.run,
    "faults": faults.run,
    "recording": recording.run,
    "observers": observers.run,
}
OUTPUT = Path("bench.json")


def main() -> None:
    arguments = parsed()
    # An exception, so that every with-block ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        run(arguments.groups or list(GROUPS), arguments.quick)
    except TapError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="redis-tap beside its peers.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; all without any")
    parser.add_argument("--quick", action="store_true", help="small sizes, two rounds: to try it, not to quote it")
    arguments = parser.parse_args()
    for name in arguments.groups:
        if name not in GROUPS:
            parser.error(f"unknown group {name!r}; known: {', '.join(GROUPS)}")
    return arguments


def run(groups: list[str], quick: bool) -> None:
    if not Path("/proc/self/stat").exists():
        raise EnvironmentFailure("the cost of a process is read from /proc, and there is none: this needs Linux")
    begin = time.monotonic()
    shown = report.console()
    facts = machine.describe()
    report.show_machine(shown, facts)
    told: dict[str, Any] = {"machine": facts, "quick": quick, "groups": {}}
    for name in groups:
        with shown.status(name) as status:
            result = GROUPS[name](quick, _says(name, status))
        report.show(shown, result)
        told["groups"][name] = result.as_dict()
        # after each group, so that an interrupted run has something to show
        OUTPUT.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    shown.print(f"\n{OUTPUT} written; this took {time.monotonic() - begin:.0f} s.")


def _says(group: str, status: Status) -> Say:
    return lambda what: status.update(f"{group}: {what}")


if __name__ == "__main__":
    main()
