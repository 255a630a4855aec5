"""`python -m tests.coverage [ROOM ...] [--servers]`: the share of lines and branches, by room and module.

Each room is measured with its own tests alone, as whoever rebuilds it runs them, in a copy that has no compiled modules.
Processes that the tests start are measured, too.
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

BESIDE = "beside"  # name for the modules that are in no room
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


def main() -> None:
    root = Path.cwd()
    rooms = sorted(path.name for path in Path("tap").iterdir() if path.joinpath("__init__.py").exists())
    parser = argparse.ArgumentParser(prog="python -m tests.coverage", description="Coverage of each room by its tests.")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", default=[*rooms, BESIDE], help="all of them")
    parser.add_argument("--servers", action="store_true", help="with the tests that start real servers")
    chosen = parser.parse_args()
    for room in chosen.rooms:
        if room not in (*rooms, BESIDE):
            parser.error(f"{room!r} is not a room; known: {', '.join(rooms)}, and {BESIDE} for what is in none")
    with copied(root) as folder:
        for room in chosen.rooms:
            measure(room, folder, with_servers=chosen.servers)


def measure(room: str, folder: Path, *, with_servers: bool) -> None:
    """Run the tests of a room, and print what they reached of it."""
    config, report = folder / "coverage.ini", folder / "coverage.json"
    config.write_text(CONFIG.format(data=folder / f".coverage-{room}"))
    tests = [f"tests/{room}"] if room != BESIDE else sorted(map(str, folder.glob("tests/test_*.py")))
    chosen = () if with_servers else ("-m", "not servers")
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "coverage"]
    options = ("-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider", "-q", "--no-header", "--tb=short")
    code = subprocess.call(
        [*command, "run", f"--rcfile={config}", "-m", "pytest", *options, *chosen, *tests], cwd=folder, env=environment
    )
    seconds = time.monotonic() - began
    said = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL}
    of_room = f"tap/{room}/*.py" if room != BESIDE else "tap/*.py"
    subprocess.run([*command, "combine", "-q", f"--rcfile={config}"], check=True, **said)  # type: ignore[call-overload]
    subprocess.run(  # type: ignore[call-overload]
        [*command, "json", "-q", f"--rcfile={config}", "-o", str(report), f"--include={of_room}"], check=True, **said
    )
    found: dict[str, Any] = json.loads(report.read_text())
    for path, module in sorted(found["files"].items(), key=lambda item: item[1]["summary"]["percent_covered"]):
        figures = module["summary"]
        lines, branches = figures["missing_lines"], figures["missing_branches"]
        if lines or branches:
            print(f"  {figures['percent_covered']:5.1f} %  {path}: {lines} lines and {branches} branches never ran")
    failed = "" if code == 0 else f", and some tests FAILED (pytest ended with {code})"
    print(
        f"{room}: {found['totals']['percent_covered']:.1f} % of lines and branches, in {seconds:.0f} s{failed}",
        flush=True,
    )


if __name__ == "__main__":
    main()
