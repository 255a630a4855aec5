"""Full resync: from REPLICAOF until a data set has been sent, loaded, and the replica is level."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from .pair import Pair, pair
from .peers import AGAINST, Peer, present
from .results import Figures, Metric, Outcome, Result, Say, take_turns

WITHIN = 120.0  # seconds for one full resync
QUICK = 20  # times smaller


@dataclass(frozen=True)
class DataSet:
    """big_value: bytes of one more value, if any."""

    keys: int
    value_size: int
    big_value: int = 0

    @contextlib.contextmanager
    def master(self, quick: bool, say: Say) -> Iterator[Pair]:
        """A pair whose master holds this data set."""
        # DEBUG POPULATE pads its values with zeros: compressed, next to nothing would be sent.
        with pair("rdbcompression", "no") as servers:
            say("filling the master")
            scale = QUICK if quick else 1
            servers.populate(self.keys // scale, self.value_size)
            if self.big_value:
                servers.populate(1, self.big_value // scale, "big")
            yield servers

    def about(self, quick: bool, size: int) -> str:
        scale = QUICK if quick else 1
        beside = f", one of {self.big_value // scale / 2**20:.0f} MiB" if self.big_value else ""
        return f"full resync of {size / 1e6:,.0f} MB, {self.keys // scale:,} keys{beside}, loaded and level"


SMALL = DataSet(keys=1_000_000, value_size=236)  # makes 250 MB, names and lengths included
LARGE = DataSet(keys=24 * 1024, value_size=64 * 1024, big_value=512 * 2**20)
ROUNDS = {SMALL: 2, LARGE: 1}

METRICS = (
    Metric("seconds", "wall s", 2, compared=True),
    Metric("relay_cpu_seconds", "relay CPU s", 3, compared=True),
    Metric("cpu_seconds_per_gb", "CPU s/GB", 3),
    Metric("relay_peak_mib", "relay peak MiB", 1, compared=True),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    for data, rounds in ROUNDS.items():
        with data.master(quick, say) as servers:
            rows = {peer.name: partial(measure, peer, servers) for peer in present()}
            taken = take_turns(rows, rounds, say)
            size = servers.rdb_size()
        yield Result(
            group="fullsync",
            about=data.about(quick, size),
            metrics=METRICS,
            rows=taken,
            against=AGAINST,
        )


def measure(peer: Peer, servers: Pair) -> Figures:
    servers.forget()
    resyncs = servers.full_resyncs()
    with peer.relaying_to(servers.master.port) as relay:
        before = relay.cpu_seconds()
        begin = time.perf_counter()
        servers.follow(relay.port)
        servers.level(WITHIN)
        figures = {"seconds": time.perf_counter() - begin}
        after, peak = relay.cpu_seconds(), relay.peak_memory()
    assert servers.full_resyncs() == resyncs + 1, "this was no full resync, or more than one"
    if before is not None and after is not None and peak is not None:
        figures["relay_cpu_seconds"] = after - before
        figures["cpu_seconds_per_gb"] = (after - before) / (servers.rdb_size() / 1e9)
        figures["relay_peak_mib"] = peak / 2**20
    return figures
