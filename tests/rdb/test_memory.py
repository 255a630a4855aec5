"""The peak memory of a process that reads an RDB larger than that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tap.rdb import parser
from tests.rdb.large import CASES, MB
from tests.support import ROOT

WITHIN = 120.0  # seconds


def read(reader: str, *cases: str) -> list[dict[str, int]]:
    """One after the other, in a process of their own."""
    command = [sys.executable, "-m", "tests.rdb.large", reader, *cases]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
    pytest.mark.skipif(parser.__file__.endswith(".py"), reason="takes too long where there is no compiler"),
]


@pytest.mark.slow
def test_keys_and_a_summary_take_no_memory() -> None:
    for case, found in zip(CASES, read("keys", *CASES), strict=True):
        keys, elements, _ = CASES[case]
        assert (found["keys"], found["elements"]) == (keys, elements), case
        assert found["peak"] < 100 * MB, case


# One that comes in pieces.
QUICK = ("string-lzf",)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case not in QUICK)) for case in CASES if case != "2-gigabytes"],
)
def test_values_take_no_memory(case: str) -> None:
    """A string that comes in pieces waits in a file."""
    keys, elements, _ = CASES[case]
    [found] = read("lines", case)
    assert found["keys"] == keys
    if keys == 1:
        assert found["elements"] == elements
    assert found["written"] > 60 * MB
    assert found["peak"] < 150 * MB
