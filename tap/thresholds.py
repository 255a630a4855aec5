"""Thresholds of the operator's own, as text: what --alert accepts.

lag > 10s                 what the replica has not acknowledged, as time
lag > 50mb for 30s        the same in bytes, and only if it lasts
silence > 5s              seconds without a sign of life from a side that owes one
buffer > 100mb            the master's output buffer for the replica, if the master is asked (--inspect)
resyncs > 2 in 10m        full resyncs of one replica within that time
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tap.errors import ConfigError, did_you_mean
from tap.units import parse_duration, parse_size

FigureName = Literal["lag", "silence", "buffer", "resyncs"]
Unit = Literal["bytes", "seconds", "resyncs"]

FIGURES: dict[str, str] = {
    "lag": "a time or a size, as 'lag > 10s' or 'lag > 50mb'",
    "silence": "a time, as 'silence > 5s'",
    "buffer": "a size, as 'buffer > 100mb'",
    "resyncs": "a number and a time, as 'resyncs > 2 in 10m'",
}
_FORM = "write a figure, > or >=, and its limit: 'lag > 10s', 'lag > 50mb', 'silence > 5s', 'resyncs > 2 in 10m'; "
_FORM += "'for 30s' may follow"
_GRAMMAR = re.compile(
    r"(?P<figure>[a-z_]+)\s*(?P<comparison>[<>=!]+)\s*(?P<limit>[\d.]+\s*[a-z%]*)"
    r"(?:\s+in\s+(?P<window>[\d.]+\s*[a-z]*))?(?:\s+for\s+(?P<lasts>[\d.]+\s*[a-z]*))?",
    re.IGNORECASE,
)
_SIZE = re.compile(r"[\d.]+\s*(b|kb|mb|gb)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A figure and its limit. text: as users write it, with single blanks.

    is_inclusive: the limit itself passes it. limit: in the unit. lasts: seconds for which the figure has to be there.
    window: seconds within which resyncs count; 0 for other figures.
    """

    text: str
    figure: FigureName
    unit: Unit
    limit: float
    is_inclusive: bool = False
    lasts: float = 0.0
    window: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Read a threshold. Raises ConfigError, which says what is allowed."""
        match = _GRAMMAR.fullmatch(text.strip())
        if match is None:
            raise ConfigError(f"{text!r} is not an alert: {_FORM}")
        figure, comparison = match["figure"].lower(), match["comparison"]
        if figure not in FIGURES:
            known = ", ".join(FIGURES)
            raise ConfigError(f"{text!r}: unknown figure {figure!r}; known: {known}.{did_you_mean(figure, FIGURES)}")
        if comparison not in (">", ">="):
            raise ConfigError(f"{text!r}: an alert says that a figure is too high, with > or >=, not {comparison}")
        if (figure == "resyncs") != (match["window"] is not None):
            raise ConfigError(f"{text!r}: {figure} is compared with {FIGURES[figure]}")
        try:
            unit, limit = _limit(figure, match["limit"])
            lasts = parse_duration(match["lasts"] or "0")
            window = parse_duration(match["window"] or "0")
        except ConfigError as error:
            raise ConfigError(f"{text!r}: {error}; {figure} is compared with {FIGURES[figure]}") from None
        if figure == "resyncs" and not window:
            raise ConfigError(f"{text!r}: the time in which resyncs are counted must be greater than 0")
        if comparison == ">=" and not limit:
            raise ConfigError(f"{text!r} is always so: write > 0, or a limit")
        return cls(" ".join(text.split()), figure, unit, limit, comparison == ">=", lasts, window)  # type: ignore[arg-type]

    def is_passed(self, value: float) -> bool:
        """Whether this value is too high."""
        return value > self.limit or (self.is_inclusive and value == self.limit)


def threshold_text(text: str) -> str:
    """Check the text of a threshold. Raises ConfigError."""
    return Threshold.parse(text).text


def _limit(figure: str, text: str) -> tuple[Unit, float]:
    """The unit and the number of a limit. Raises ConfigError."""
    if figure == "resyncs":
        if not re.fullmatch(r"[0-9]{1,9}", text.strip()):
            raise ConfigError(f"{text!r} is not a number")
        return "resyncs", int(text)
    if figure == "buffer":
        return "bytes", parse_size(text)
    if figure != "silence" and _SIZE.fullmatch(text):
        return "bytes", parse_size(text)
    if re.fullmatch(r"[\d.]+", text):
        raise ConfigError(f"{text!r} needs its unit")
    return "seconds", parse_duration(text)
