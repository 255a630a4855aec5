"""Names for places among the events of a tap, by which a client says up to where it has heard: RUN-NUMBER.

RUN differs for each start of a tap, so that a client which comes back to another tap is not told that it missed nothing.
NUMBER is the number of events before the place, of all kinds that tap/kept_events.py keeps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tap.errors import ConfigError
from tap.kept_events import KeptEvents

START = "start"
NOW = "now"


@dataclass(frozen=True, slots=True)
class EventPlace:
    """Where a client goes on. number: of the next event. lost: events before it that are no longer kept; None: unknown,
    because another tap had them."""

    number: int
    lost: int | None = 0


def event_id(run: str, number: int) -> str:
    """The name of the place before the event with this number."""
    return f"{run}-{number}"


def place(text: str | None, run: str, kept: KeptEvents) -> EventPlace:
    """Read a client's place: "now", "start" for all that is kept, or an ID. None: now. Raises ConfigError."""
    if text is None or text == NOW:
        return EventPlace(kept.end)
    if text == START:
        return EventPlace(kept.first)
    found = re.fullmatch(r"([0-9a-z]{1,32})-([0-9]{1,18})", text)
    if found is None:
        raise ConfigError(f"{text[:100]!r} is not the ID of an event: write one that this API gave, or start, or now")
    number = int(found[2])
    if found[1] != run or number > kept.end:
        return EventPlace(kept.first, None)
    return EventPlace(max(number, kept.first), max(0, kept.first - number))
