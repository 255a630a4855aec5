"""`python -m tests.mutation [ROOM | MODULE ...] [--sample N] [--seed S]`: scores, and what survived."""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.sources import MARK, copied

from . import reach
from .mutants import Mutant, mutants
from .trial import ARGUMENTS, Trials

ROOMS = (
    "replication",
    "faults",
    "relay",
    "capture",
    "redaction",
    "recorder",
    "recording",
    "export",
    "replay",
    "scenario",
    "observers",
)
KEPT = "MUTATION_KEPT"  # the variable that names where the reach of tests is kept between runs
BUDGET = 20.0  # seconds of tests for a mutant; beyond that the slowest tests are left out
BUDGET_OF_IMPORTS = 8.0  # where any test may notice, because an import runs the line, or another process


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Mutation score by room.")
    parser.add_argument("what", nargs="*", default=ROOMS, help="rooms, or modules as tap/faults/lane.py; all rooms")
    parser.add_argument("--sample", type=int, default=200, help="mutants of each, drawn; 0 for all of them [200]")
    parser.add_argument("--seed", type=int, default=1, help="of the draw [1]")
    chosen = parser.parse_args()
    if Path.cwd().joinpath(MARK).exists():
        for what in chosen.what:
            score(what, chosen.sample, chosen.seed)
        return
    root = Path.cwd()
    with copied(root) as folder:
        os.nice(10)
        environment = {**os.environ, "PYTHONPATH": str(folder), KEPT: str(root / ".mutation")}
        code = subprocess.call([sys.executable, "-m", "tests.mutation", *sys.argv[1:]], cwd=folder, env=environment)
    sys.exit(code)


def score(what: str, sample: int, seed: int) -> None:
    """Print the survivors as they are found, then the score."""
    paths = [what] if what.endswith(".py") else [str(path) for path in sorted(Path("tap", what).rglob("*.py"))]
    room = Path(paths[0]).parts[1]
    found = [mutant for path in paths for mutant in mutants(Path(), path)]
    tried = random.Random(f"{seed} {what}").sample(found, sample) if 0 < sample < len(found) else found
    reached = reach_of(room)
    began = time.monotonic()
    killed = Counter[str]()
    of_module = Counter(mutant.path for mutant in tried)
    trials = Trials([str(Path("tests", room))], reached.seconds)
    try:
        for mutant in sorted(tried, key=lambda mutant: (mutant.path, mutant.number)):
            names = tests_for(mutant, reached)
            if not names:
                print(f"{mutant}    [no test runs it]", flush=True)
            elif trials.survives(mutant, names):
                print(f"{mutant}    [{len(names)} tests]", flush=True)
            else:
                killed[mutant.path] += 1
    finally:
        trials.close()
    for path, count in of_module.items():
        print(f"  {path}: {killed[path]} of {count} ({killed[path] / count:.0%})")
    share = killed.total() / len(tried)
    margin = 0.0 if len(tried) == len(found) else 1.96 * math.sqrt(share * (1 - share) / len(tried))
    print(
        f"{what}: {killed.total()} of {len(tried)} killed, {share:.1%} (+- {margin:.1%}; {len(found)} mutants in all, "
        f"seed {seed}), in {time.monotonic() - began:.0f} s",
        flush=True,
    )


def reach_of(room: str) -> reach.Reach:
    """Recorded file by file, and kept while the file, the room and the way tests are run do not change."""
    kept = Path(os.environ[KEPT])
    kept.mkdir(exist_ok=True)
    of_room = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path("tap", room).rglob("*.py"))))
    of_room.update(repr(ARGUMENTS).encode())
    outputs = {}
    for path in sorted(Path("tests", room).rglob("test_*.py")):
        of_file = of_room.copy()
        of_file.update(path.read_bytes())
        outputs[path] = kept / f"{room}-{path.stem}-{of_file.hexdigest()[:16]}.json"
    for path, output in outputs.items():
        if not output.exists():
            subprocess.run(
                [sys.executable, "-m", "pytest", *ARGUMENTS, "-p", "tests.mutation.reach", str(path)],
                env={**os.environ, reach.OUTPUT: str(output), reach.ROOM: room},
                stdout=subprocess.DEVNULL,
                check=False,
            )
    return reach.read(outputs.values())


def tests_for(mutant: Mutant, reached: reach.Reach) -> list[str]:
    """The tests that run the line: of the module's own file, then of others, fastest first, within the budget.

    If none does, those that run any of the module, and then all others: an import may run the line, or another process.
    """
    names = reached.of(mutant.path, mutant.lines, mutant.in_function) if mutant.in_function else set()
    left = BUDGET if names else BUDGET_OF_IMPORTS
    near = names or reached.of(mutant.path, mutant.lines, False)
    names = names or set(reached.seconds)
    own = f"/test_{Path(mutant.path).stem}.py::"
    chosen = []
    for name in sorted(names, key=lambda name: (own not in name, name not in near, reached.seconds[name], name)):
        if reached.seconds[name] <= min(left, reach.SLOWEST):
            left -= reached.seconds[name]
            chosen.append(name)
    return chosen


if __name__ == "__main__":
    main()
