"""A script for `redis-tap run --script` that is as busy as can be: it computes from its first event on, for ever."""

from __future__ import annotations


def on_event(told: object) -> None:
    while True:
        pass
