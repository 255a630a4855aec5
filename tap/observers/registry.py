"""The observers that a configuration can ask for: each has one line here."""

from __future__ import annotations

from collections.abc import Callable

from tap.config import Config
from tap.observers.observer import Observer
from tap.observers.script import Script
from tap.observers.statsd import StatsD

# Each returns its observer, or None if the configuration does not ask for it. A script comes last: it starts a process,
# which would be left running if a later observer failed.
OBSERVERS: tuple[Callable[[Config], Observer | None], ...] = (
    StatsD.configured,
    Script.configured,
)


def configured(config: Config) -> list[Observer]:
    """The observers that this configuration asks for. Raises ConfigError for one that cannot be made."""
    return [observer for make in OBSERVERS if (observer := make(config)) is not None]
