"""Stream: the cost of following a master that is written to as fast as possible."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from .pair import Pair, benchmark_program, pair
from .peers import AGAINST, Peer, Relay, present
from .processes import Process, cpu_seconds, helper
from .results import Figures, Metric, Outcome, Result, Say, take_turns

WITHIN = 120.0  # seconds for all writes, and for the replica to follow
PIPELINE = 100
CONNECTIONS = 10
KEYS = 100_000

METRICS = (
    Metric("seconds", "wall s", 2, compared=True),
    Metric("relay_cpu_seconds", "relay CPU s", 3),
    Metric("relay_cpu_per_million", "relay CPU s per million", 3, compared=True),
    Metric("relay_cpu_percent_of_master", "% of master's CPU", 1),
    Metric("master_cpu_seconds", "master CPU s", 2),
    Metric("replica_cpu_seconds", "replica CPU s", 2),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    count = 100_000 if quick else 1_000_000
    with pair() as servers:
        rows = {peer.name: partial(through, peer, servers, count) for peer in present()}
        taken = take_turns(rows, 2 if quick else 4, say)
        program = benchmark_program(servers.master)
    yield Result(
        group="stream",
        about=f"{count:,} pipelined SETs (16-byte keys, 64-byte values) until the replica is level",
        metrics=METRICS,
        rows=taken,
        against=AGAINST,
        notes=[f"Written by {program.name if program else 'tests.bench.writer'}."],
    )


def through(peer: Peer, servers: Pair, count: int) -> Figures:
    with peer.relaying_to(servers.master.port) as relay:
        return measure(relay, servers, count)


def write_command(servers: Pair, count: int) -> list[str]:
    """The command of the writing process."""
    program = benchmark_program(servers.master)
    if program is None:
        return helper("writer", servers.master.port, count)
    command = [str(program), "-p", str(servers.master.port), "-t", "set", "-n", str(count), "-d", "64", "-q"]
    return [*command, "-r", str(KEYS), "-P", str(PIPELINE), "-c", str(CONNECTIONS)]


def measure(relay: Relay, servers: Pair, count: int) -> Figures:
    servers.follow(relay.port)
    servers.level(WITHIN)
    resyncs = servers.full_resyncs()
    relay_before = relay.cpu_seconds()
    master_before, replica_before = cpu_seconds(servers.master.pid), cpu_seconds(servers.replica.pid)
    with tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as directory:
        begin = time.perf_counter()
        with Process(write_command(servers, count), Path(directory) / "writer") as writer:
            writer.finish(WITHIN)
        servers.level(WITHIN)
        seconds = time.perf_counter() - begin
    relay_after = relay.cpu_seconds()
    master = cpu_seconds(servers.master.pid) - master_before
    replica = cpu_seconds(servers.replica.pid) - replica_before
    assert servers.full_resyncs() == resyncs, "the link broke during the measurement"
    figures = {"seconds": seconds, "master_cpu_seconds": master, "replica_cpu_seconds": replica}
    if relay_before is not None and relay_after is not None:
        spent = relay_after - relay_before
        figures["relay_cpu_seconds"] = spent
        figures["relay_cpu_per_million"] = spent / (count / 1e6)
        figures["relay_cpu_percent_of_master"] = 100 * spent / master
    return figures
