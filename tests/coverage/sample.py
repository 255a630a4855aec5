"""A plugin of pytest that keeps a sample of the tests, which reaches nearly as much for a fraction of the time.

Measured, and uncompiled, a test takes five to ten times as long. Most parameters of a test run the same lines; a test of
large input, or of every split of a long one, repeats lines that others run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pytest

SETS = 4  # sets of parameters of each test
LEFT_OUT = "costly"  # a marker
MEASURED = ".measured-"  # and the ID of a process of pytest: a file in the directory where it began

T = TypeVar("T")


def pytest_configure() -> None:
    Path(f"{MEASURED}{os.getpid()}").touch()


@pytest.hookimpl(trylast=True)  # after -m has chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker(LEFT_OUT) is None:
            tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = {item for sets in tests.values() for item in spread(sets)}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def spread(sets: Sequence[T]) -> Sequence[T]:
    """At most SETS of them: the first, the last, and some between them at even distances."""
    if len(sets) <= SETS:
        return sets
    return [sets[number * (len(sets) - 1) // (SETS - 1)] for number in range(SETS)]
