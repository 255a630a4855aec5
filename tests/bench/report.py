"""How results are shown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from .results import Metric, Result

WIDTH = 160  # where the output goes to a file: the widest table has to fit


def console() -> Console:
    shown = Console(highlight=False)
    return shown if shown.is_terminal else Console(highlight=False, width=WIDTH)


def show_machine(shown: Console, machine: Mapping[str, str]) -> None:
    grid = Table.grid(padding=(0, 2))
    for words, fact in machine.items():
        grid.add_row(words, fact)
    shown.print(grid)


def show(shown: Console, result: Result) -> None:
    rounds = max(map(len, result.rows.values()))
    title = f"{result.group}: {result.about}"
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    table.add_column("")
    for metric in result.metrics:
        table.add_column(metric.title, justify="right")
        for other in result.compared_with(metric):
            table.add_column(f"vs {other}", justify="right")
    for row in result.rows:
        cells = []
        for metric in result.metrics:
            cells.append(figure(result.values(row, metric), metric))
            cells += [ratio(result.ratio(row, metric, other)) for other in result.compared_with(metric)]
        table.add_row(row, *cells)
    shown.print()
    shown.print(table)
    shown.print(
        f"Median of {rounds} rounds, and in brackets the lowest and the highest; vs: ratio of the medians.", style="dim"
    )
    for note in result.notes:
        shown.print(note, style="dim")


def figure(values: list[float], metric: Metric) -> str:
    if not values:
        return "-"
    median, low, high = (f"{value:.{metric.digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{median} ({low}-{high})"


def ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
