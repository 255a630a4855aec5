"""The files of a rotation: their names, when the next one is due, and which are old enough to go.

Their names sort by age, as those of dumpcap do: <stem>_<number>_<UTC time><suffix>. Other files are never touched.

A file is never deleted because a clock was set. The age of a file of this run is what has passed by a clock that nobody
sets. For a file of an earlier run, the wall clock is asked once, at the start, and then the same clock counts. Three
checks keep a wrong wall clock harmless:

    a file from the future is new
    a file is not older than one with a lower number
    where the newest file, too, would have to go, the clock may be wrong as well as the tap have been away for long: ages
    then count from the newest file, and files go as they would have gone had this run begun right behind it
"""

from __future__ import annotations

import re
import time
from collections import deque
from pathlib import Path

from tap.units import Limits

DEFAULT = Limits(size=2**30)  # for a directory
STEM, SUFFIX = "redis-tap", ".pcapng"  # in a directory


def is_rotation(path: Path, rotate: Limits) -> bool:
    return bool(rotate) or path.is_dir()


def elapsed() -> float:
    """Seconds of a clock that nobody sets, and that counts while the machine sleeps, where there is one (Linux)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Rotation:
    """path: a directory, or a file whose name gives those of the files. rotate: what one file may hold; keep: all.

    With neither a directory nor a limit the first file is the path itself, and a next one comes only when asked for.
    """

    def __init__(self, path: Path, rotate: Limits, keep: Limits) -> None:
        self._directory, stem, self._suffix = path.parent, path.name, path.suffix
        self._given = None if is_rotation(path, rotate) else path
        if path.is_dir():
            self._directory, stem, self._suffix = path, STEM + SUFFIX, SUFFIX
        elif self._suffix == ".zst":
            self._suffix = "".join(path.suffixes[-2:])
        self._stem = stem.removesuffix(self._suffix)
        plain = re.escape(self._suffix.removesuffix(".zst"))
        self._pattern = re.compile(rf"{re.escape(self._stem)}_(\d{{5,}})_\d{{8}}T\d{{6}}Z{plain}(?:\.zst)?")
        self.limits = rotate if self._given is not None else rotate or DEFAULT
        self._keep = keep
        self._number = 0
        self._finished: deque[tuple[Path, int, float]] = deque()  # path, size, when last written by elapsed()
        self._size = 0  # of these

    def look(self) -> None:
        """See what is there from before. Raises OSError."""
        found = []
        for path in self._directory.iterdir():
            match = self._pattern.fullmatch(path.name)
            if match is not None:
                found.append((int(match[1]), path))
        files = [(number, path, path.stat()) for number, path in sorted(found)]
        if not files:
            return
        self._number = files[-1][0]
        wall, now = time.time(), elapsed()
        newest = max(status.st_mtime for _, _, status in files)
        if self._keep.seconds is not None and wall - newest > self._keep.seconds:
            wall = newest
        written = float("-inf")
        for _, path, status in files:
            written = max(written, now - max(0.0, wall - status.st_mtime))
            self._finished.append((path, status.st_size, written))
            self._size += status.st_size

    def next(self) -> Path:
        """The name of the next file, which comes with the next number, whether or not that file can be made.

        Where a file of a name of its own has been moved away, as logrotate does, the next one has that name.
        """
        if self._given is not None and not self._given.exists():
            return self._given
        self._number += 1
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        return self._directory / f"{self._stem}_{self._number:05}_{now}{self._suffix}"

    def finished(self, path: Path, size: int) -> None:
        """Nothing more is written to that file from now on."""
        self._finished.append((path, size, elapsed()))
        self._size += size

    def overdue(self, writing: int) -> Path | None:
        """The next file that must go, not to be told again. writing: bytes of the one that is being written."""
        if not self._finished:
            return None
        path, size, written = self._finished[0]
        too_many = self._keep.size is not None and self._size + writing > self._keep.size
        if not too_many and (self._keep.seconds is None or elapsed() - written <= self._keep.seconds):
            return None
        self._finished.popleft()
        self._size -= size
        return path
