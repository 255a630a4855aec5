"""Times, sizes and rates: with their unit, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tap.config import file as config_file
from tap.errors import ConfigError
from tap.scenario.load import load
from tap.units import Limits, parse_duration, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250us", 250e-6), ("200ms", 0.2), ("1.5s", 1.5), ("2 s", 2), ("10m", 600), ("2h", 7200), ("7d", 604800), ("0", 0)],
)
def test_times_are_parsed(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"), [("100b", 100), ("10kb", 10240), ("1.5MB", 1572864), ("2 gb", 2**31), ("0", 0), ("0.0", 0)]
)
def test_sizes_are_parsed(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "rate"), [("100b/s", 100), ("1mb/s", 2**20), ("1mb", 2**20)])
def test_rates_are_parsed(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (parse_duration, "200", "'200' needs its unit: write 200ms or 200s"),
        (parse_duration, "0.5", "'0.5' needs its unit: write 0.5ms or 0.5s"),
        (parse_duration, "5x", "'5x' is not a time: write a number with us, ms, s, m, h or d, as 30s"),
        (parse_duration, "-5s", "'-5s' is not a time"),
        (parse_duration, "", "'' is not a time"),
        (parse_duration, "36526d", "'36526d' is longer than 100 years"),
        (parse_duration, "9" * 400 + "us", f"'{'9' * 400}us' is longer than 100 years"),
        (parse_size, "9" * 400 + "b", f"'{'9' * 400}b' is not a size"),
        (parse_size, "1000", "'1000' needs its unit: write 1000b, 1000kb or 1000mb"),
        (parse_size, "10k", "'10k' is not a size: write a number with b, kb, mb or gb, as 10mb"),
        (parse_size, "", "'' is not a size"),
        (parse_rate, "1000", "'1000' needs its unit: write 1000b/s, 1000kb/s or 1000mb/s"),
        (parse_rate, "1000/s", "'1000/s' needs its unit: write 1000b/s"),
        (parse_rate, "1.2.3", "'1.2.3' is not a size"),
        (parse_rate, "0", "'0': a rate is more than 0"),
        (lambda text: Limits.parse([text]), "500", "'500' is neither a size, as 500mb or 1gb, nor a time"),
    ],
)
def test_other_words_are_refused_with_what_to_write(parse: Callable[[str], object], text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith(said)


LINK = "[links.a]\nmaster = 'h:1'\n"
STEPS = "title = 'a'\nsteps = [{ do = 'attach' }]\n"


@pytest.mark.parametrize(
    ("text", "load", "said"),
    [
        (f"duration = 5\n{LINK}", config_file.load, "line 1: duration: '5' needs its unit: write 5ms or 5s"),
        (f"duration = '5'\n{LINK}", config_file.load, "line 1: duration: '5' needs its unit"),
        (f"connect_timeout = 1.5\n{LINK}", config_file.load, "line 1: connect_timeout: '1.5' needs its unit"),
        (f"drain_timeout = '60'\n{LINK}", config_file.load, "line 1: drain_timeout: '60' needs its unit"),
        (f"record_to = 'r.pcapng'\nrecord_rotate = ['100']\n{LINK}", config_file.load, "'100' is neither a size"),
        (f"faults = ['delay 200']\n{LINK}", config_file.load, None),  # the tap reads those when it arms them
        ("title = 'a'\nsteps = [{ do = 'pause 5' }]", load, "step 1, do: '5' needs its unit: write 5ms or 5s"),
        ("title = 'a'\nsteps = [{ do = 'write 100' }]", load, "'100' needs its unit: write 100b, 100kb or 100mb"),
        ("title = 'a'\nsteps = [{ wait = 'ack', within = 5 }]", load, "within: '5' needs its unit: write 5ms or 5s"),
        ("title = 'a'\nsteps = [{ fault = 'delay 200' }]", load, "latency: '200' needs its unit: write 200ms or 200s"),
        (f"{STEPS}workload = {{ preload = 1000 }}", load, "preload: '1000' needs its unit"),
        (f"{STEPS}[expect]\nwithin = 10", load, "expect.within: '10' needs its unit"),
        (f"{STEPS}[expect]\nsettle = '10'", load, "expect.settle: '10' needs its unit"),
    ],
)
def test_files_require_the_unit_as_well(
    text: str, load: Callable[[Path], object], said: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "some.toml"
    path.write_text(text)
    if said is None:
        load(path)
        return
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert said in str(caught.value)
