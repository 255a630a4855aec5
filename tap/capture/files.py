"""From the paths that a user names to the packets in them: files, directories and stdin, compressed or not.

A directory stands for its captures. Files of one rotation, named <stem>_<number>_<time>.pcapng, are read in the order of
their numbers, as are dumpcap's. Everything else is read by time, whatever the order of the arguments: a file comes in at
the time of its first packet, and files that overlap, such as captures of two interfaces, are merged packet by packet; so
are captures concatenated in one file. The times in a pipe are not known before it is read, so pipes come last.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
import re
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tap.capture.concatenated_captures import PartCounter, count_parts
from tap.capture.content import HEAD, STDIN, Damaged, GoesOn, Stopped, content, content_of_pipe, is_pipe
from tap.capture.pcap import NotACapture, PacketReader, reader_for
from tap.capture.pcapng import Packet
from tap.errors import ConfigError, RecordingError, words

MAX_MERGED = 32  # files open at a time; if more overlap, the others wait until one has ended

# Called with the name of a file and each comment in the header of a section, before any packet of that section is read.
# Raises RecordingError for a section that must not be read; the rest of the file is then skipped.
SectionCheck = Callable[[str, str], None]

_CAPTURE = re.compile(r".+\.p?cap(ng)?\d*(\.zst|\.gz)?")  # tcpdump -C appends a number
_ROTATED = re.compile(r"(.+)_(\d+)_\d{8}T?\d{6}Z?\.p?cap(ng)?(\.zst|\.gz)?")  # dumpcap's names match, too


@dataclass(frozen=True, slots=True)
class _Run:
    """Files that follow one another.

    first: the time of the first packet; set only if there are other runs to compare it with. part: (number, count), to
    read only one of the captures concatenated in a single file, see PartCounter.
    """

    files: list[Path]
    first: float = 0
    part: tuple[int, int] = (0, 1)


def accept(path: str, comment: str) -> None:
    """The SectionCheck that refuses nothing."""


class _Asked:
    """Asks goes_on, and remembers whether it has ended the reading."""

    def __init__(self, goes_on: GoesOn) -> None:
        self._goes_on = goes_on
        self.is_over = False

    def __call__(self, is_idle: bool) -> bool:
        self.is_over = not self._goes_on(is_idle)
        return not self.is_over


@dataclass(frozen=True, slots=True)
class _PacketsCall:
    """The arguments of one call of packets(), with which all its files are read."""

    problems: list[str]
    asked: _Asked | None
    check_section: SectionCheck


def packets(
    paths: Path | Sequence[Path],
    problems: list[str],
    goes_on: GoesOn | None = None,
    check_section: SectionCheck = accept,
) -> Iterator[Packet]:
    """Yield all packets that the paths stand for, by time. Problems are appended to *problems*, one line each.

    goes_on: given if the last file is being written, and others of its rotation may follow. Called after every read, with
    whether there was nothing to read, so that it can wait; returns whether to go on. check_section: see SectionCheck.
    """
    files: list[Path] = []
    for path in [paths] if isinstance(paths, Path) else paths:
        try:
            files += _regular(path, problems)
        except RecordingError as error:
            problems.append(str(error))
    asked = None if goes_on is None else _Asked(goes_on)
    runs = _in_order(files, unknown=0 if asked is None else math.inf)
    # A pipe or a file being written is not merged with others: waiting for it would hold them up.
    apart = [run for run in runs if is_pipe(run.files[0])]
    runs = [run for run in runs if not is_pipe(run.files[0])]
    if asked is not None and not apart:
        apart = [runs.pop()] if runs else []
    reading = _PacketsCall(problems, asked, check_section)
    yield from _merged(runs, reading)
    for run in apart:
        if asked is None or not asked.is_over:
            yield from _of_run(run.files, reading, follows=asked is not None and run is apart[-1])


def packets_from_pipe(pipe: BinaryIO, name: str, problems: list[str], goes_on: GoesOn) -> Iterator[Packet]:
    """Yield the packets that come out of a pipe, as packets() does. pipe: open, and unbuffered. name: in the problems."""
    asked = _Asked(goes_on)
    try:
        yield from _read(name, content_of_pipe(pipe, asked), _PacketsCall(problems, asked, accept))
    except RecordingError as error:
        problems.append(str(error))


def check(path: Path, check_section: SectionCheck = accept) -> None:
    """Raise RecordingError for a file that is not a capture, cannot be opened, or is refused by check_section.

    Pipes are not checked: their content is not known yet.
    """
    files = _named(path)
    if files == [path] and not is_pipe(path):
        next(_packets(path, _PacketsCall([], None, check_section), grows=False), None)


def check_again(path: Path, check_section: SectionCheck = accept) -> None:
    """As check(), for a capture that is read more than once. Raises ConfigError for a pipe."""
    if is_pipe(path):
        raise ConfigError(f"{path}: a replay reads the capture more than once: give a file, not a pipe")
    check(path, check_section)


def expand(path: Path) -> list[Path]:
    """The files that a path stands for: itself, or those in a directory, in order.

    Raises RecordingError for a directory that contains no capture, or cannot be read.
    """
    return [file for run in _in_order(_regular(path, [])) for file in run.files]


def successor(path: Path) -> Path | None:
    """The next file of the rotation that a file belongs to; None while there is none."""
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


# ---- the order of files ----


def _named(path: Path) -> list[Path]:
    """The files that a path stands for, in any order."""
    try:
        if not path.is_dir():
            return [path]
        found = sorted(file for file in path.iterdir() if _CAPTURE.fullmatch(file.name))
    except OSError as error:
        raise RecordingError(f"{path}: {words(error)}") from None
    if not found:
        raise RecordingError(
            f"{path}: no capture in this directory; their names end in .pcapng, .pcapng.zst, .pcapng.gz, .pcap, .cap"
        )
    return found


def _regular(path: Path, problems: list[str]) -> list[Path]:
    """As _named(), but only the regular files of a directory: reading a pipe in it could block forever."""
    files = []
    for file in _named(path):
        what = None if file == path else _irregular(file)
        if what is None:
            files.append(file)
        else:
            problems.append(f"{file}: left out: it is {what}, and only regular files of a directory are read")
    return files


def _irregular(file: Path) -> str | None:
    """The kind of a file that is not a regular one, else None. A file without a status is reported when it is opened."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode):
        return None
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _in_order(files: Iterable[Path], unknown: float = 0) -> list[_Run]:
    """Each file once, in runs sorted by the time of their first packets. unknown: the time of a run without packets."""
    groups: dict[object, list[tuple[int, Path]]] = {}
    known: set[object] = set()
    for file in files:
        identity = _identity(file)
        if identity not in known:
            known.add(identity)
            stem, number = _rotated(file) or (None, 0)
            groups.setdefault(file if stem is None else (file.parent, stem), []).append((number, file))
    runs: list[list[Path]] = []
    for group in groups.values():
        if len({number for number, _ in group}) == len(group):
            runs.append([file for _, file in sorted(group)])
        else:  # numbers occur twice: a rotation that was started again
            runs += [[file] for _, file in group]
    if len(runs) < 2:
        return [_Run(run) for run in runs]
    return sorted((_Run(run, _first_time(run[0], unknown)) for run in runs), key=lambda run: run.first)


