"""Run the compiled modules as the Python that they are written in: `REDIS_TAP_PURE_PYTHON=1`.

Useful with a debugger or a profiler, and to rule out a fault of the compiler. Python prefers an extension module to the
source next to it, so install() puts a finder before Python's own which finds only sources, and only in this package.
Processes that a tap starts inherit the variable.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType


class _Sources:
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith("tap."):
            return None
        for directory in path or ():
            spec = FileFinder(directory, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name, target)
            if spec is not None and spec.loader is not None:
                return spec
        return None


def install() -> None:
    """Install the finder. To be called before any other module of the package is imported."""
    sys.meta_path.insert(0, _Sources())
