"""Thresholds as operators write them, and what is no threshold."""

from __future__ import annotations

import pytest

from tap import Config, LinkConfig
from tap.errors import ConfigError
from tap.thresholds import Threshold, threshold_text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("lag > 10s", Threshold("lag > 10s", "lag", "seconds", 10.0)),
        ("lag>500ms", Threshold("lag>500ms", "lag", "seconds", 0.5)),
        ("  lag  >=  50mb ", Threshold("lag >= 50mb", "lag", "bytes", 50 * 2**20, is_inclusive=True)),
        ("Lag > 1.5GB for 1m", Threshold("Lag > 1.5GB for 1m", "lag", "bytes", 1.5 * 2**30, lasts=60.0)),
        ("lag > 0b", Threshold("lag > 0b", "lag", "bytes", 0)),
        ("silence > 5s for 10s", Threshold("silence > 5s for 10s", "silence", "seconds", 5.0, lasts=10.0)),
        ("buffer > 100mb", Threshold("buffer > 100mb", "buffer", "bytes", 100 * 2**20)),
        ("resyncs > 2 in 10m", Threshold("resyncs > 2 in 10m", "resyncs", "resyncs", 2, window=600.0)),
        ("resyncs >= 3 in 1h for 1s", Threshold("resyncs >= 3 in 1h for 1s", "resyncs", "resyncs", 3, True, 1.0, 3600.0)),
    ],
)
def test_a_threshold_is_read(text: str, meant: Threshold) -> None:
    assert Threshold.parse(text) == meant
    assert Threshold.parse(threshold_text(text)) == meant


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is not an alert: write a figure, > or >=, and its limit: 'lag > 10s'"),
        ("lag", "is not an alert"),
        ("lag > 10s or silence > 5s", "is not an alert"),
        ("lag > 10s for", "is not an alert"),
        ("lga > 10s", "unknown figure 'lga'; known: lag, silence, buffer, resyncs. Did you mean 'lag'?"),
        ("lag < 10s", "with > or >=, not <"),
        ("lag == 10s", "with > or >=, not =="),
        ("lag > 10", "'10' needs its unit; lag is compared with a time or a size, as 'lag > 10s' or 'lag > 50mb'"),
        ("lag > 10parsecs", "is not a time"),
        ("lag > 1.2.3s", "is not a time"),
        ("lag > 10s in 5m", "lag is compared with a time or a size"),
        ("silence > 5mb", "silence is compared with a time, as 'silence > 5s'"),
        ("buffer > 10s", "buffer is compared with a size, as 'buffer > 100mb'"),
        ("silence > 5s for 10", "'10' needs its unit"),
        ("resyncs > 2", "resyncs is compared with a number and a time, as 'resyncs > 2 in 10m'"),
        ("resyncs > 2s in 10m", "'2s' is not a number"),
        ("resyncs > 2 in 0s", "must be greater than 0"),
        ("lag >= 0s", "is always so"),
    ],
)
def test_what_is_no_threshold_is_refused_with_what_is_allowed(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Threshold.parse(text)
    assert says in str(caught.value)
    with pytest.raises(ConfigError):
        Config(links="127.0.0.1:6379", alerts=text)
    with pytest.raises(ConfigError):
        LinkConfig(master="127.0.0.1:6379", alerts=(text,))


def test_only_an_inclusive_threshold_is_passed_by_its_limit() -> None:
    assert [Threshold.parse("lag > 10s").is_passed(value) for value in (9.9, 10.0, 10.1)] == [False, False, True]
    assert [Threshold.parse("lag >= 10s").is_passed(value) for value in (9.9, 10.0, 10.1)] == [False, True, True]
