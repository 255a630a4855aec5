"""Where an export goes: a file or directory that is written completely or not at all, or an output that is already open.

Files and directories are written under another name and renamed at the end. Only their owner can read them.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tap.errors import ConfigError, EnvironmentFailure, words
from tap.paths import check_writable

COPIED = 2**20  # bytes at a time

Output = str | Path | BinaryIO


def as_output(output: Output) -> Path | BinaryIO:
    """The output, checked. Raises ConfigError or EnvironmentFailure for a path where nothing new can be made."""
    if not isinstance(output, str | Path):
        return output
    path = Path(output)
    check_new(path)
    check_writable(path)
    return path


@contextlib.contextmanager
def whole(output: Path | BinaryIO) -> Iterator[BinaryIO]:
    """A seekable file for the output; copied to an output that is already open once it is whole."""
    if isinstance(output, Path):
        with new_file(output) as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        shutil.copyfileobj(file, output, COPIED)
        output.flush()


@contextlib.contextmanager
def compressed(file: BinaryIO, suffix: str) -> Iterator[BinaryIO]:
    """A file that compresses what is written to it. suffix: of a file's name; "": no compression."""
    if suffix == ".gz":
        with gzip.GzipFile("", "wb", fileobj=file) as out:
            yield cast(BinaryIO, out)
    elif suffix == ".zst":
        import zstandard

        with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as out:
            yield out
    else:
        yield file


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A new file. An exception leaves nothing of it.

    Raises ConfigError if there is such a file already or it cannot be made, EnvironmentFailure if it cannot be written.
    """
    with _beside(path, lambda: _made_file(path)) as temporary:
        with temporary.open("r+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """As new_file(), for a directory. Yields the path in which to make its files."""
    with _beside(path, lambda: Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))) as temporary:
        yield temporary


def check_new(path: Path) -> None:
    """Raise ConfigError if something of that name exists."""
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{path} already exists and is not overwritten; give another name with --output")


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
