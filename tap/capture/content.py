"""The decompressed bytes of one capture file, as far as it can be read; a file being written is followed as it grows.

Compression with zstd (RFC 8878) or gzip (RFC 1952) is recognized by the first bytes, not by the name.
"""

from __future__ import annotations

import itertools
import select
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tap.errors import RecordingError, words

STDIN = Path("-")
BREATH = 0.05  # seconds for which a pipe is empty before its writer counts as idle
CHUNK = 2**20
HEAD = 4  # bytes that show the kind of a file
# Bytes per call of decompress(). Small, because a damaged block loses the output of its whole call, in which one byte of
# input can stand for 32,768.
COMPRESSED = 2**8

GoesOn = Callable[[bool], bool]


class Damaged(Exception):
    """The rest of a file cannot be read; the text says why."""


class Stopped(Exception):
    """The reader wants no more of a file that is being written."""


@dataclass(frozen=True, slots=True)
class _Compression:
    """A compression format. unit: what the format calls an independent part; make: creates a decompressor of one, which
    raises *error*.
    """

    name: str
    unit: str
    make: Callable[[], Any]
    error: type[Exception]


def content(
    path: Path, name: str, goes_on: GoesOn | None, grows: bool, successor: Callable[[Path], Path | None]
) -> Iterator[bytes]:
    """Yield the file's bytes.

    goes_on: called after every read, with whether there was nothing to read; returns whether to go on. grows: the file is
    being written until *successor* finds the next one of its rotation.

    Raises RecordingError if the file cannot be opened, Damaged if the rest cannot be read, Stopped if goes_on returns
    False.
    """
    with _opened(path, name) as file:
        yield from _plain(_raw(file, path, goes_on, grows, successor))


def content_of_pipe(pipe: BinaryIO, goes_on: GoesOn) -> Iterator[bytes]:
    """Yield what comes out of a pipe that is open and unbuffered, as content() does."""
    yield from _plain(_raw(pipe, STDIN, goes_on, False, lambda path: None))


def _plain(raw: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress what is compressed."""
    head = b""
    for chunk in raw:
        head += chunk
        if len(head) >= HEAD:
            break
    whole = itertools.chain([head], raw)
    compression = _compression(head)
    yield from whole if compression is None else _decompressed(whole, compression)


def is_pipe(path: Path) -> bool:
    """Whether its content can be read only once."""
    return path == STDIN or path.is_fifo()


def _opened(path: Path, name: str) -> BinaryIO:
    try:
        # Unbuffered, so that a read of a pipe returns what is there instead of waiting for a full chunk.
        return open(0 if path == STDIN else path, "rb", buffering=0, closefd=path != STDIN)
    except OSError as error:
        raise RecordingError(f"{name}: {words(error)}") from None


def _raw(
    file: BinaryIO, path: Path, goes_on: GoesOn | None, grows: bool, successor: Callable[[Path], Path | None]
) -> Iterator[bytes]:
    is_stream = not file.seekable()
    is_complete = not grows or is_stream
    position = 0
    while True:
        if goes_on is not None and is_stream:
            while not select.select([file], [], [], BREATH)[0]:
                if not goes_on(True):
                    raise Stopped
        try:
            chunk = file.read(CHUNK)
        except OSError as error:
            raise Damaged(f"byte {position}: {words(error)}; the rest is not read") from None
        position += len(chunk)
        if chunk:
            yield chunk
        elif is_complete:
            return
        elif successor(path) is not None:
            is_complete = True  # except for what was written between this read and the start of the next file
            continue
        if goes_on is not None and not goes_on(not chunk):
            raise Stopped


def _compression(head: bytes) -> _Compression | None:
    if head.startswith(b"\x1f\x8b"):
        return _Compression("gzip", "member", lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), zlib.error)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        import zstandard  # takes 12 MB of memory, so only when needed

        return _Compression("zstd", "frame", lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError)
    return None


def _decompressed(chunks: Iterator[bytes], compression: _Compression) -> Iterator[bytes]:
    name = compression.name
    frame = None
    position = 0
    for chunk in chunks:
        for begin in range(0, len(chunk), COMPRESSED):
            data = chunk[begin : begin + COMPRESSED]
            while data:
                if frame is None and name == "gzip" and not data.strip(b"\0"):
                    break  # zeros after the last member: padding, as by tapes and disks
                frame = frame or compression.make()
                try:
                    out = frame.decompress(data)
                except compression.error as error:
                    raise Damaged(f"byte {position}: {name} cannot read on ({error}); the rest is not read") from None
                if out:
                    yield out
                data = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
            position += min(COMPRESSED, len(chunk) - begin)
    if frame is not None:
        raise Damaged(
            f"cut off, or still being written: its {name} {compression.unit} does not end with byte {position}, the last"
        )
