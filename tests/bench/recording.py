"""Recording: what it costs a long full resync and a round trip, and what compression and redaction add."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.support import ROOT

from . import fullsync, latency, stream
from .pair import Pair, pair
from .peers import TAP, RedisTap, notes, present
from .processes import cpu_seconds, helper
from .results import Figures, Metric, Outcome, Result, Say, take_turns

PEERS = (
    RedisTap(TAP, "--ui", "none"),
    RedisTap("recorded", "--ui", "none", "-w", "{directory}/link.pcapng"),
    RedisTap("compressed", "--ui", "none", "-w", "{directory}/link.pcapng.zst"),
    RedisTap("values redacted", "--ui", "none", "-w", "{directory}/link.pcapng", "--redact", "values"),
    RedisTap("both redacted", "--ui", "none", "-w", "{directory}/link.pcapng", "--redact", "values", "--redact", "keys"),
)
TURN = 100  # round trips between two switches
SETTLE = 5  # of them that do not count

METRICS = (
    Metric("seconds", "wall s", 2, compared=True),
    Metric("relay_cpu_per_million", "CPU s per million", 3, compared=True),
    Metric("relay_cpu_percent_of_master", "% of master's CPU", 1),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    count = 100_000 if quick else 500_000
    with pair() as servers:
        rows = {peer.name: partial(stream.through, peer, servers, count) for peer in present(PEERS)}
        taken = take_turns(rows, 2, say)
    yield Result(
        group="recording",
        about=f"{count:,} pipelined SETs until the replica is level",
        metrics=METRICS,
        rows=taken,
        against=(TAP,),
        notes=notes(PEERS),
    )
    with pair() as servers:
        yield switched(quick, say, servers)
    with fullsync.LARGE.master(quick, say) as servers:
        resyncs = {peer.name: partial(fullsync.measure, peer, servers) for peer in present(PEERS[:2])}
        taken = take_turns(resyncs, 3, say)
        size = servers.rdb_size()
    yield Result(
        group="recording",
        about=fullsync.LARGE.about(quick, size),
        metrics=fullsync.METRICS,
        rows=taken,
        against=(TAP,),
        notes=notes(PEERS[:2]),
    )


def switched(quick: bool, say: Say, servers: Pair) -> Result:
    """A recording adds less to a round trip than the difference between two starts of one relay."""
    starts, turns = (2, 20) if quick else (20, 20)
    rows: dict[str, list[Figures]] = {"not recorded": [], "recorded": []}
    for number in range(1, starts + 1):
        say(f"round {number} of {starts}, switched")
        without, recorded = measure_switched(servers, turns)
        rows["not recorded"].append(without)
        rows["recorded"].append({**recorded, "added_us": recorded["p50_us"] - without["p50_us"]})
    return Result(
        group="recording",
        about=f"SET and WAIT 1 0 through one tap whose recording is switched on and off, {turns * TURN} of each a round",
        metrics=(*latency.METRICS, Metric("added_us", "p50 added, µs", 1)),
        rows=rows,
        against=("not recorded",),
        notes=[
            f"It is switched every {TURN} round trips. Each round is another start of the tap; what was added to p50 is "
            "the difference within one."
        ],
    )


def measure_switched(servers: Pair, turns: int) -> tuple[Figures, Figures]:
    """Without and with a recording, of one start."""
    taken: tuple[list[int], list[int]] = [], []
    spent = [0.0, 0.0]
    with tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as directory:
        command = helper("switched_tap", servers.master.port, Path(directory) / "link.pcapng")
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as tap:
            assert tap.stdin is not None
            assert tap.stdout is not None
            with latency.following(int(tap.stdout.readline()), servers) as client:
                for turn in range(2 * turns):
                    recorded = (turn + 1) // 2 % 2  # 0 1 1 0: neither is always the first
                    tap.stdin.write(f"{recorded}\n")
                    tap.stdin.flush()
                    tap.stdout.readline()
                    for _ in range(SETTLE):
                        latency.round_trip(client)
                    before = cpu_seconds(tap.pid)
                    taken[recorded].extend(latency.round_trip(client) for _ in range(TURN))
                    spent[recorded] += cpu_seconds(tap.pid) - before
            tap.stdin.close()
    return latency.figures(taken[0], spent[0]), latency.figures(taken[1], spent[1])
