"""Sizes, times and rates as people write them."""

import re

from tap.errors import ConfigError

_SIZES = {"": 1, "b": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30}
_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_size(text: str) -> int:
    """Bytes from 100, 10kb, 1.5mb or 2gb: powers of 1024, as in a server's configuration. Raises ConfigError."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*(b|kb|mb|gb)?", text.strip().lower())
    if match is None:
        raise ConfigError(f"{text!r} is no size: write bytes, or a number with kb, mb or gb, as 10mb")
    return round(float(match[1]) * _SIZES[match[2] or ""]) if "." in match[1] else int(match[1]) * _SIZES[match[2] or ""]


def parse_rate(text: str) -> int:
    """Bytes per second from 100kb/s or 1mb. Raises ConfigError."""
    rate = parse_size(text.strip().removesuffix("/s"))
    if rate == 0:
        raise ConfigError(f"{text!r}: a rate is more than 0; to stop all bytes, take stall")
    return rate


def parse_duration(text: str) -> float:
    """Seconds from 500ms, 30s, 10m, 2h or a bare number of seconds. Raises ConfigError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h)?", text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is no duration: write seconds, or a number with us, ms, s, m or h, as 30s")
    return float(match[1]) * _TIMES[match[2] or "s"]
