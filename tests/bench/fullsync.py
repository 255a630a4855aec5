"""Full resync: from REPLICAOF until a data set has been sent, loaded, and the replica is level."""

from __future__ import annotations

import time
from functools import partial

from .pair import Pair, pair
from .peers import Peer, absent, present, setups
from .results import Figures, Metric, Result, Say, take_turns

NAMES = ("direct", "redis-tap", "haproxy")
VALUE_SIZE = 236  # makes 250 MB of a million keys, names and lengths included
WITHIN = 120.0  # seconds for one full resync

METRICS = (
    Metric("seconds", "wall s", 2, compared=True),
    Metric("relay_cpu_seconds", "relay CPU s", 3, compared=True),
    Metric("relay_peak_mb", "relay peak MB", 1, compared=True),
)


def run(quick: bool, say: Say) -> Result:
    keys = 100_000 if quick else 1_000_000
    # DEBUG POPULATE pads its values with zeros: compressed, next to nothing would be sent.
    with pair("rdbcompression", "no") as servers:
        servers.populate(keys, VALUE_SIZE)
        rows = {name: partial(measure, peer, servers) for name, peer in present(*NAMES).items()}
        taken = take_turns(rows, 2 if quick else 5, say)
        size = servers.rdb_size()
        version = servers.master.version
    return Result(
        group="fullsync",
        about=f"full resync of {size / 1e6:.0f} MB in {keys} keys, until the replica has loaded it and is level",
        metrics=METRICS,
        rows=taken,
        against=("direct", "haproxy"),
        notes=[f"Master and replica: {version}; {setups(*NAMES)}.", *absent(*NAMES)],
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
        figures["relay_peak_mb"] = peak / 1e6
    return figures
