"""redis-tap: sits between a real replica and its real master, and tells what happens on the wire."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap import recording
    from tap.config import Config, LinkConfig
    from tap.replication import events
    from tap.tap import Tap
    from tap.url import Address

    __version__: str

__all__ = ["Address", "Config", "LinkConfig", "Tap", "__version__", "events", "recording"]

_CLASSES = {"Address": "tap.url", "Config": "tap.config", "LinkConfig": "tap.config", "Tap": "tap.tap"}
_MODULES = {"events": "tap.replication.events", "recording": "tap.recording"}


# Loaded when asked for: without what only the tap needs, the process of a script has less than half the size.
def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(import_module(_CLASSES[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name == "__version__":
        return version("redis-tap")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
