"""From paths that a user names to the packets in them: of files, of directories, of stdin; compressed or not.

A directory stands for its captures. Files of one rotation, named <stem>_<number>_<time>.pcapng, follow one another by
number, as do dumpcap's. Everything else is read by time, in whatever order it was named: each file begins with its first
packet, and those that overlap, such as captures of two interfaces, are merged packet by packet; so are those that stand
one after the other in a file. What is in a pipe is not known before it is read; it comes last.
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

from tap.capture.content import HEAD, STDIN, Damaged, GoesOn, Stopped, content, is_pipe
from tap.capture.parts import Steps, count_parts
from tap.capture.pcap import NotACapture, PacketReader, reader_for
from tap.capture.pcapng import Packet
from tap.errors import ConfigError, RecordingError, words

MAX_MERGED = 32  # files that are open together; of more that overlap, the rest come when one has ended

# Called with the name of a file and each comment in the header of a section, before any packet of that section is read.
# Raises RecordingError for a section that must not be read; then nothing more of the file is.
SectionCheck = Callable[[str, str], None]

_CAPTURE = re.compile(r".+\.p?cap(ng)?\d*(\.zst|\.gz)?")  # tcpdump -C appends a number
_ROTATED = re.compile(r"(.+)_(\d+)_\d{8}T?\d{6}Z?\.p?cap(ng)?(\.zst|\.gz)?")  # of dumpcap, too


@dataclass(frozen=True, slots=True)
class _Run:
    """Files that follow one another. first: the time of the first packet, where others have to be compared with it.

    part: of the one file, only this part of so many, see Steps.
    """

    files: list[Path]
    first: float = 0
    part: tuple[int, int] = (0, 1)


def accept(path: str, comment: str) -> None:
    """The SectionCheck that refuses nothing."""


class _Asked:
    """Whether to go on, and what the last answer was."""

    def __init__(self, goes_on: GoesOn) -> None:
        self._goes_on = goes_on
        self.is_over = False

    def __call__(self, is_idle: bool) -> bool:
        self.is_over = not self._goes_on(is_idle)
        return not self.is_over


@dataclass(frozen=True, slots=True)
class _Reading:
    """What every file of one call of packets() is read with; its arguments."""

    problems: list[str]
    asked: _Asked | None
    check_section: SectionCheck


def packets(
    paths: Path | Sequence[Path],
    problems: list[str],
    goes_on: GoesOn | None = None,
    check_section: SectionCheck = accept,
) -> Iterator[Packet]:
    """All that the paths stand for, by time; what of it cannot be read is then in *problems*, a line each.

    goes_on: the last file is being written, and after it others of its rotation. Asked after every read whether to go
    on; given whether there was nothing to read, so that it can wait. check_section: see SectionCheck.
    """
    files: list[Path] = []
    for path in [paths] if isinstance(paths, Path) else paths:
        try:
            files += _regular(path, problems)
        except RecordingError as error:
            problems.append(str(error))
    asked = None if goes_on is None else _Asked(goes_on)
    runs = _in_order(files, unknown=0 if asked is None else math.inf)
    # What is waited for would hold up whatever is merged with it.
    apart = [run for run in runs if is_pipe(run.files[0])]
    runs = [run for run in runs if not is_pipe(run.files[0])]
    if asked is not None and not apart:
        apart = [runs.pop()] if runs else []
    reading = _Reading(problems, asked, check_section)
    yield from _merged(runs, reading)
    for run in apart:
        if asked is None or not asked.is_over:
            yield from _of_run(run.files, reading, follows=asked is not None and run is apart[-1])


def check(path: Path, check_section: SectionCheck = accept) -> None:
    """Raise RecordingError for a file that is no capture, cannot be opened, or is refused by check_section.

    Nothing is known yet of what comes through a pipe.
    """
    files = _named(path)
    if files == [path] and not is_pipe(path):
        next(_packets(path, _Reading([], None, check_section), grows=False), None)


def check_again(path: Path, check_section: SectionCheck = accept) -> None:
    """As check(), for a capture that is read more than once. Raises ConfigError for a pipe."""
    if is_pipe(path):
        raise ConfigError(f"{path}: it is read more than once to be replayed: give a file, not a pipe")
    check(path, check_section)


def expand(path: Path) -> list[Path]:
    """The files that a path stands for: itself, or those in a directory, in order.

    Raises RecordingError for a directory that has none, or cannot be read.
    """
    return [file for run in _in_order(_regular(path, [])) for file in run.files]


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
    """As _named(), but of a directory the regular files: of a pipe in it nobody knows when somebody writes to it."""
    files = []
    for file in _named(path):
        what = None if file == path else _irregular(file)
        if what is None:
            files.append(file)
        else:
            problems.append(f"{file}: left out, for it is {what}; of a directory regular files are read")
    return files


def _irregular(file: Path) -> str | None:
    """What a file is that is no regular one. One that cannot be looked at is told when it is opened."""
    try:
        mode = file.stat().st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode):
        return None
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _in_order(files: Iterable[Path], unknown: float = 0) -> list[_Run]:
    """Each file once, in runs, by the time of their first packets. unknown: that of a run without packets."""
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
        else:  # a rotation that was begun anew
            runs += [[file] for _, file in group]
    if len(runs) < 2:
        return [_Run(run) for run in runs]
    return sorted((_Run(run, _first_time(run[0], unknown)) for run in runs), key=lambda run: run.first)


def _identity(file: Path) -> object:
    """The same for one file by two names."""
    try:
        status = file.stat()
    except OSError:
        return file
    return file if is_pipe(file) else (status.st_dev, status.st_ino)


def _rotated(path: Path) -> tuple[str, int] | None:
    """The stem and number of a file that is of a rotation."""
    found = _ROTATED.fullmatch(path.name)
    return None if found is None else (found[1], int(found[2]))


def _first_time(path: Path, unknown: float) -> float:
    if is_pipe(path):
        return math.inf
    try:
        return next((packet.time for packet in _packets(path, _Reading([], None, accept), grows=False)), unknown)
    except RecordingError:  # it will be told when its turn comes
        return unknown


def _merged(runs: Iterable[_Run], reading: _Reading) -> Iterator[Packet]:
    """All their packets, as their times follow one another; those of each run in its own order."""
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
    """The parts of a run of one file that holds several, or the run."""
    if len(run.files) > 1:
        return [run]
    (file,) = run.files
    try:
        count = count_parts(content(file, str(file), None, False, successor))
    except (RecordingError, Damaged):  # it will be told when the file is read
        count = 1
    return [dataclasses.replace(run, part=(number, count)) for number in range(count)]


# ---- one file ----


def _of_run(
    files: list[Path], reading: _Reading, *, part: tuple[int, int] = (0, 1), follows: bool = False
) -> Iterator[Packet]:
    """follows: the last file is being written, and after it others. part: see _Run."""
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


def _of_part(path: Path, reading: _Reading, number: int, count: int) -> Iterator[Packet]:
    """Reads all of the file, for the first part has to say what of it cannot be read."""
    steps = Steps()
    for packet in _tried(path, reading, grows=False):
        if min(steps.part(packet.time), count - 1) == number:
            yield packet


def _tried(path: Path, reading: _Reading, *, grows: bool) -> Iterator[Packet]:
    """As _packets(), whatever the file."""
    try:
        yield from _packets(path, reading, grows=grows)
    except RecordingError as error:
        reading.problems.append(str(error))


def _packets(path: Path, reading: _Reading, *, grows: bool) -> Iterator[Packet]:
    """Raises RecordingError for a file that is no capture, cannot be opened, or is refused."""
    name = "stdin" if path == STDIN else str(path)
    reader: PacketReader | None = None
    said: list[str] = []
    head = b""
    try:
        for chunk in content(path, name, reading.asked, grows, successor):
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
    except Stopped:  # what is not whole is still being written
        said = [] if reader is None else list(reader.problems)
    except Damaged as what:
        said = [str(what)]
        if reader is not None:
            said = [*reader.problems, *said]
            yield from reader.close()  # its end is not whole, which need not be said twice
    finally:
        reading.problems.extend(f"{name}: {problem}" for problem in said)


def _reader(name: str, head: bytes, check_section: SectionCheck) -> PacketReader:
    try:
        return reader_for(head, partial(check_section, name))
    except NotACapture as what:
        raise RecordingError(f"{name}: {what}") from None
