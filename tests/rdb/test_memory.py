"""What a process ever held while it read an RDB that is larger than that."""

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


def read(case: str, reader: str) -> dict[str, int]:
    """In a process of its own."""
    command = [sys.executable, "-m", "tests.rdb.large", case, reader]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
    pytest.mark.skipif(parser.__file__.endswith(".py"), reason="takes too long where there is no compiler"),
]


@pytest.mark.parametrize("case", CASES)
def test_keys_and_a_summary_take_no_memory(case: str) -> None:
    keys, elements, _ = CASES[case]
    found = read(case, "keys")
    assert (found["keys"], found["elements"]) == (keys, elements)
    assert found["peak"] < 100 * MB


@pytest.mark.parametrize("case", [case for case in CASES if case != "2-gigabytes"])
def test_values_take_no_memory(case: str) -> None:
    """A string that comes in pieces waits in a file."""
    keys, elements, _ = CASES[case]
    found = read(case, "lines")
    assert found["keys"] == keys
    if keys == 1:
        assert found["elements"] == elements
    assert found["written"] > 60 * MB
    assert found["peak"] < 150 * MB
