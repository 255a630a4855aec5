"""The package rdbtools, imported only where it is needed, so that the command line starts without it."""

from __future__ import annotations

import datetime
import functools
import importlib
import sys
import types
from typing import Any

EPOCH = datetime.datetime(1970, 1, 1)  # naive, as rdbtools' times, which are in UTC
FIRST_SECOND = -62135596800  # of the year 1
LAST_SECOND = 221925052800  # in the year 9002; rdbtools reports every later time as this one


def moment(ms: int) -> datetime.datetime:
    """Unix milliseconds in rdbtools' form of a time."""
    seconds, rest = divmod(ms, 1000)
    return EPOCH + datetime.timedelta(seconds=min(max(seconds, FIRST_SECOND), LAST_SECOND), milliseconds=rest)


@functools.cache
def _strict_version(text: str) -> tuple[int, ...]:
    """The only part of distutils that rdbtools needs: to compare "5.0" with "3.2", at least once for each element."""
    return tuple(map(int, text.split(".")))


def rdbtools() -> Any:
    """The package. Its memory profiler imports distutils, which Python 3.12 removed and which warns in earlier versions,
    so the import gets a substitute.
    """
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
