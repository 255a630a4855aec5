"""Numbers in the form that people read."""

from collections.abc import Sequence

from tap.units import seconds as seconds
from tap.units import size as size

_BARS = " ▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The last *width* values as bars. A value above zero never looks like zero."""
    shown = list(values)[-width:]
    top = max(shown, default=0)
    if top <= 0:
        return _BARS[1] * len(shown)
    return "".join(_BARS[max(2, round(8 * value / top))] if value > 0 else _BARS[1] for value in shown)


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
