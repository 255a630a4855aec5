"""redis-tap: sits between a real replica and its real master, and tells what happens on the wire."""

from importlib import import_module
from importlib.util import find_spec
from os import environ
from typing import TYPE_CHECKING, Any

from tap import claims

if TYPE_CHECKING:
    from tap import recording
    from tap.config import Config, LinkConfig
    from tap.replication import events
    from tap.tap import Tap
    from tap.url import Address

    __version__: str

__all__ = ["Address", "Config", "LinkConfig", "Tap", "__version__", "events", "recording"]

_CLASSES = {"Address": "tap.url", "Config": "tap.config", "LinkConfig": "tap.config", "Tap": "tap.tap"}
_CLASSES_ELSEWHERE = {"Server": "tap.servers", "ReplayMaster": "tap.replay", "Fault": "tap.faults", "Url": "tap.url"}
_ELSEWHERE = {
    "links": "a running Tap has links: async with tap.Tap('127.0.0.1:6379') as running: running.links",
    "open": "tap.recording.open('today.pcapng')",
    "run": "async with tap.Tap('127.0.0.1:6379') as running: ...",
}


# Loaded when asked for: without what only the tap needs, the process of a script has less than half the size.
def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(import_module(_CLASSES[name]), name)
    if name == "__version__":
        from importlib.metadata import version  # 10 ms

        return version("redis-tap")
    if not name.startswith("_") and find_spec(f"tap.{name}") is not None:
        return import_module(f"tap.{name}")
    from tap.hints import no_attribute
    from tap.replication import events

    classes = {one.__name__: "tap.events" for one in events.EVENTS.values()} | _CLASSES_ELSEWHERE
    if name in classes:  # no AttributeError: `from tap import Server` would not say its text
        raise ImportError(f"{name} is in {classes[name]}: from {classes[name]} import {name}")
    raise no_attribute(f"module {__name__!r}", name, [*__all__, *classes], _ELSEWHERE)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


claims.check(__file__)
if environ.get("REDIS_TAP_PURE_PYTHON", "0") not in ("", "0"):
    from tap import uncompiled

    uncompiled.install()