def _identity(file: Path) -> object:
    """A value that is the same for two names of one file."""
    try:
        status = file.stat()
    except OSError:
        return file
    return file if is_pipe(file) else (status.st_dev, status.st_ino)


def _rotated(path: Path) -> tuple[str, int] | None:
    """The stem and number of a file of a rotation; None for other files."""
    found = _ROTATED.fullmatch(path.name)
    return None if found is None else (found[1], int(found[2]))


def _first_time(path: Path, unknown: float) -> float:
    if is_pipe(path):
        return math.inf
    try:
        return next((packet.time for packet in _packets(path, _PacketsCall([], None, accept), grows=False)), unknown)
    except RecordingError:  # reported when the file is read
        return unknown


def _merged(runs: Iterable[_Run], reading: _PacketsCall) -> Iterator[Packet]:
    """Yield the packets of all runs by time; those of one run stay in its own order."""
    waiting = deque(runs)
    begun: list[tuple[int, int, Packet, Iterator[Packet]]] = []  # a heap, by the time of the next packet
    count = 0
    while (waiting or begun) and not (reading.asked is not None and reading.asked.is_over):
        if waiting and len(begun) < MAX_MERGED and (not begun or waiting[0].first <= begun[0][0]):
            for run in _apart(waiting.popleft()):
                found = _of_run(run.files, reading, part=run.part)
                count += 1
                if (packet := next(found, None)) is not None:
                    heapq.heappush(begun, (packet.time, count, packet, found))
            continue
        _, number, packet, found = heapq.heappop(begun)
        yield packet
        until = min(begun[0][0] if begun else math.inf, waiting[0].first if waiting else math.inf)
        for packet in found:
            if packet.time > until:
                heapq.heappush(begun, (packet.time, number, packet, found))
                break
            yield packet


