"""Shares of lines and branches, summed up by room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from pathlib import PurePath

BESIDE = "beside"  # name for the modules that are in no room


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the lines and branches of some modules ran."""

    lines_run: int = 0
    lines_all: int = 0
    branches_run: int = 0
    branches_all: int = 0

    @classmethod
    def of(cls, summary: Mapping[str, int]) -> Share:
        """What coverage.py's JSON says of a module."""
        return cls(
            summary["covered_lines"], summary["num_statements"], summary["covered_branches"], summary["num_branches"]
        )

    def __add__(self, other: Share) -> Share:
        return Share(
            self.lines_run + other.lines_run,
            self.lines_all + other.lines_all,
            self.branches_run + other.branches_run,
            self.branches_all + other.branches_all,
        )

    @property
    def lines(self) -> float:
        """Percent of the lines."""
        return 100 * self.lines_run / self.lines_all if self.lines_all else 100.0

    @property
    def branches(self) -> float:
        """Percent of the branches."""
        return 100 * self.branches_run / self.branches_all if self.branches_all else 100.0

    def __str__(self) -> str:
        return f"{_percent(self.lines)} of lines and {_percent(self.branches)} of branches"


def _percent(share: float) -> str:
    return f"{floor(share * 10) / 10:.1f} %"


def by_room(summaries: Mapping[str, Mapping[str, int]]) -> dict[str, Share]:
    """The share of each room, from those of its modules by path: tap/ROOM/.../MODULE.py, or tap/MODULE.py beside them."""
    rooms: dict[str, Share] = {}
    for path, summary in summaries.items():
        folders = PurePath(path).parts[1:-1]
        room = folders[0] if folders else BESIDE
        rooms[room] = rooms.get(room, Share()) + Share.of(summary)
    return rooms


def table(rooms: Mapping[str, Share]) -> str:
    """A row for each room, by name, and one for all, in Markdown."""
    rows = [*sorted(rooms.items()), ("all", sum(rooms.values(), Share()))]
    return "\n".join(
        [
            "| room | lines | branches | branches that never ran |",
            "| --- | --- | --- | --- |",
            *(
                f"| {room} | {_percent(share.lines)} | {_percent(share.branches)} "
                f"| {share.branches_all - share.branches_run:,} of {share.branches_all:,} |"
                for room, share in rows
            ),
        ]
    )
