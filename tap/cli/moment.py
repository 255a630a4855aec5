"""`--from` and `--until`."""

import re
from datetime import datetime

from tap.errors import ConfigError
from tap.recording.wanted import Moment


def moment(option: str, text: str | None) -> Moment | None:
    """What the option says. Raises ConfigError."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,19}", text):
        return int(text)
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{option} {text!r}: write a time, as 2026-01-31T12:00:00 or with +01:00 behind it, or an offset in digits"
        ) from None
