"""The files of a rotation: their names, which number comes next, and which files are old enough to be deleted.

A recording in one file grows without end. A rotation splits it into files of a limited size or time, and deletes the
oldest. Two things make that harder than it looks.

A file must make sense alone. Bytes in the middle of a stream say neither their offset nor their db nor whether a
transaction is open, and the files that said it may be deleted by now. So the recorder does not only cut: where the next
file begins, it asks every open connection to state how it stands (RecordedConnection.begin_file), and these statements
come first in the file:

      ... packets │ next_file()          link_state of A, link_state of B, ... │ packets ...
    week_00001 ───┘                      └─── week_00002 ──────────────────────────────────

A statement is a packet comment (link_state in recording/comments.py) on a packet of no data. It holds replication ID,
offset, db, transaction, the start of a command that is not complete, and how far the RDB has come; of a connection still
in its handshake, the handshake is repeated instead, with the same TCP sequence numbers. The event loop chooses the cut,
between two commands if possible, because only there every conversation stands after the same bytes as its packets. A
reader that has read the file before compares the statement with what it knows, and otherwise takes it over. This module
knows nothing of this: it only gives the names.

No file may be deleted because a clock was set. The age of a file of this run is measured by a clock that cannot be set.
For files of an earlier run, the wall clock is read once, at the start, and then the same clock counts. Three rules make
a wrong wall clock harmless:

    a file from the future is new
    a file is not older than one with a lower number
    if even the newest file would have to be deleted, either the clock is wrong or the tap was not running for long. Ages
    then count from the newest file, as if this run had begun right after it

Names sort by age, as those of dumpcap do: <stem>_<number>_<UTC time><suffix>. Files with other names are never touched.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from tap.units import Limits

DEFAULT = Limits(size=2**30)  # for a directory
STEM, SUFFIX = "redis-tap", ".pcapng"  # in a directory


def is_rotation(path: Path, rotate: Limits) -> bool:
    return bool(rotate) or path.is_dir()


def elapsed() -> float:
    """Seconds by a clock that cannot be set; on Linux, one that also counts while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Rotation:
    """path: a directory, or the name that the names of the files are made from. rotate: the limits of one file; keep: of
    all files together.

    Without a directory and a limit, the first file is the path itself, and the next one comes only on request.

    is_held: whether a file must not be deleted yet. holds_up: called with a file that is beyond *keep* and held.
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
        self.is_held: Callable[[Path], bool] = lambda path: False
        self.holds_up: Callable[[Path], None] = lambda path: None

    @property
    def journal(self) -> Path:
        """The path, without a suffix, of what is kept beside the files about them."""
        return self._directory / self._stem

    @property
    def files(self) -> list[Path]:
        """The finished files that have not been deleted, oldest first."""
        return [path for path, _, _ in self._finished]

    def look(self) -> None:
        """Find the files of earlier runs. Raises OSError."""
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
        """The name of the next file. Every call takes another number, whether or not the file can be made.

        If a recording in a single file has been moved away, as logrotate does, the next file has its name.
        """
        if self._given is not None and not self._given.exists():
            return self._given
        self._number += 1
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        return self._directory / f"{self._stem}_{self._number:05}_{now}{self._suffix}"

    def finished(self, path: Path, size: int) -> None:
        """Nothing more is written to that file."""
        self._finished.append((path, size, elapsed()))
        self._size += size

    def overdue(self, writing: int) -> Path | None:
        """The next file to delete, or None; each is returned once. writing: bytes of the file being written."""
        for number, (path, size, written) in enumerate(self._finished):
            too_many = self._keep.size is not None and self._size + writing > self._keep.size
            if not too_many and (self._keep.seconds is None or elapsed() - written <= self._keep.seconds):
                return None
            if not self.is_held(path):
                del self._finished[number]
                self._size -= size
                return path
            self.holds_up(path)
        return None
