"""What a group measures and what came out: rounds in which rows take turns, medians, spreads, ratios, and growth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

Figures = dict[str, float]  # of one row in one round, by the metric's key
Say = Callable[[str], None]  # tells whoever waits what goes on at the moment

LARGEST = 100.0  # sizes from a hundredth of the largest on decide about growth: those below pay mostly for the start
LINEAR = 1.15  # the exponent up to which growth counts as linear: n log n would come to 1.2 over two decades

Row = TypeVar("Row")


@dataclass(frozen=True)
class Metric:
    """One column. digits: after the point. compared: also shown as a ratio to the rows of Result.against."""

    key: str
    title: str
    digits: int = 2
    compared: bool = False


@dataclass(frozen=True)
class Result:
    """A table.

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


@dataclass(frozen=True)
class Curve:
    """How a cost grows with a size.

    points: by size, the figure in each round. per_size: the figure is for one unit of the size, as CPU per link is, so
    that it stays level where the cost is linear; else it is the whole cost.
    """

    group: str
    about: str
    size: str
    figure: str
    points: Mapping[int, list[float]]
    per_size: bool
    digits: int = 3

    def medians(self) -> dict[int, float]:
        return {size: statistics.median(values) for size, values in self.points.items()}

    def exponent(self) -> float:
        """Of the whole cost against the size: 1 is linear. The slope of a line through the logarithms."""
        medians = self.medians()
        fitted = [size for size in medians if size * LARGEST >= max(medians) and size and medians[size] > 0]
        slope = statistics.linear_regression([math.log(size) for size in fitted], [math.log(medians[s]) for s in fitted])
        return slope.slope + self.per_size

    def verdict(self) -> str:
        exponent = self.exponent()
        return f"exponent {exponent:.2f}: {'linear or below' if exponent <= LINEAR else 'SUPERLINEAR'}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "size": self.size,
            "figure": self.figure,
            "points": {size: {"median": median, "rounds": self.points[size]} for size, median in self.medians().items()},
            "exponent": self.exponent(),
            "verdict": self.verdict(),
        }


Outcome = Result | Curve
Group = Callable[[bool, Say], Iterator[Outcome]]  # takes whether to be quick; each outcome as soon as it is there


def take_turns(rows: Mapping[Row, Callable[[], Figures]], rounds: int, say: Say) -> dict[Row, list[Figures]]:
    """Measure A B C, A B C, ...: what disturbs the machine for a while disturbs all of them.

    The first row gets an extra turn before, which does not count: key spaces, caches and page tables fill in it.
    """
    for name, measure in list(rows.items())[:1]:
        say(f"warm-up, {name}")
        measure()
    taken: dict[Row, list[Figures]] = {name: [] for name in rows}
    for number in range(1, rounds + 1):
        for name, measure in rows.items():
            say(f"round {number} of {rounds}, {name}")
            taken[name].append(measure())
    return taken


def curves(
    group: str, size: str, titles: Mapping[str, tuple[str, str, bool]], taken: Mapping[int, list[Figures]]
) -> Iterator[Curve]:
    """One for each figure. titles: by the figure's key what the curve is about, the figure's name, and per_size."""
    for key, (about, figure, per_size) in titles.items():
        points = {at: [figures[key] for figures in rounds] for at, rounds in taken.items()}
        yield Curve(group, about, size, figure, points, per_size)
