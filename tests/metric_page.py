"""The tables of the page of metrics, docs/reference/metrics.md, from their declarations.

`make docs` writes them; tests/test_pages.py compares the two.
"""

from __future__ import annotations

from tap.observers.metrics import LINK, METRICS, Metric
from tests.support import ROOT

PAGE = ROOT / "docs" / "reference" / "metrics.md"
HEAD = "| name | type | is |\n| --- | --- | --- |\n"
TYPES = {"counter": "counter", "gauge": "gauge", "histogram": "time, ms"}


def page() -> str:
    """The whole page, with the tables from the declarations: metrics of links, then those of the tap."""
    of_links, of_the_tap = ([one for one in METRICS if (LINK in one.labels) is has_link] for has_link in (True, False))
    first, *parts = PAGE.read_text().split(HEAD)
    for metrics, part in zip((of_links, of_the_tap), parts, strict=True):
        _, newline, after = part.partition("\n\n")
        first += f"{HEAD}{''.join(map(_row, metrics)).rstrip()}{newline or chr(10)}{after}"
    return first


def _row(metric: Metric) -> str:
    own = "" if metric.own_label is None else f".{metric.own_label.upper()}"
    return f"| `{metric.name}{own}` | {TYPES[metric.kind]} | {metric.help} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
