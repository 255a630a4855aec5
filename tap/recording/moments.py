"""Moments in a recording, as people write them.

A time of day, or a time before the end, has a meaning only within a recording, so its first and last packets are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from tap.capture.content import is_pipe
from tap.capture.files import expand, packets
from tap.errors import ConfigError, RecordingError
from tap.units import parse_duration

Moment = datetime | int  # a time, of the local zone if it names none; or a replication offset

FORMS = (
    "write a time, as 2026-01-31T12:00:00 or 12:00 (local, or with +01:00 after it), or -10m before the end, or an "
    "offset in digits"
)


def nanoseconds(moment: datetime) -> int:
    """Nanoseconds since the epoch, as in a recording; through a float they would be wrong by a few hundred."""
    return round(moment.timestamp() * 1e6) * 1000


def check_order(begin: Moment | None, end: Moment | None) -> None:
    """Raise ConfigError if the end is before the beginning."""
    if isinstance(begin, datetime) and isinstance(end, datetime):
        is_late = begin.timestamp() > end.timestamp()
    elif isinstance(begin, int) and isinstance(end, int):
        is_late = begin > end
    else:
        return
    if is_late:
        raise ConfigError(f"from {text(begin)} until {text(end)}: the end is before the beginning")


def text(moment: Moment) -> str:
    """In a form that parse() reads."""
    return str(moment) if isinstance(moment, int) else moment.astimezone().isoformat()


@dataclass(frozen=True, slots=True)
class Length:
    """From the first packet of a recording to its last, in nanoseconds since the epoch."""

    first: int
    last: int

    @property
    def begin(self) -> datetime:
        return datetime.fromtimestamp(self.first / 1e9).astimezone()

    @property
    def end(self) -> datetime:
        return datetime.fromtimestamp(self.last / 1e9).astimezone()

    def __str__(self) -> str:
        return f"{self.begin.isoformat(timespec='seconds')} to {self.end.isoformat(timespec='seconds')}"


def outside(begin: Moment | None, end: Moment | None, whole: Length | None, offsets: tuple[int, int] | None) -> list[str]:
    """Sentences about moments outside a recording. offsets: before its first byte and after its last, if known."""
    found = []
    for option, moment in (("--from", begin), ("--until", end)):
        if isinstance(moment, datetime) and whole is not None:
            if nanoseconds(moment) > whole.last:
                found.append(f"{option} {text(moment)} lies after the end of the recording, {whole.end.isoformat()}")
            elif moment is end and nanoseconds(moment) < whole.first:
                found.append(f"{option} {text(moment)} lies before the recording, which begins {whole.begin.isoformat()}")
        elif isinstance(moment, int):
            if offsets is None:
                found.append(f"{option} {moment}: no replication offset is known in the recording")
            elif moment > offsets[1]:
                found.append(f"{option} {moment} is more than the highest offset in the recording, {offsets[1]}")
            elif option == "--until" and moment <= offsets[0]:
                found.append(f"{option} {moment}: the recording begins after offset {offsets[0]}")
    return found


def length(paths: Iterable[Path]) -> Length | None:
    """The length of the recording at these paths; None without a packet. Problems are left to the real reading.

    Raises ConfigError for a pipe, which can be read only once.
    """
    firsts, lasts = [], []
    for path in paths:
        if is_pipe(path):
            raise ConfigError(f"{path}: a pipe can be read only once, so its beginning and end are not known beforehand")
        try:
            files = expand(path)
        except RecordingError:
            continue
        first = next((packet.time for file in files for packet in packets(file, [])), None)
        last = next((last for file in reversed(files) if (last := _last(file)) is not None), None)
        if first is not None and last is not None:
            firsts.append(first)
            lasts.append(last)
    return Length(min(firsts), max(lasts)) if firsts else None


def _last(file: Path) -> int | None:
    return max((packet.time for packet in packets(file, [])), default=None)


@dataclass(frozen=True, slots=True)
class Meant:
    """A moment. is_resolved: what was written needed the recording to become one."""

    moment: Moment
    is_resolved: bool


def parse(text: str, whole: Callable[[], Length | None]) -> Meant | None:
    """Parse a time, a time of day, a time before the end, or an offset. whole: returns the length of the recording.

    Returns None if the text needs a recording and that holds no packets. Raises ConfigError.
    """
    if re.fullmatch(r"[0-9]{1,19}", text):
        return Meant(int(text), False)
    if text.startswith("-"):
        return _before_end(text, whole)
    try:
        return Meant(datetime.fromisoformat(text).astimezone(), False)
    except (ValueError, OverflowError):
        pass
    try:
        return _on_a_day(text, time.fromisoformat(text), whole)
    except ValueError:
        raise ConfigError(FORMS) from None


def _before_end(text: str, whole: Callable[[], Length | None]) -> Meant | None:
    seconds = parse_duration(text[1:])
    found = whole()
    if found is None:
        return None
    return Meant(found.end - timedelta(seconds=seconds), True)


def _on_a_day(text: str, wanted: time, whole: Callable[[], Length | None]) -> Meant | None:
    """A time of day on the recording's only day, or on the only one of its days that includes that time."""
    found = whole()
    if found is None:
        return None
    first, last = (moment.astimezone(wanted.tzinfo) for moment in (found.begin, found.end))
    days = [first.date() + timedelta(days=number) for number in range((last.date() - first.date()).days + 1)]
    if len(days) == 1:
        return Meant(_at(days[0], wanted), True)
    inside = [day for day in days if first <= _at(day, wanted) <= last]
    if not inside:
        raise ConfigError(f"the recording, {found}, does not include {text}; add the day: {days[0]}T{text}")
    if len(inside) > 1:
        raise ConfigError(f"the recording, {found}, includes {text} more than once; add the day: {inside[0]}T{text}")
    return Meant(_at(inside[0], wanted), True)


def _at(day: date, wanted: time) -> datetime:
    return datetime.combine(day, wanted).astimezone()
