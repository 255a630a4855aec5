"""How results are shown: Markdown that reads as well on a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from .results import Curve, Metric, Outcome, Result

BAR = 40  # characters of the longest one


def shown(outcome: Outcome) -> str:
    return table_of(outcome) if isinstance(outcome, Result) else chart_of(outcome)


def machine(facts: Mapping[str, str]) -> str:
    return table([["measured on", ""], *([words, fact] for words, fact in facts.items())], numbers=False)


def table_of(result: Result) -> str:
    header = [""]
    for metric in result.metrics:
        header += [metric.title, *(f"vs {other}" for other in result.compared_with(metric))]
    rows = [header]
    for row in result.rows:
        cells = [row]
        for metric in result.metrics:
            cells.append(figure(result.values(row, metric), metric))
            cells += [ratio(result.ratio(row, metric, other)) for other in result.compared_with(metric)]
        rows.append(cells)
    rounds = max(map(len, result.rows.values()))
    reading = "One round." if rounds == 1 else f"Medians of {rounds} rounds, in brackets the lowest and the highest."
    return "\n\n".join((f"### {result.group}: {result.about}", table(rows), "\n".join((reading, *result.notes))))


def chart_of(curve: Curve) -> str:
    medians = {f"{size:,}": median for size, median in curve.medians().items()}
    drawn = bars(medians, curve.size, curve.figure, curve.digits)
    each = f" ({curve.figure}: linear is level)" if curve.per_size else ""
    return f"### {curve.group}: {curve.about}\n\n```text\n{drawn}\n```\n\n{curve.verdict()}{each}"


def bars(figures: Mapping[str, float], left: str, right: str, digits: int) -> str:
    """A line with a bar for each."""
    width = max(map(len, (left, *figures)))
    longest = max(figures.values())
    lines = [f"{left:>{width}}  {right}"]
    for name, value in figures.items():
        length = round(BAR * value / longest) if longest else 0
        lines.append(f"{name:>{width}}  {'█' * length or '▏'} {value:,.{digits}f}")
    return "\n".join(lines)


def table(rows: list[list[str]], numbers: bool = True) -> str:
    """The first row is the header; its columns but the first are numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [False, *(numbers for _ in widths[1:])]
    rule = ["-" * (width - 1) + (":" if is_right else "-") for width, is_right in zip(widths, right, strict=True)]
    aligned = [
        [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (aligned[0], rule, *aligned[1:]))


def figure(values: list[float], metric: Metric) -> str:
    if not values:
        return "-"
    median, low, high = (f"{value:.{metric.digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return median if low == high else f"{median} ({low}-{high})"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
