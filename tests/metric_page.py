"""The tables of the page of metrics, docs/reference/metrics.md, from their declarations.

`make docs` writes them; tests/test_pages.py compares the two.
"""

from __future__ import annotations

from tap.control.metrics_page import exposed_name
from tap.observers.metrics import LINK, METRICS, Histogram, Metric
from tests.support import ROOT

PAGE = ROOT / "docs" / "reference" / "metrics.md"
HEADS = (
    "| name | type | labels | is |\n| --- | --- | --- | --- |\n",
    "| name | type | is |\n| --- | --- | --- |\n",
    "| name | type |\n| --- | --- |\n",
)
TYPES = {"counter": "counter", "gauge": "gauge", "histogram": "time, ms"}


def page() -> str:
    """The whole page, with the tables from the declarations: for Prometheus, then for StatsD, of links and of the tap."""
    text = PAGE.read_text()
    for head, row, metrics in (
        (HEADS[0], _exposed, METRICS),
        (HEADS[1], _sent, [one for one in METRICS if LINK in one.labels and not _is_tallied(one)]),
        (HEADS[2], _sent_alone, [one for one in METRICS if LINK not in one.labels]),
    ):
        before, _, rest = text.partition(head)
        _, newline, after = rest.partition("\n\n")
        text = f"{before}{head}{''.join(map(row, metrics)).rstrip()}{newline or chr(10)}{after}"
    return text


def _is_tallied(metric: Metric) -> bool:
    return isinstance(metric, Histogram) and metric.is_tallied


def _exposed(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{exposed_name(metric)}` | {metric.kind} | {labels} | {metric.help} |\n"


def _sent(metric: Metric) -> str:
    own = "" if metric.own_label is None else f".{metric.own_label.upper()}"
    return f"| `{metric.name}{own}` | {TYPES[metric.kind]} | {metric.help} |\n"


def _sent_alone(metric: Metric) -> str:
    return f"| `{metric.name}` | {TYPES[metric.kind]} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
