"""Which tests are measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.coverage.sample import SETS, spread
from tests.support import ROOT


def test_parameters_are_spread_from_the_first_to_the_last() -> None:
    for number in (1, 2, SETS):
        assert [*spread(range(number))] == [*range(number)]
    assert [*spread(range(SETS + 1))] == [0, 1, 2, 4]
    assert [*spread(range(100))] == [0, 33, 66, 99]


def test_a_sample_has_some_parameters_of_each_test(tmp_path: Path) -> None:
    tmp_path.joinpath("test_some.py").write_text("""
import pytest
@pytest.mark.parametrize("one", range(100))
def test_many(one): pass
@pytest.mark.parametrize("one", ["a[b]", "c"])
def test_few(one): pass
def test_one(): pass
""")
    command = [sys.executable, "-m", "pytest", "-q", "--co", "-p", "no:cacheprovider", "-p", "tests.coverage.sample", "."]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)
    assert said.split("\n\n")[0].split() == [
        *(f"test_some.py::test_many[{number}]" for number in (0, 33, 66, 99)),
        "test_some.py::test_few[a[b]]",
        "test_some.py::test_few[c]",
        "test_some.py::test_one",
    ]
