"""The package rdbtools, without distutils in Python, and with times of any size."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import pytest

from tap.console.rdbtools import moment


@pytest.mark.parametrize(
    ("ms", "at"),
    [
        (0, datetime(1970, 1, 1)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, 999000)),
        (1700000000123, datetime(2023, 11, 14, 22, 13, 20, 123000)),
        (2**63 - 1, datetime(9002, 7, 12, 0, 0, 0, 807000)),
        (-(2**63), datetime(1, 1, 1, 0, 0, 0, 192000)),
    ],
)
def test_a_time_beyond_the_range_of_rdbtools_becomes_its_last_or_first(ms: int, at: datetime) -> None:
    assert moment(ms) == at


def test_it_is_loaded_without_distutils_and_leaves_none_behind() -> None:
    code = """
import sys, warnings
warnings.simplefilter("error")
from tap.console.rdbtools import rdbtools
assert "rdbtools" not in sys.modules
first = rdbtools()
assert first is rdbtools() is sys.modules["rdbtools"]
assert not any(name.startswith("distutils") for name in sys.modules)
print(first.JSONCallback.__name__)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "JSONCallback\n"
