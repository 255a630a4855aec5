"""What is computed from the figures: exponents, ratios, tables and bars."""

from __future__ import annotations

import pytest

from . import report
from .results import Curve, Metric, Result


def curve(points: dict[int, list[float]], per_size: bool = False) -> Curve:
    return Curve("growth", "links", "links", "CPU s", points, per_size)


@pytest.mark.parametrize("power", [0, 1, 2])
def test_an_exponent_comes_from_the_largest_sizes(power: int) -> None:
    """The small ones, which mostly measure the start, do not count."""
    points = {1: [50.0], **{size: [float(size**power)] for size in (100, 1000, 10_000)}}
    found = curve(points)
    assert found.exponent() == pytest.approx(power)
    assert ("SUPERLINEAR" in found.verdict()) is (power == 2)


def test_a_figure_per_unit_stays_level_if_the_cost_is_linear() -> None:
    assert curve({10: [3.0], 100: [3.0], 1000: [3.0]}, per_size=True).exponent() == pytest.approx(1)


def test_zero_has_a_bar_and_does_not_count_for_the_exponent() -> None:
    found = curve({0: [1.0], 1: [2.0], 10: [2.0], 100: [4.0]})
    assert 0 < found.exponent() < 1
    assert report.chart_of(found).splitlines()[2:6] == [
        "```text",
        "links  CPU s",
        "    0  ██████████ 1.000",
        "    1  ████████████████████ 2.000",
    ]


def test_a_table_is_markdown_with_medians_spreads_and_ratios() -> None:
    metrics = (Metric("time", "s", 1, compared=True), Metric("cpu", "CPU s", 1))
    rows = {"direct": [{"time": 1.0}] * 3, "tap": [{"time": time, "cpu": 0.5} for time in (1.0, 2.0, 6.0)]}
    shown = report.table_of(Result("relay", "a stream", metrics, rows, against=("direct", "haproxy")))
    assert shown.splitlines()[:6] == [
        "### relay: a stream",
        "",
        "|        |             s | vs direct | CPU s |",
        "| ------ | ------------: | --------: | ----: |",
        "| direct |           1.0 |      1.00 |     - |",
        "| tap    | 2.0 (1.0-6.0) |      2.00 |   0.5 |",
    ]
