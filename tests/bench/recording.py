"""Recording: the same link unrecorded and recorded, under each kind of load."""

from __future__ import annotations

import dataclasses
import tempfile
from functools import partial
from pathlib import Path

from tap.servers.embedded import free_port

from . import fullsync, latency, relay, stream
from .pair import Pair, pair
from .peers import PEERS, Peer
from .processes import Process, helper
from .results import Figures, Metric, Result, Say, take_turns

UNRECORDED = "plain"
ARGUMENTS = {
    UNRECORDED: (),
    "recorded": ("-w", "link.pcapng"),
}
VALUE_SIZE = 236

METRICS = (
    Metric("p50_us", "SET+WAIT p50 µs", 0, compared=True),
    Metric("p99_us", "p99 µs", 0, compared=True),
    Metric("stream_seconds", "SETs, s", 2, compared=True),
    Metric("stream_cpu_seconds", "CPU s per million", 2, compared=True),
    Metric("resync_seconds", "full resync, s", 2, compared=True),
    Metric("gb_per_second", "relay, GB/s", 2, compared=True),
)


def run(quick: bool, say: Say) -> Result:
    sets, keys = (150_000, 100_000) if quick else (1_500_000, 1_000_000)
    size = (128 if quick else 1024) * 2**20
    port = free_port()
    with pair() as written, pair("rdbcompression", "no") as sent, tempfile.TemporaryDirectory() as directory:
        sent.populate(keys, VALUE_SIZE)
        log = Path(directory) / "log"
        with Process(helper("source", port, size), Path(directory) / "source") as source:
            source.wait_for_listening(port)
            rows = {
                name: partial(measure, _recording(arguments), written, sent, sets, (port, size), log)
                for name, arguments in ARGUMENTS.items()
            }
            taken = take_turns(rows, 2 if quick else 5, say)
        rdb_size = sent.rdb_size()
        version = written.master.version
    return Result(
        group="recording",
        about="one link, unrecorded and recorded",
        metrics=METRICS,
        rows=taken,
        against=(UNRECORDED,),
        notes=[
            f"Master and replica: {version}. SETs: {sets} pipelined ones, until the replica is level. "
            f"Full resync: {rdb_size / 1e6:.0f} MB. relay: {size / 2**30:g} GiB of a stream, as fast as it goes: "
            "faster than a disk, so that the recording has gaps.",
        ],
    )


def _recording(arguments: tuple[str, ...]) -> Peer:
    """redis-tap with these; its file is in the directory that goes with the process."""
    plain = PEERS["redis-tap"]

    def command(program: str, port: int, target: int, directory: Path) -> list[str]:
        return [*plain.command(program, port, target, directory), *(_placed(word, directory) for word in arguments)]

    return dataclasses.replace(plain, command=command)


def _placed(word: str, directory: Path) -> str:
    return str(directory / word) if word.startswith("link.") else word


def measure(peer: Peer, written: Pair, sent: Pair, sets: int, source: tuple[int, int], log: Path) -> Figures:
    waited = latency.measure(peer, written, 3000)
    followed = stream.measure(peer, written, sets, log)
    resynced = fullsync.measure(peer, sent)
    relayed = relay.measure(peer, *source, relay.REPLICA, log)
    return {
        "p50_us": waited["p50_us"],
        "p99_us": waited["p99_us"],
        "stream_seconds": followed["seconds"],
        "stream_cpu_seconds": followed["relay_cpu_per_million"],
        "resync_seconds": resynced["seconds"],
        "gb_per_second": relayed["gb_per_second"],
    }
