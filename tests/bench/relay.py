"""Throughput: from a source of commands through a relay to a sink, over one connection and over fifty."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tap.servers.embedded import free_port

from . import sink
from .commands import VALUE_SIZE, set_command
from .peers import AGAINST, Peer, present
from .processes import Process, helper
from .results import Figures, Metric, Outcome, Result, Say, take_turns

METRICS = (
    Metric("gb_per_second", "GB/s", 2, compared=True),
    Metric("cpu_seconds_per_gb", "relay CPU s/GB", 3, compared=True),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    total = (256 if quick else 4096) * 2**20
    for count in (1, 50):
        with sending(total // count) as source:
            rows = {peer.name: partial(measure, peer, source, count) for peer in present()}
            taken = take_turns(rows, 1, say)  # a round of all rows takes most of a minute
        yield Result(
            group="relay",
            about=f"{total / 2**30:g} GiB of SET commands over {'one connection' if count == 1 else f'{count} at once'}",
            metrics=METRICS,
            rows=taken,
            against=AGAINST,
            notes=["The stream after a partial resync, as fast as it goes: faster than a disk takes it."],
        )


@dataclass(frozen=True)
class Source:
    """Where one listens, and the bytes that it sends over each connection."""

    port: int
    size: int


@contextlib.contextmanager
def sending(at_most: int, value_size: int = VALUE_SIZE, rate: int = 0) -> Iterator[Source]:
    """A source of as many whole commands as fit; see source.py.

    Faults would hold back the beginning of an incomplete command, and it would never arrive.
    """
    port = free_port()
    size = at_most - at_most % len(set_command(0, value_size))
    with (
        tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as directory,
        Process(helper("source", port, size, value_size, rate), Path(directory) / "source") as process,
    ):
        process.wait_for_listening(port)
        yield Source(port, size)


def measure(peer: Peer, source: Source, connections: int = 1) -> Figures:
    with peer.relaying_to(source.port) as relay, sink.connected(relay.port, connections) as opened:
        before = relay.cpu_seconds()
        seconds = sink.read(opened, source.size)
        after = relay.cpu_seconds()
    gigabytes = connections * source.size / 1e9
    figures = {"gb_per_second": gigabytes / seconds}
    if before is not None and after is not None:
        figures["cpu_seconds_per_gb"] = (after - before) / gigabytes
    return figures
