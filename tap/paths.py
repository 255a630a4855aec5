"""Paths of output files: checked before hours of work, not after; and forced to the disk. The directory for state."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tap.errors import ConfigError, EnvironmentFailure, words


def in_a_directory(path: Path) -> Path:
    """The path, if its directory exists. Raises ConfigError otherwise."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no directory {path.parent}; make it first")
    return path


def check_writable(path: Path) -> None:
    """Check that a file can be created there, or an existing one overwritten; nothing is changed.

    Raises ConfigError if the path cannot be that of a file, EnvironmentFailure if the system refuses it.
    """
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a directory: name a file in it, as {path / 'results'}")
        in_a_directory(path)
        if path.is_file():
            path.open("ab").close()
        elif not path.exists():
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise EnvironmentFailure(f"{path}: cannot be written: {words(error)}") from None


def sync_directory(path: Path) -> None:
    """Force a directory's entries to the disk. Raises OSError."""
    directory = os.open(path, os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def state_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's directory for what outlives a process (XDG Base Directory Specification)."""
    base = environment.get("XDG_STATE_HOME", "")
    home = Path(base) if os.path.isabs(base) else Path(environment.get("HOME") or "/") / ".local" / "state"
    return home / "redis-tap"


def is_locked(path: Path) -> bool:
    """Whether a process holds the file's lock (flock). False without a file."""
    try:
        while True:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return False  # else the next version has taken its place since it was opened
    except BlockingIOError:
        return True
    except OSError:
        return False
