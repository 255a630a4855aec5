"""The types of toxics: their attributes, and the fault that each of them is.

A toxic's attributes may be any integers. What makes no sense in a fault's spec (a negative time, a rate of 0) is made
sense of here, as Toxiproxy does, except where that ends its process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tap.control.toxiproxy.request_body import Fields, plain
from tap.faults.kind import Kind
from tap.faults.kinds.delay import Delay
from tap.faults.kinds.limit import Limit
from tap.faults.kinds.lose import Lose
from tap.faults.kinds.mute import Mute
from tap.faults.kinds.reset import Reset
from tap.faults.kinds.slice import Slice
from tap.faults.kinds.slow_close import SlowClose
from tap.faults.kinds.throttle import Throttle

KILOBYTE = 1000  # bytes, in a bandwidth
Attributes = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ToxicType:
    """attributes: their names, in the order of answers. is_whole: whether they are integers.

    fault: what the toxic does, and the words for that in a fault's spec; None if it does nothing.
    """

    attributes: tuple[str, ...]
    fault: Callable[[Attributes], tuple[Kind, str]] | None
    is_whole: bool = True

    def read(self, given: Fields, before: Attributes) -> dict[str, float]:
        """The attributes of a request. before: those that it leaves out. Raises ToxiproxyError."""
        if self.is_whole:
            return {name: given.integer(name, int(before.get(name, 0))) for name in self.attributes}
        return {name: plain(given.number(name, before.get(name, 0))) for name in self.attributes}


def _latency(given: Attributes) -> tuple[Kind, str]:
    latency, jitter = given["latency"], max(0, given["jitter"])
    words = f"delay {latency}ms{f' jitter={jitter}ms' if jitter else ''} fin=prompt"
    return Delay(latency=latency * 1e-3, jitter=jitter * 1e-3, fin="prompt"), words


def _bandwidth(given: Attributes) -> tuple[Kind, str]:
    rate = max(0, int(given["rate"])) * KILOBYTE
    return Throttle(rate=rate, wait="before"), f"throttle {rate}b/s wait=before"


def _slow_close(given: Attributes) -> tuple[Kind, str]:
    delay = max(0, given["delay"])
    return SlowClose(delay=delay * 1e-3), f"slow-close {delay}ms"


def _timeout(given: Attributes) -> tuple[Kind, str]:
    timeout = given["timeout"]
    if timeout <= 0:
        return Mute(), "mute"
    return Mute(timeout=timeout * 1e-3), f"mute {timeout}ms"


def _reset_peer(given: Attributes) -> tuple[Kind, str]:
    timeout = max(0, given["timeout"])
    return Reset(timeout=timeout * 1e-3), f"reset {timeout}ms"


def _slicer(given: Attributes) -> tuple[Kind, str]:
    size = max(1, int(given["average_size"]))
    variation = max(0, min(int(given["size_variation"]), size - 1))
    gap = max(0, given["delay"])
    words = f"slice {size}b{f' variation={variation}b' if variation else ''}{f' gap={gap}us' if gap else ''}"
    return Slice(size=size, variation=variation, gap=gap * 1e-6), words


def _limit_data(given: Attributes) -> tuple[Kind, str]:
    size = max(0, int(given["bytes"]))
    return Limit(size=size), f"limit {size}b"


def _packet_loss(given: Attributes) -> tuple[Kind, str]:
    rate, burst = (max(0.0, min(1.0, given[name])) for name in ("loss_rate", "correlation"))
    return Lose(rate=rate, burst=burst), f"lose {rate:g}{f' burst={burst:g}' if burst else ''}"


# packet_loss came after 2.12.
TOXIC_TYPES: Mapping[str, ToxicType] = {
    "latency": ToxicType(("latency", "jitter"), _latency),
    "bandwidth": ToxicType(("rate",), _bandwidth),
    "slow_close": ToxicType(("delay",), _slow_close),
    "timeout": ToxicType(("timeout",), _timeout),
    "reset_peer": ToxicType(("timeout",), _reset_peer),
    "slicer": ToxicType(("average_size", "size_variation", "delay"), _slicer),
    "limit_data": ToxicType(("bytes",), _limit_data),
    "packet_loss": ToxicType(("loss_rate", "correlation"), _packet_loss, is_whole=False),
    "noop": ToxicType((), None),
}
