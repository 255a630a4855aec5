"""An impossible excerpt is refused when it is made."""

from __future__ import annotations

import dataclasses

import pytest

from tap.errors import ConfigError
from tap.replay.excerpt import Excerpt


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(ConfigError):
        Excerpt(begin=7, end=6)
    with pytest.raises(ConfigError):
        dataclasses.replace(Excerpt(begin=7), end=6)


def test_the_default_is_everything_at_the_recorded_speed() -> None:
    assert Excerpt() == Excerpt(links=(), begin=None, end=None, speed=1.0)
