"""Which part of a recording is replayed, and how fast."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tap.recording.moments import Moment, check_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """links: only these; all if empty. begin, end: a time or a replication offset, both inclusive; None for no limit.

    speed: a multiple of the recorded speed; infinite for as fast as possible. Raises ConfigError if the end is before the
    beginning.
    """

    links: Collection[str] = ()
    begin: Moment | None = None
    end: Moment | None = None
    speed: float = 1.0

    def __post_init__(self) -> None:
        check_order(self.begin, self.end)
