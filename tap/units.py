"""Sizes, times and rates as people write and read them: a number with its unit. Written, only 0 needs no unit.

A bare number is ambiguous: some users mean "delay 200" as milliseconds, others as seconds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tap.errors import ConfigError

_SIZES = {"b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30}
LONGEST = 36_525 * 86_400  # seconds; clocks and calendars can still represent that
_SHOWN_SIZES = ("B", "KB", "MB", "GB", "TB", "PB")
_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str) -> int:
    """Bytes from 100b, 10kb, 1.5mb or 2gb: powers of 1024, as in a server's configuration. Raises ConfigError."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*(b|kb|mb|gb)?", text.strip().lower())
    if match is None:
        raise ConfigError(f"{text!r} is not a size: write a number with b, kb, mb or gb, as 10mb")
    if match[2] is None and float(match[1]):
        raise ConfigError(f"{text!r} needs its unit: write {match[1]}b, {match[1]}kb or {match[1]}mb")
    unit = _SIZES[match[2] or "b"]
    return round(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def parse_rate(text: str) -> int:
    """Bytes per second from 100kb/s or 1mb. Raises ConfigError."""
    size = text.strip().removesuffix("/s")
    if re.fullmatch(r"\d+(?:\.\d+)?", size) and float(size):
        raise ConfigError(f"{text!r} needs its unit: write {size}b/s, {size}kb/s or {size}mb/s")
    rate = parse_size(size)
    if rate == 0:
        raise ConfigError(f"{text!r}: a rate is more than 0; to stop all bytes, take stall")
    return rate


def parse_duration(text: str) -> float:
    """Seconds from 500ms, 30s, 10m, 2h or 7d. Raises ConfigError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d)?", text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a time: write a number with us, ms, s, m, h or d, as 30s")
    if match[2] is None and float(match[1]):
        raise ConfigError(f"{text!r} needs its unit: write {match[1]}ms or {match[1]}s")
    seconds = float(match[1]) * _TIMES[match[2] or "s"]
    if seconds > LONGEST:
        raise ConfigError(f"{text!r} is longer than 100 years")
    return seconds


@dataclass(frozen=True, slots=True)
class Limits:
    """A maximum of bytes and of seconds; None: no limit. False if there is neither."""

    size: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Limits":
        """Read a size, as 1gb, a time, as 10m, or one of each. Raises ConfigError."""
        size, seconds = None, None
        for text in texts:
            if re.fullmatch(r"[\d.]*\s*(b|kb|mb|gb)", text.strip().lower()):
                if size is not None:
                    raise ConfigError(f"{text!r}: a second size; give one size and one time at most")
                size = parse_size(text)
            elif re.fullmatch(r"[\d.]*\s*(s|m|h|d)", text.strip()):
                if seconds is not None:
                    raise ConfigError(f"{text!r}: a second time; give one size and one time at most")
                seconds = parse_duration(text)
            else:
                raise ConfigError(f"{text!r} is neither a size, as 500mb or 1gb, nor a time, as 10m, 1h or 7d")
            if size == 0 or seconds == 0:
                raise ConfigError(f"{text!r}: a limit must be greater than 0")
        return cls(size, seconds)

    def __bool__(self) -> bool:
        return self.size is not None or self.seconds is not None


def size(count: float) -> str:
    """1536 -> "1.5 KB": powers of 1024, as Redis counts."""
    unit = 0
    while abs(count) >= 1024 and unit < len(_SHOWN_SIZES) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} {_SHOWN_SIZES[0]}" if unit == 0 else f"{count:.1f} {_SHOWN_SIZES[unit]}"


def seconds(duration: float) -> str:
    """0.0042 -> "4.2 ms", 75 -> "1 min 15 s"."""
    if duration < 0.0995:
        return f"{duration * 1000:.1f} ms"
    if duration < 59.95:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
