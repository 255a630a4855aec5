"""What a group measures and what came out: rounds in which rows take turns, medians, spreads and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Figures = dict[str, float]  # of one row in one round, by the metric's key
Say = Callable[[str], None]  # tells whoever waits what goes on at the moment


@dataclass(frozen=True)
class Metric:
    """One column. digits: after the point. compared: also shown as a ratio to the rows of Result.against."""

    key: str
    title: str
    digits: int = 2
    compared: bool = False


@dataclass(frozen=True)
class Result:
    """A group's outcome.

    rows: for each peer its figures in each round. against: the rows that others are compared with, where they are
    there. notes: what one has to know to read the figures.
    """

    group: str
    about: str
    metrics: tuple[Metric, ...]
    rows: Mapping[str, list[Figures]]
    against: tuple[str, ...]
    notes: list[str] = field(default_factory=list)

    def values(self, row: str, metric: Metric) -> list[float]:
        """One value per round; none if the row does not have this metric."""
        return [figures[metric.key] for figures in self.rows.get(row, []) if metric.key in figures]

    def ratio(self, row: str, metric: Metric, other: str) -> float | None:
        """Median over the other row's median; None if there is nothing to compare."""
        values, others = self.values(row, metric), self.values(other, metric)
        if not values or not others or not statistics.median(others):
            return None
        return statistics.median(values) / statistics.median(others)

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file: everything that the table shows, and each round."""
        return {
            "about": self.about,
            "metrics": {metric.key: metric.title for metric in self.metrics},
            "rows": {row: self._row_as_dict(row) for row in self.rows},
            "notes": self.notes,
        }

    def _row_as_dict(self, row: str) -> dict[str, Any]:
        told = {}
        for metric in self.metrics:
            values = self.values(row, metric)
            if values:
                told[metric.key] = {
                    "median": statistics.median(values),
                    "min": min(values),
                    "max": max(values),
                    "rounds": values,
                    "ratios": {other: self.ratio(row, metric, other) for other in self.compared_with(metric)},
                }
        return told

    def compared_with(self, metric: Metric) -> list[str]:
        return [other for other in self.against if metric.compared and self.values(other, metric)]


def take_turns(rows: Mapping[str, Callable[[], Figures]], rounds: int, say: Say) -> dict[str, list[Figures]]:
    """Measure A B C, A B C, ...: what disturbs the machine for a while disturbs all of them.

    The first row gets an extra turn before, which does not count: key spaces, caches and page tables fill in it.
    """
    for name, measure in list(rows.items())[:1]:
        say(f"warm-up, {name}")
        measure()
    taken: dict[str, list[Figures]] = {name: [] for name in rows}
    for number in range(1, rounds + 1):
        for name, measure in rows.items():
            say(f"round {number} of {rounds}, {name}")
            taken[name].append(measure())
    return taken
