"""Where the APIs of this machine's taps are, so that `redis-tap ctl` need not be told.

Each tap with an API writes a small file, and keeps it locked (flock) as long as it lives: a file that is not locked was
left by a process that was killed. The file is in the directory that systemd has made for the service (RuntimeDirectory=),
else in the user's directory for state. It holds no secret, and whether the API may be used is the API's own concern.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tap.errors import words
from tap.paths import is_locked, state_directory

SERVICES = Path("/run/redis-tap")  # of RuntimeDirectory=redis-tap
FORMAT = 1

log = logging.getLogger(__name__)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Announced:
    """A running tap. api: its URL, or unix:PATH. links: their names."""

    api: str
    pid: int
    links: tuple[str, ...]


class Announcement:
    """The file of one API, from its making until withdraw()."""

    def __init__(self, api: str, links: Sequence[str], environment: Mapping[str, str] = os.environ) -> None:
        """If the file cannot be written, the tap runs without it, and `ctl` needs --api."""
        self.path = _own_directory(environment) / f"api-{os.getpid()}-{next(_numbers)}.json"
        self._locked: int | None = None
        said = {"redis_tap_api": FORMAT, "api": api, "pid": os.getpid(), "links": list(links)}
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            begun = self.path.with_suffix(".new")  # has the other name only once it is locked and whole
            self._locked = os.open(begun, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(self._locked, json.dumps(said).encode())
            begun.rename(self.path)
        except OSError as error:
            log.info("%s: %s: redis-tap ctl has to be told --api", self.path, words(error))

    def withdraw(self) -> None:
        """May be called twice."""
        if self._locked is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self._locked)
            self._locked = None


def announced(environment: Mapping[str, str] = os.environ, services: Path = SERVICES) -> list[Announced]:
    """The running taps of this machine that have an API, as far as this user may read of them."""
    found: dict[str, Announced] = {}
    for directory in (_own_directory(environment), services):
        for path in _files(directory):
            if not is_locked(path):
                with contextlib.suppress(OSError):  # another user's
                    path.unlink()
                continue
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # ended meanwhile, or another version's
                said = json.loads(path.read_bytes())
                if said["redis_tap_api"] == FORMAT:
                    one = Announced(str(said["api"]), int(said["pid"]), tuple(map(str, said["links"])))
                    found[one.api] = one
    return list(found.values())


def _own_directory(environment: Mapping[str, str]) -> Path:
    service = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(service) if service else state_directory(environment)


def _files(directory: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from sorted(directory.glob("api-*.json"))
