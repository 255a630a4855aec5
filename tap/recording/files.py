"""From a path that a user names to the packets in it: of a file, of a directory, or of stdin; compressed or not.

A directory stands for its captures. Those of one rotation, named <stem>_<number>_<time>.pcapng, come by number; others by
the time of their first packet. What is compressed with zstd (RFC 8878) is known by its first bytes, not by its name.
"""

from __future__ import annotations

import itertools
import re
import select
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO

from tap.errors import ConfigError, RecordingError, words
from tap.recording.pcap import NotACapture, PacketReader, reader_for
from tap.recording.pcapng import Packet

STDIN = Path("-")
BREATH = 0.05  # seconds that a pipe may be empty before its writer is taken to rest: a busy one is not held up
CHUNK = 2**20
HEAD = 4  # bytes that tell one kind of file from the other
# Given to zstd at once, and lost with the one that is damaged. A byte can stand for 32 768, which is then in memory.
COMPRESSED = 2**8

_ZSTD = b"\x28\xb5\x2f\xfd"
_CAPTURE = re.compile(r".+\.p?cap(ng)?\d*(\.zst)?")  # tcpdump -C appends a number
_ROTATED = re.compile(r"(.+)_(\d+)_\d{8}T?\d{6}Z?\.p?cap(ng)?(\.zst)?")  # of dumpcap, too

GoesOn = Callable[[bool], bool]


class _Damaged(Exception):
    """Why nothing more of a file can be read."""


class _Stopped(Exception):
    """Nobody wants more of a file that is being written."""


def packets(path: Path, problems: list[str], goes_on: GoesOn | None = None) -> Iterator[Packet]:
    """All that a path stands for; what of it cannot be read is then in *problems*, a line each.

    goes_on: the last file is being written, and after it others of its rotation. Asked after every read whether to go
    on; given whether there was nothing to read, so that it can wait.
    """
    try:
        files = expand(path)
        for file in files[:-1]:
            if (yield from _tried(file, problems, goes_on, grows=False)):
                return
        last: Path | None = files[-1]
        while last is not None:
            stopped = yield from _tried(last, problems, goes_on, grows=goes_on is not None)
            last = None if goes_on is None or stopped else successor(last)
    except RecordingError as error:
        problems.append(str(error))


def check(path: Path) -> None:
    """Raises RecordingError for what is no capture, or cannot be opened; of what a pipe brings nothing is known yet."""
    files = expand(path)
    if files == [path] and path != STDIN and not path.is_fifo():
        next(_packets(path, [], None, grows=False), None)


def check_again(path: Path) -> None:
    """As check(), for what is read more than once. Raises ConfigError for a pipe."""
    if path == STDIN or path.is_fifo():
        raise ConfigError(f"{path}: it is read more than once to be replayed: give a file, not a pipe")
    check(path)


def expand(path: Path) -> list[Path]:
    """The files that a path stands for: itself, or those in a directory, in order.

    Raises RecordingError for a directory that has none, or cannot be read.
    """
    try:
        if not path.is_dir():
            return [path]
        found = sorted(file for file in path.iterdir() if _CAPTURE.fullmatch(file.name))
    except OSError as error:
        raise RecordingError(f"{path}: {words(error)}") from None
    if not found:
        raise RecordingError(
            f"{path}: no capture in this directory; their names end in .pcapng, .pcapng.zst, .pcap, .cap"
        )
    rotated = {place: file for file in found if (place := _rotated(file)) is not None}
    if len(rotated) == len(found) and len({stem for stem, _ in rotated}) == 1:
        return [rotated[place] for place in sorted(rotated)]
    return sorted(found, key=_first_time)


def successor(path: Path) -> Path | None:
    """The next file of the rotation that a file is of, once it is there."""
    place = _rotated(path)
    if place is None:
        return None
    later = [
        (number, file)
        for file in path.parent.glob("*")
        for stem, number in [_rotated(file) or ("", 0)]
        if stem == place[0] and number > place[1]
    ]
    return min(later)[1] if later else None


def _rotated(path: Path) -> tuple[str, int] | None:
    """The stem and number of a file that is of a rotation."""
    found = _ROTATED.fullmatch(path.name)
    return None if found is None else (found[1], int(found[2]))


