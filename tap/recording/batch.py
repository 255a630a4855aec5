"""Commands that came at once, as a player counts them without an event for each."""

from __future__ import annotations

from dataclasses import dataclass

from tap.replication.heads import Head


@dataclass(frozen=True, slots=True)
class Batch:
    """Commands of one connection that came at once.

    time: seconds since the epoch. replid: of their history. base: the offset before the first byte of their stream. Both
    are None if unknown. previous: the ID of this history up to *base*, if it was a different one.
    """

    time: float
    link: str
    connection: int
    replid: str | None
    base: int | None
    heads: list[Head]
    previous: str | None = None