def _apart(run: _Run) -> list[_Run]:
    """The run, or one run for each of the captures concatenated in its only file."""
    if len(run.files) > 1:
        return [run]
    (file,) = run.files
    try:
        count = count_parts(content(file, str(file), None, False, successor))
    except (RecordingError, Damaged):  # reported when the file is read
        count = 1
    return [dataclasses.replace(run, part=(number, count)) for number in range(count)]


# ---- one file ----


def _of_run(
    files: list[Path], reading: _PacketsCall, *, part: tuple[int, int] = (0, 1), follows: bool = False
) -> Iterator[Packet]:
    """Yield the packets of a run. follows: its last file is being written, and others may follow. part: see _Run."""
    if part[1] > 1:
        yield from _of_part(files[0], reading if part[0] == 0 else dataclasses.replace(reading, problems=[]), *part)
        return
    for file in files:
        last: Path | None = file
        while last is not None:
            grows = follows and file is files[-1]
            yield from _tried(last, reading, grows=grows)
            if reading.asked is not None and reading.asked.is_over:
                return
            last = successor(last) if grows else None


def _of_part(path: Path, reading: _PacketsCall, number: int, count: int) -> Iterator[Packet]:
    """Yield the packets of one part. The whole file is read, because the first part reports its problems."""
    steps = PartCounter()
    for packet in _tried(path, reading, grows=False):
        if min(steps.part(packet.time), count - 1) == number:
            yield packet


def _tried(path: Path, reading: _PacketsCall, *, grows: bool) -> Iterator[Packet]:
    """As _packets(), but a file that cannot be read is reported as a problem."""
    try:
        yield from _packets(path, reading, grows=grows)
    except RecordingError as error:
        reading.problems.append(str(error))


def _packets(path: Path, reading: _PacketsCall, *, grows: bool) -> Iterator[Packet]:
    """Yield the packets of a file. Raises RecordingError if it is not a capture, cannot be opened, or is refused."""
    name = "stdin" if path == STDIN else str(path)
    yield from _read(name, content(path, name, reading.asked, grows, successor), reading)


def _read(name: str, chunks: Iterator[bytes], reading: _PacketsCall) -> Iterator[Packet]:
    """Yield the packets in the content of a file. Raises RecordingError as _packets()."""
    reader: PacketReader | None = None
    said: list[str] = []
    head = b""
    try:
        for chunk in chunks:
            if reader is not None:
                yield from reader.feed(chunk)
                continue
            head += chunk
            if len(head) >= HEAD:
                reader = _reader(name, head, reading.check_section)
                yield from reader.feed(head)
        reader = reader or _reader(name, head, reading.check_section)
        yield from reader.close()
        said = list(reader.problems)
    except Stopped:  # the end is still being written: not worth a problem
        said = [] if reader is None else list(reader.problems)
    except Damaged as what:
        said = [str(what)]
        if reader is not None:
            said = [*reader.problems, *said]
            yield from reader.close()  # after the copy above: that the end is incomplete need not be reported twice
    finally:
        reading.problems.extend(f"{name}: {problem}" for problem in said)


def _reader(name: str, head: bytes, check_section: SectionCheck) -> PacketReader:
    try:
        return reader_for(head, partial(check_section, name))
    except NotACapture as what:
        raise RecordingError(f"{name}: {what}") from None
