"""Files and directories that are there whole or not at all: written under another name, and renamed at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from tap.errors import ConfigError, EnvironmentFailure, words


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that only its owner may read, and whoever fails before its end leaves nothing behind.

    Raises ConfigError if there is one already or it cannot be made, EnvironmentFailure if it cannot be written.
    """
    with _beside(path, lambda: _made_file(path)) as temporary:
        with temporary.open("r+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """As new_file(): where to make the files that it will have."""
    with _beside(path, lambda: Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))) as temporary:
        yield temporary


def check_new(path: Path) -> None:
    """Raises ConfigError if there is something of that name."""
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{path} is there already, and nothing is written over; give another name with --output")


def _made_file(path: Path) -> Path:
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(number)
    return Path(name)


@contextlib.contextmanager
def _beside(path: Path, make: Callable[[], Path]) -> Iterator[Path]:
    check_new(path)
    try:
        temporary = make()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made: {words(error)}") from None
    try:
        yield temporary
        check_new(path)
        temporary.rename(path)
    except BaseException as error:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink()
        if isinstance(error, OSError):
            raise EnvironmentFailure(f"{path}: cannot be written: {words(error)}; nothing of it is left") from None
        raise
