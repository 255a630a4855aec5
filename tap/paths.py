"""Paths of output files: checked before hours of work, not after; and forced to the disk."""

from __future__ import annotations

import os
import tempfile
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
