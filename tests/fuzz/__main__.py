"""Looks for input that the tap cannot handle: python -m tests.fuzz [--seconds N] [--inputs N] [--seed S] [FORMAT...]

Formats take turns, each in proportion to its weight. Input number i of a format depends on the seed, the format and i
alone, so `--seed S --first i --inputs 1 FORMAT` tries one again. An input that fails is written to found/ here.

What must hold for each: no exception but the one that the parser documents; CPU time and memory in bounds; and what a
parser reads incrementally it tells in the same way however it is cut. See tests/fuzz/check.py.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.check import Checker, Format
from tests.fuzz.formats import FORMATS


def main() -> int:
    """Returns the number of failed inputs, at most 1 as an exit code."""
    given = _arguments()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    if given.processes > 1:
        return _in_processes(given, seed)
    chosen = [FORMATS[name] for name in given.formats or FORMATS]
    print(f"seed {seed}", flush=True)
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    end = None if given.seconds is None else time.monotonic() + given.seconds
    with Checker(Path("found")) as checker:
        for number, form in _turns(chosen, given.first, given.inputs):
            if end is not None and time.monotonic() > end:
                break
            tried[form.name] += 1
            failed[form.name] += checker.fails(form, seed, number)
    for form in chosen:
        print(f"{form.name}: {tried[form.name]} inputs, {failed[form.name]} failed")
    return min(1, failed.total())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Looks for input that the tap cannot take.")
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument(
        "--inputs", type=int, help="stop after this number of rounds: a format of weight 1 has one in each"
    )
    parser.add_argument("--seed", type=int, help="decides every input; drawn and printed if it is not given")
    parser.add_argument("--processes", type=int, default=1, help="so many at once, with seeds that follow one another")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each format")
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    given = parser.parse_args()
    for name in given.formats:
        if name not in FORMATS:
            parser.error(f"unknown format {name}; known: {', '.join(FORMATS)}")
    if given.seconds is None and given.inputs is None:
        given.seconds = 60.0
    return given


def _in_processes(given: argparse.Namespace, seed: int) -> int:
    options = [
        f"--{name}={value}" for name in ("seconds", "inputs", "first") if (value := getattr(given, name)) is not None
    ]
    own = [sys.executable, "-m", "tests.fuzz", *options, *given.formats]
    return max(
        [one.wait() for one in [subprocess.Popen([*own, f"--seed={seed + number}"]) for number in range(given.processes)]]
    )


def _turns(chosen: list[Format], first: int, rounds: int | None) -> Iterator[tuple[int, Format]]:
    """Input after input: its number and its format."""
    for count in itertools.count() if rounds is None else range(rounds):
        for form in chosen:
            for number in range(form.weight):
                yield first + count * form.weight + number, form


if __name__ == "__main__":
    sys.exit(main())
