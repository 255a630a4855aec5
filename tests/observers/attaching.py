"""An observer at a bus without a tap."""

from __future__ import annotations

from collections.abc import Callable

from tap.bus import Bus
from tap.observers.attached import Attached
from tap.observers.observer import Observer
from tap.status import LinkStatus, Status
from tap.url import Address

IDLE = LinkStatus("main", Address("127.0.0.1", 6400), Address("127.0.0.1", 6379), ())


def attached(
    observer: Observer,
    bus: Bus,
    *,
    links: tuple[str, ...] = ("main",),
    status: Callable[[], Status] = lambda: Status(100.0, (IDLE,)),
    lost_bytes: Callable[[], int | None] = lambda: None,
) -> Attached:
    """An attached observer that has started. To be called in an event loop."""
    one = Attached(observer, bus)
    one.start(lambda: links, status, lost_bytes)
    return one
