"""What is done to and said of a live pair.

compared = tap.operate.diff("redis://10.0.0.5:6379", "redis://10.0.0.6:6379", found=print)
print(compared.equal, compared.differing)

server_info       INFO of a server that replicates, checked as a whole
live_pair         a replica and its master as they run: who follows whom, and whether a tap may step in between
attachment        steps in between, and out again
attach_state      the file that says how to give a replica back
resync_forecast   whether the master will continue where a replica stops
comparison/       are two data sets equal, and if not, which keys differ: servers, RDBs, append-only files, recordings
watching/         what happens between a replica and its master, from packets alone
doctor/           what is wrong with a master and its replicas, and which commands mend it
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap.operate.comparison.comparison import Compared, diff
    from tap.operate.comparison.difference import Difference

__all__ = ["Compared", "Difference", "diff"]

_MODULES = {"Compared": "comparison", "Difference": "difference", "diff": "comparison"}


def __getattr__(name: str) -> Any:
    """Imported when asked for: what needs only a part of the room loads only that."""
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"tap.operate.comparison.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
