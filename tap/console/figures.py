"""Numbers in the form that people read."""

from collections.abc import Sequence

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_BARS = " ▁▂▃▄▅▆▇█"


def size(count: float) -> str:
    """1536 -> "1.5 KB": powers of 1024, as Redis counts."""
    unit = 0
    while abs(count) >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} {_UNITS[0]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"


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


def sparkline(values: Sequence[float], width: int) -> str:
    """The last *width* values as bars. A value above zero never looks like zero."""
    shown = list(values)[-width:]
    top = max(shown, default=0)
    if top <= 0:
        return _BARS[1] * len(shown)
    return "".join(_BARS[max(2, round(8 * value / top))] if value > 0 else _BARS[1] for value in shown)


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
