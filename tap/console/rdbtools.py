"""The package rdbtools, loaded where it is needed; the command line starts without it."""

from __future__ import annotations

import datetime
import functools
import importlib
import sys
import types
from typing import Any

EPOCH = datetime.datetime(1970, 1, 1)  # rdbtools' times are UTC and do not say so
FIRST_SECOND = -62135596800  # of the year 1
LAST_SECOND = 221925052800  # in the year 9002; what is later, rdbtools tells as that


def moment(ms: int) -> datetime.datetime:
    """Unix milliseconds as rdbtools tells a time."""
    seconds, rest = divmod(ms, 1000)
    return EPOCH + datetime.timedelta(seconds=min(max(seconds, FIRST_SECOND), LAST_SECOND), milliseconds=rest)


@functools.cache
def _strict_version(text: str) -> tuple[int, ...]:
    """All that rdbtools needs of distutils: to compare "5.0" with "3.2", once or more for each element."""
    return tuple(map(int, text.split(".")))


def rdbtools() -> Any:
    """The package. Its memory profiler imports distutils, which Python 3.12 has no more, and which warns before."""
    if "rdbtools" in sys.modules:
        return sys.modules["rdbtools"]
    version: Any = types.ModuleType("distutils.version")
    version.StrictVersion = _strict_version
    names = {"distutils": types.ModuleType("distutils"), "distutils.version": version}
    before = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(names)
    try:
        return importlib.import_module("rdbtools")
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(before)
