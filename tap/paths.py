"""Where output goes: whether it can be written there is found before hours of work, not after them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tap.errors import ConfigError, EnvironmentFailure, words


def in_a_directory(path: Path) -> Path:
    """A file to be made. Raises ConfigError if there is no directory for it."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no directory {path.parent}; make it first")
    return path


def check_writable(path: Path) -> None:
    """Whether a file can be made there, or the one that is there be written over. Leaves all as it is.

    Raises ConfigError for a path that cannot be one of a file, EnvironmentFailure where the system refuses it.
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
