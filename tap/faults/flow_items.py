"""What a flow carries besides bytes: the order to close the link and the end of the sender's side."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CloseLink:
    """An order to the relay: close the link after the bytes that precede this item. legs: "both", "master", "replica".

    reset: close with RST instead of FIN. name: of the fault that ordered it.
    """

    reset: bool
    legs: str
    name: str


class End(enum.Enum):
    """How the sender's side ended; passed on after everything it sent."""

    FIN = "fin"
    RESET = "reset"


Item = bytes | memoryview | CloseLink | End


def size_of(item: object) -> int:
    return len(item) if isinstance(item, bytes | memoryview) else 0
