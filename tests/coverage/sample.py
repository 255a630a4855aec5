"""A plugin of pytest that keeps a sample of the tests, which reaches nearly as much for a fraction of the time.

Measured, and uncompiled, a test takes five to ten times as long. Most parameters of a test run the same lines.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import pytest

SETS = 4  # sets of parameters of each test
MEASURED = ".measured-"  # and the ID of a process of pytest: a file in the directory where it began

T = TypeVar("T")


def pytest_configure() -> None:
    Path(f"{MEASURED}{os.getpid()}").touch()


@pytest.hookimpl(trylast=True)  # after -m has chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = {item for sets in tests.values() for item in spread(sets)}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


def spread(sets: Sequence[T]) -> Sequence[T]:
    """At most SETS of them: the first, the last, and some between them at even distances."""
    if len(sets) <= SETS:
        return sets
    return [sets[number * (len(sets) - 1) // (SETS - 1)] for number in range(SETS)]
