"""Recording: what it costs a long full resync, and what compression and redaction add."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from . import fullsync, stream
from .pair import pair
from .peers import TAP, RedisTap, notes, present
from .results import Metric, Outcome, Result, Say, take_turns

PEERS = (
    RedisTap(TAP, "--ui", "none"),
    RedisTap("recorded", "--ui", "none", "-w", "{directory}/link.pcapng"),
    RedisTap("compressed", "--ui", "none", "-w", "{directory}/link.pcapng.zst"),
    RedisTap("values redacted", "--ui", "none", "-w", "{directory}/link.pcapng", "--redact", "values"),
    RedisTap("both redacted", "--ui", "none", "-w", "{directory}/link.pcapng", "--redact", "values", "--redact", "keys"),
)
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
