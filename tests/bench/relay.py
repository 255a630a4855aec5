"""Throughput: from a source of commands through a relay to a sink, over one connection and over fifty."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tap.servers.embedded import free_port

from . import sink
from .commands import VALUE_SIZE
from .peers import AGAINST, Peer, present
from .processes import Process, helper
from .results import Figures, Metric, Outcome, Result, Say, take_turns

ROUNDS = {1: 2, 50: 1}  # by the number of connections: a round of all rows takes most of a minute

METRICS = (
    Metric("gb_per_second", "GB/s", 2, compared=True),
    Metric("cpu_seconds_per_gb", "relay CPU s/GB", 3, compared=True),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    total = (256 if quick else 4096) * 2**20
    for count, rounds in ROUNDS.items():
        with sending(total // count) as port:
            rows = {peer.name: partial(measure, peer, port, total // count, count) for peer in present()}
            taken = take_turns(rows, rounds, say)
        yield Result(
            group="relay",
            about=f"{total / 2**30:g} GiB of SET commands over {'one connection' if count == 1 else f'{count} at once'}",
            metrics=METRICS,
            rows=taken,
            against=AGAINST,
            notes=["The stream after a partial resync, as fast as it goes: faster than a disk takes it."],
        )


@contextlib.contextmanager
def sending(size: int, value_size: int = VALUE_SIZE, rate: int = 0) -> Iterator[int]:
    """The port of a source; see source.py."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as directory,
        Process(helper("source", port, size, value_size, rate), Path(directory) / "source") as source,
    ):
        source.wait_for_listening(port)
        yield port


def measure(peer: Peer, port: int, size: int, connections: int = 1) -> Figures:
    """size: bytes over each connection."""
    with peer.relaying_to(port) as relay, sink.connected(relay.port, connections) as opened:
        before = relay.cpu_seconds()
        seconds = sink.read(opened, size)
        after = relay.cpu_seconds()
    gigabytes = connections * size / 1e9
    figures = {"gb_per_second": gigabytes / seconds}
    if before is not None and after is not None:
        figures["cpu_seconds_per_gb"] = (after - before) / gigabytes
    return figures
