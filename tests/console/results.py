"""A result of chaos, met or not, to be rendered."""

from __future__ import annotations

from typing import Any

from tap.bus import Told
from tap.replication import events
from tap.scenario import Outcome, Result
from tap.scenario.journal import JournalEntry
from tap.scenario.result import FaultSeen, ResyncSeen, StepTaken


def result(**more: Any) -> Result:
    told = Told(0.0, "main", 3, "", events.ResyncRefused(start=0, end=1, reply="-LOADING wait"))
    settings: dict[str, Any] = {
        "scenario": "cut",
        "title": "A cut",
        "server": "Redis 7.0.15",
        "seed": 5,
        "command": "redis-tap chaos cut --seed 5",
        "seconds": 2.5,
        "steps": (StepTaken("fault cut", 0.1, 0.0), StepTaken("wait for level", 0.2, 3.0, "not within 3 s")),
        "faults": (FaultSeen("cut-1", "cut [red] mode=reset", 2, ("stream, offset 5", "stream, offset 9"), 0),),
        "resyncs": (
            ResyncSeen("full", 0.1, "first_sync", "it has nothing", 0, 2048),
            ResyncSeen("partial", 0.2, "", "", 5, 10),
            ResyncSeen("partial", 0.3, "", "", 9, 10),
        ),
        "outage": 1.25,
        "resent": 2068,
        "verdicts": (
            Outcome("resync", "partial", "full", False),
            Outcome("link_up", "up", "up", True),
        ),
        "story": (JournalEntry(0.15, told),),
    }
    return Result(**{**settings, **more})


MET = (Outcome("resync", "partial", "partial", True),)
