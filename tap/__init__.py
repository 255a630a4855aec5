"""redis-tap: sits between a real replica and its real master, and reports what happens on the wire."""

import sys as _sys
import typing as _typing
from importlib import import_module as _import_module
from importlib.util import find_spec as _find_spec
from os import environ as _environ

from tap import claims as _claims

if _typing.TYPE_CHECKING:
    from tap import errors, export, faults, operate, rdb, recording, replay, servers
    from tap.bus import Told
    from tap.config import Config, LinkConfig
    from tap.observers.observer import Observer
    from tap.replication import events
    from tap.tap import Tap
    from tap.url import Address

    __version__: str

# What users may touch; docs/reference/python.md has a line for each.
__all__ = [
    "Address",
    "Config",
    "LinkConfig",
    "Observer",
    "Tap",
    "Told",
    "__version__",
    "errors",
    "events",
    "export",
    "faults",
    "operate",
    "rdb",
    "recording",
    "replay",
    "servers",
]

_CLASSES = {
    "Address": "tap.url",
    "Config": "tap.config",
    "LinkConfig": "tap.config",
    "Observer": "tap.observers.observer",
    "Tap": "tap.tap",
    "Told": "tap.bus",
}
_CLASSES_ELSEWHERE = {"Server": "tap.servers", "ReplayMaster": "tap.replay", "Fault": "tap.faults", "Url": "tap.url"}
_ELSEWHERE = {
    "links": "a running Tap has links: async with tap.Tap('127.0.0.1:6379') as running: running.links",
    "open": "tap.recording.open('today.pcapng')",
    "run": "async with tap.Tap('127.0.0.1:6379') as running: ...",
}


# Loaded on demand: a script that needs only a part of the package takes less than half the memory.
def __getattr__(name: str) -> _typing.Any:
    if name in _CLASSES:
        return getattr(_import_module(_CLASSES[name]), name)
    if name == "__version__":
        from tap.version import version

        return version()
    if not name.startswith("_") and _find_spec(f"tap.{name}") is not None:
        return _import_module(f"tap.{name}")
    from tap.hints import no_attribute
    from tap.replication import events

    classes = {one.__name__: "tap.events" for one in events.EVENTS.values()} | _CLASSES_ELSEWHERE
    if name in classes:
        said = f"{name} is in {classes[name]}: from {classes[name]} import {name}"
        # `from tap import Server` looks with hasattr() first, and has words of its own for an AttributeError. Only an
        # ImportError, raised there and then, reaches the user with ours.
        if _sys._getframe(1).f_code.co_name == "_handle_fromlist":
            raise ImportError(said)
        raise AttributeError(said)
    raise no_attribute(f"module {__name__!r}", name, [*__all__, *classes], _ELSEWHERE)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


_claims.check(__file__)
if _environ.get("REDIS_TAP_PURE_PYTHON", "0") not in ("", "0"):
    from tap import uncompiled as _uncompiled

    _uncompiled.install()
