"""A script for `redis-tap run --script` that is as slow as can be: every event takes it a second."""

from __future__ import annotations

import time


def on_event(told: object) -> None:
    time.sleep(1)
