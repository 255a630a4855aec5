"""Numbers as a person reads them."""

from __future__ import annotations

from tap.console.figures import seconds, size, sparkline


def test_figures() -> None:
    assert [size(n) for n in (0, 1023, 1536, 5 * 2**30)] == ["0 B", "1023 B", "1.5 KB", "5.0 GB"]
    assert [seconds(s) for s in (0.00042, 0.5, 59.9, 75, 7260)] == [
        "0.4 ms",
        "0.5 s",
        "59.9 s",
        "1 min 15 s",
        "2 h 1 min",
    ]
    assert sparkline([0, 0.1, 4, 8], 4) == "▁▂▄█"
    assert sparkline([0, 0], 10) == "▁▁"
    assert sparkline([], 10) == ""
