"""The kinds of faults, one file each, named as in a spec. A new kind is a file here and its name in NAMES."""

from __future__ import annotations

import importlib

from tap.faults.kind import Kind

# In the order of `redis-tap faults`.
NAMES = (
    "cut",
    "refuse",
    "stall",
    "delay",
    "throttle",
    "slice",
    "slow-close",
    "mute",
    "reset",
    "limit",
    "lose",
    "drop",
    "duplicate",
    "reorder",
    "corrupt",
    "truncate",
    "answer",
    "rewrite",
)


def load(name: str) -> type[Kind]:
    """The class of this kind, from the file that bears its name."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    classes = (one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Kind))
    return next(one for one in classes if one is not Kind and one.kind == name)


KINDS: dict[str, type[Kind]] = {name: load(name) for name in NAMES}
