"""A copy of the tree with sources alone: what is compiled here runs there as Python.

So every line can be changed (tests/mutation) and measured (tests/coverage).
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

MARK = ".sources-only"  # a file in the root of a copy


@contextlib.contextmanager
def copied(root: Path) -> Iterator[Path]:
    """What git knows or would add, in a directory of its own, while it is used."""
    with tempfile.TemporaryDirectory(prefix="redis-tap-sources-") as folder:
        listed = subprocess.check_output(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, text=True
        )
        for name in filter(None, listed.split("\0")):
            if (root / name).is_file():
                to = Path(folder, name)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, to)
        Path(folder, MARK).touch()
        if (root / ".servers").exists():
            Path(folder, ".servers").symlink_to((root / ".servers").resolve())
        yield Path(folder)
