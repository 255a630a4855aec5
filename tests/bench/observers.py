"""Observers: the same link watched by nobody, and by what has stopped, died or fallen asleep."""

from __future__ import annotations

import dataclasses
import tempfile
from functools import partial
from pathlib import Path

from . import stream
from .pair import pair
from .peers import PEERS, Peer
from .processes import helper
from .results import Result, Say, take_turns

NOBODY = "nobody"
EVERY_COMMAND = "--commands, nobody"
DEAD = "127.0.0.1:9"  # where nobody takes UDP
SCRIPT = "slow.py"
ARGUMENTS = {
    NOBODY: (),
    "live view, Ctrl-S": ("--ui", "live"),
    "dead StatsD": ("--statsd", DEAD),
    "slow script": ("--script", SCRIPT),
    EVERY_COMMAND: ("--commands",),
    "--commands, slow script": ("--commands", "--script", SCRIPT),
}


def run(quick: bool, say: Say) -> Result:
    count = 150_000 if quick else 1_500_000
    with pair() as servers, tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as name:
        directory = Path(name)
        (directory / SCRIPT).write_text("import time\ndef on_event(told):\n    time.sleep(1)\n")
        rows = {
            name: partial(stream.measure, _watched(arguments, directory), servers, count, directory / "writer")
            for name, arguments in ARGUMENTS.items()
        }
        taken = take_turns(rows, 2 if quick else 3, say)
        version = servers.master.version
    return Result(
        group="observers",
        about=f"{count} pipelined SETs until the replica is level, watched by",
        metrics=stream.METRICS[:3],
        rows=taken,
        against=(NOBODY, EVERY_COMMAND),
        notes=[
            f"Master and replica: {version}. The terminal of the live view was stopped before it began. Nobody listens "
            "where the figures go. The script sleeps for a second with each event; --commands makes one of every SET.",
        ],
    )


def _watched(arguments: tuple[str, ...], directory: Path) -> Peer:
    plain = PEERS["redis-tap"]

    def command(program: str, port: int, target: int, files: Path) -> list[str]:
        words = [str(directory / word) if word == SCRIPT else word for word in arguments]
        watched = [*plain.command(program, port, target, files), *words]
        return [*helper("stopped"), *watched] if "live" in words else watched

    return dataclasses.replace(plain, command=command)
