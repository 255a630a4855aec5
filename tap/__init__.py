"""redis-tap: sits between a real replica and its real master, and tells what happens on the wire."""

from importlib.metadata import version

from tap import recording
from tap.config import Address, Config, LinkConfig
from tap.replication import events
from tap.tap import Tap

__all__ = ["Address", "Config", "LinkConfig", "Tap", "__version__", "events", "recording"]

__version__ = version("redis-tap")