def _first_time(path: Path) -> int:
    try:
        return next((packet.time for packet in _packets(path, [], None, grows=False)), 0)
    except RecordingError:  # it will be told when its turn comes
        return 0


# ---- one file ----


def _tried(path: Path, problems: list[str], goes_on: GoesOn | None, *, grows: bool) -> Generator[Packet, None, bool]:
    """As _packets(), whatever the file."""
    try:
        return (yield from _packets(path, problems, goes_on, grows=grows))
    except RecordingError as error:
        problems.append(str(error))
        return False


def _packets(path: Path, problems: list[str], goes_on: GoesOn | None, *, grows: bool) -> Generator[Packet, None, bool]:
    """Returns whether goes_on stopped it. Raises RecordingError for what is no capture, or cannot be opened."""
    name = "stdin" if path == STDIN else str(path)
    reader: PacketReader | None = None
    said: list[str] = []
    head = b""
    try:
        for chunk in _chunks(path, name, goes_on, grows):
            if reader is not None:
                yield from reader.feed(chunk)
                continue
            head += chunk
            if len(head) >= HEAD:
                reader = _reader(name, head)
                yield from reader.feed(head)
        reader = reader or _reader(name, head)
        yield from reader.close()
        said = reader.problems
    except _Stopped:  # what is not whole is still being written
        said = [] if reader is None else reader.problems
        return True
    except _Damaged as what:
        said = [str(what)]
        if reader is not None:
            said = [*reader.problems, *said]
            yield from reader.close()  # its end is not whole, which need not be said twice
    finally:
        problems += [f"{name}: {problem}" for problem in said]
    return False


def _reader(name: str, head: bytes) -> PacketReader:
    try:
        return reader_for(head)
    except NotACapture as what:
        raise RecordingError(f"{name}: {what}") from None


def _chunks(path: Path, name: str, goes_on: GoesOn | None, grows: bool) -> Iterator[bytes]:
    """The file's bytes, decompressed."""
    with _opened(path, name) as file:
        raw = _raw(file, path, goes_on, grows)
        head = b""
        for chunk in raw:
            head += chunk
            if len(head) >= HEAD:
                break
        whole = itertools.chain([head], raw)
        yield from _decompressed(whole) if head.startswith(_ZSTD) else whole


def _opened(path: Path, name: str) -> BinaryIO:
    try:
        # Unbuffered, a read brings what there is: of a pipe, less than it was asked for.
        return open(0 if path == STDIN else path, "rb", buffering=0, closefd=path != STDIN)
    except OSError as error:
        raise RecordingError(f"{name}: {words(error)}") from None


def _raw(file: BinaryIO, path: Path, goes_on: GoesOn | None, grows: bool) -> Iterator[bytes]:
    is_pipe = not file.seekable()
    is_complete = not grows or is_pipe
    position = 0
    while True:
        if goes_on is not None and is_pipe:
            while not select.select([file], [], [], BREATH)[0]:
                if not goes_on(True):
                    raise _Stopped
        try:
            chunk = file.read(CHUNK)
        except OSError as error:
            raise _Damaged(f"byte {position}: {words(error)}; the rest is not read") from None
        position += len(chunk)
        if chunk:
            yield chunk
        elif is_complete:
            return
        elif successor(path) is not None:
            is_complete = True  # but for what came between this read and the next file
            continue
        if goes_on is not None and not goes_on(not chunk):
            raise _Stopped


def _decompressed(chunks: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard  # of 12 MB, for this alone

    frame = None
    position = 0
    for chunk in chunks:
        for begin in range(0, len(chunk), COMPRESSED):
            data = chunk[begin : begin + COMPRESSED]
            while data:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                try:
                    out = frame.decompress(data)
                except zstandard.ZstdError as error:
                    raise _Damaged(f"byte {position}: zstd cannot read on ({error}); the rest is not read") from None
                if out:
                    yield out
                data = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
            position += min(COMPRESSED, len(chunk) - begin)
    if frame is not None:
        raise _Damaged(f"cut off, or still being written: its zstd frame does not end with byte {position}, the last")
