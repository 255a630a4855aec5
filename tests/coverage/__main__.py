"""`python -m tests.coverage`: the shares of lines and branches that the tests run, by room, in a table.

With ROOM ..., each room is measured by its own tests alone, and the modules are listed, too. Without, one run of a sample
of all tests (sample.py) measures all of `tap/`. Tests that start real servers are left out unless `--servers` asks for
them; the long ones always are.

The tests run in a copy that has no compiled modules, because coverage.py counts lines of Python only. They are several
times as slow there, so properties are tried with few examples. Processes that the tests start are measured, too.

So the shares are lower bounds: what counts as run did run, and some of the rest runs in `make test`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.sources import copied

from .sample import MEASURED
from .shares import BESIDE, Share, by_room, table

CONFIG = """
[run]
branch = true
parallel = true
source = tap
data_file = {data}
patch =
    subprocess
    _exit
disable_warnings = module-not-measured, no-data-collected

[report]
exclude_also =
    if TYPE_CHECKING:
    if cython\\.compiled:
    @overload
    \\.\\.\\.$
"""
COVERAGE = (sys.executable, "-m", "coverage")
OPTIONS = ("--import-mode=importlib", "-p", "no:cacheprovider", "-q", "--no-header", "--tb=short")
LOWER_BOUND = "A lower bound: a sample of the tests ran, without real servers, slow tests and most parameters."
WORKERS = ("-n", "2", "--dist", "worksteal", "-p", "tests.coverage.sample")


def main() -> None:
    root = Path.cwd()
    rooms = sorted(path.name for path in Path("tap").iterdir() if path.joinpath("__init__.py").exists())
    parser = argparse.ArgumentParser(prog="python -m tests.coverage", description="Coverage of tap/ by its tests.")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help="each by its own tests; without, all by all tests")
    parser.add_argument("--servers", action="store_true", help="with the tests that start real servers")
    parser.add_argument("--floor", type=float, metavar="PERCENT", help="fail if fewer of all branches ran")
    chosen = parser.parse_args()
    for room in chosen.rooms:
        if room not in (*rooms, BESIDE):
            parser.error(f"{room!r} is not a room; known: {', '.join(rooms)}, and {BESIDE} for what is in none")
    if chosen.floor is not None and chosen.rooms:
        parser.error("--floor holds for all of tap/: leave the rooms out")
    with copied(root) as folder:
        if chosen.rooms:
            failed = [room for room in chosen.rooms if not measure_room(room, folder, with_servers=chosen.servers)]
            passed = not failed
        else:
            passed = measure_all(folder, with_servers=chosen.servers, floor=chosen.floor)
    sys.exit(0 if passed else 1)


def measure_room(room: str, folder: Path, *, with_servers: bool) -> bool:
    """Run the tests of a room, and print what they reached of it. Return whether they passed."""
    tests = [f"tests/{room}"] if room != BESIDE else sorted(str(path) for path in folder.glob("tests/test_*.py"))
    began = time.monotonic()
    code, modules = _run(folder, ["-n", "0", *tests], f"tap/{room}/*.py" if room != BESIDE else "tap/*.py", with_servers)
    seconds = time.monotonic() - began
    for path, module in sorted(modules.items(), key=lambda item: item[1]["summary"]["percent_covered"]):
        figures = module["summary"]
        lines, branches = figures["missing_lines"], figures["missing_branches"]
        if lines or branches:
            print(f"  {figures['percent_covered']:5.1f} %  {path}: {lines} lines and {branches} branches never ran")
    share = sum((Share.of(module["summary"]) for module in modules.values()), Share())
    print(f"{room}: {share}, in {seconds:.0f} s{_ended(code)}", flush=True)
    return code == 0


def measure_all(folder: Path, *, with_servers: bool, floor: float | None) -> bool:
    """Run the sample, and print the table. Return whether they ran as many branches as the floor asks for, and without a
    floor whether they passed: some go by the clock, and measured they are slow.
    """
    began = time.monotonic()
    code, modules = _run(folder, [*WORKERS, "tests"], "tap/*", with_servers)
    seconds = time.monotonic() - began
    rooms = by_room({path: module["summary"] for path, module in modules.items()})
    print(table(rooms))
    share = sum(rooms.values(), Share())
    print(f"all of tap/: {share}, in {seconds:.0f} s{_ended(code)}. {LOWER_BOUND}", flush=True)
    if floor is None:
        return code == 0
    if share.branches < floor:
        print(f"FAILED: {share.branches:.2f} % of branches is less than the floor, {floor:g} %", flush=True)
    return share.branches >= floor


def _run(folder: Path, tests: list[str], of: str, with_servers: bool) -> tuple[int, dict[str, Any]]:
    """The exit code of the tests, and what coverage says of each module."""
    config, report = folder / "coverage.ini", folder / "coverage.json"
    config.write_text(CONFIG.format(data=folder / ".coverage-data"))
    chosen = "not slow and not long" if with_servers else "not slow and not long and not servers"
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "",  # each process that a test starts would compile all of tap/ anew
        "PYTHONPATH": str(folder),
        "REDIS_TAP_REQUIRED_SERVERS": "",
        "HYPOTHESIS_PROFILE": "few",
    }
    code = subprocess.call(
        [*COVERAGE, "run", f"--rcfile={config}", "-m", "pytest", "-o", "addopts=", *OPTIONS, "-m", chosen, *tests],
        cwd=folder,
        env=environment,
    )
    if code not in (0, 1):  # 1: some tests failed
        sys.exit(f"pytest ended with {code} before all tests had run: there are no figures")
    for step in (["combine", "-q"], ["json", "-q", "-o", str(report), f"--include={of}"]):
        command = [*COVERAGE, step[0], f"--rcfile={config}", *step[1:]]
        subprocess.run(command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    # Combining deletes the files that it can read. Tests kill processes, and some of these while they write theirs.
    left = {path.name for path in folder.glob(".coverage-data.*")}
    for path in folder.glob(f"{MEASURED}*"):
        if any(f".pid{path.name.removeprefix(MEASURED)}." in name for name in left):
            sys.exit("a process of pytest was cut off while it wrote what it had run: there are no figures")
    found: dict[str, Any] = json.loads(report.read_text())["files"]
    return code, found


def _ended(code: int) -> str:
    return "" if code == 0 else f", and some tests FAILED (pytest ended with {code})"


if __name__ == "__main__":
    main()
