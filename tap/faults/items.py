"""What goes out of a flow besides bytes: the order to close the link, and the end of the sender's side."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CloseLink:
    """An order to the relay: close the link after the bytes before this. legs: "both", "master", "replica".

    reset: with RST, not FIN. name: the fault that wants it.
    """

    reset: bool
    legs: str
    name: str


class End(enum.Enum):
    """How the sender's side ended; passed on after what it sent."""

    FIN = "fin"
    RESET = "reset"


Item = bytes | memoryview | CloseLink | End


def size_of(item: object) -> int:
    return len(item) if isinstance(item, bytes | memoryview) else 0
