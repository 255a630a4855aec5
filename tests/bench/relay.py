"""Throughput: one connection, from a source of bytes through a relay to a sink."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tap.servers.embedded import free_port

from .peers import Peer, absent, present, setups
from .processes import Process, helper
from .results import Figures, Metric, Result, Say, take_turns

NAMES = ("direct", "redis-tap", "haproxy", "socat", "toxiproxy")
READING = "redis-tap, reading a stream"
WITHIN = 120.0  # seconds for one transfer

# What the sink says first. An ordinary client's request: the tap stops reading along. A replica's: it reads on.
ORDINARY = "GET x"
REPLICA = f"PSYNC {'0' * 40} 1"

METRICS = (
    Metric("gb_per_second", "GB/s", 2, compared=True),
    Metric("cpu_seconds_per_gb", "relay CPU s/GB", 3, compared=True),
)


def run(quick: bool, say: Say) -> Result:
    size = (256 if quick else 2048) * 2**20
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as directory:
        log = Path(directory) / "sink"
        with Process(helper("source", port, size), Path(directory) / "source") as source:
            source.wait_for_listening(port)
            rows: dict[str, Callable[[], Figures]] = {}
            for name, peer in present(*NAMES).items():
                rows[name] = partial(measure, peer, port, size, ORDINARY, log)
                if name == "redis-tap":
                    rows[READING] = partial(measure, peer, port, size, REPLICA, log)
            taken = take_turns(rows, 2 if quick else 5, say)
    return Result(
        group="relay",
        about=f"throughput of one connection, {size / 2**30:g} GiB a round",
        metrics=METRICS,
        rows=taken,
        against=("direct", "haproxy"),
        notes=[
            f"{setups(*NAMES)}.",
            f"{READING}: the same bytes after a partial resync, so every command is counted; in the other rows the "
            "connection is an ordinary client's.",
            *absent(*NAMES),
        ],
    )


def measure(peer: Peer, port: int, size: int, line: str, log: Path) -> Figures:
    with peer.relaying_to(port) as relay:
        before = relay.cpu_seconds()
        with Process(helper("sink", relay.port, size, line), log) as sink:
            seconds = float(sink.finish(WITHIN))
        after = relay.cpu_seconds()
    figures = {"gb_per_second": size / 1e9 / seconds}
    if before is not None and after is not None:
        figures["cpu_seconds_per_gb"] = (after - before) / (size / 1e9)
    return figures
