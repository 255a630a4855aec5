"""Observers: whatever they do, the link should behave as if they were not there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from functools import partial

from . import latency, stream
from .pair import Pair, pair
from .peers import RedisTap, notes
from .results import Figures, Metric, Outcome, Result, Say, take_turns

NOBODY = "nobody"
EVERY_COMMAND = "--commands, nobody"
SLEEPS = ("--script", "tests/bench/sleeping_script.py")
COMPUTES = ("--script", "tests/bench/computing_script.py")
LINES, COLUMNS = 40, 120
COUNT = 6_000  # round trips; the live view draws once or twice meanwhile

METRICS = (
    Metric("seconds", "SETs, wall s", 2, compared=True),
    Metric("relay_cpu_per_million", "relay CPU s per million", 3, compared=True),
    Metric("p50_us", "SET+WAIT p50 µs", 0, compared=True),
    Metric("p99_us", "p99 µs", 0, compared=True),
    Metric("p99.9_us", "p99.9 µs", 0),
    Metric("relay_peak_mib", "relay peak MiB", 1),
)


@contextlib.contextmanager
def terminal(is_read: bool) -> Iterator[int]:
    """A terminal that is not read, as after Ctrl-S: it takes what its buffer holds, then nothing more."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            if select.select([ours], [], [], 0.1)[0]:
                os.read(ours, 65536)

    reader = threading.Thread(target=read)
    if is_read:
        reader.start()
    try:
        yield theirs
    finally:
        if is_read:
            ended.set()
            reader.join()
        os.close(theirs)
        os.close(ours)


@contextlib.contextmanager
def unread_pipe() -> Iterator[int]:
    reading, writing = os.pipe()
    try:
        yield writing
    finally:
        os.close(writing)
        os.close(reading)


Output = Callable[[], contextlib.AbstractContextManager[int | None]]

WATCHED: tuple[tuple[RedisTap, Output], ...] = (
    (RedisTap(NOBODY, "--ui", "none"), contextlib.nullcontext),
    (RedisTap("live view", "--ui", "live"), partial(terminal, is_read=True)),
    (RedisTap("live view, terminal stopped", "--ui", "live"), partial(terminal, is_read=False)),
    (RedisTap("log lines, unread", "--ui", "log"), unread_pipe),
    (RedisTap("StatsD, nobody there", "--ui", "none", "--statsd", "127.0.0.1:9"), contextlib.nullcontext),
    (RedisTap("script that sleeps", "--ui", "none", *SLEEPS), contextlib.nullcontext),
    (RedisTap("script that computes", "--ui", "none", *COMPUTES), contextlib.nullcontext),
    (RedisTap(EVERY_COMMAND, "--ui", "none", "--commands"), contextlib.nullcontext),
    (RedisTap("--commands, JSON lines, unread", "--ui", "json", "--commands"), unread_pipe),
    (RedisTap("--commands, script that sleeps", "--ui", "none", "--commands", *SLEEPS), contextlib.nullcontext),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    count = 100_000 if quick else 300_000
    watched = [peer for peer, _ in WATCHED]
    with pair() as servers:
        rows = {peer.name: partial(measure, peer, output, servers, count) for peer, output in WATCHED if not peer.missing}
        taken = take_turns(rows, 2, say)
    yield Result(
        group="observers",
        about=f"{count:,} pipelined SETs until the replica is level, then {COUNT:,} times SET and WAIT 1 0",
        metrics=METRICS,
        rows=taken,
        against=(NOBODY, EVERY_COMMAND),
        notes=["--commands makes an event of every command for which somebody has room.", *notes(watched)],
    )


def measure(peer: RedisTap, opened: Output, servers: Pair, count: int) -> Figures:
    with opened() as output, peer.relaying_to(servers.master.port, output) as relay:
        # the stream first: it fills what is not read
        written = stream.measure(relay, servers, count)
        waited = latency.measure(relay, servers, COUNT)
        peak = relay.peak_memory()
    assert peak is not None, "every row is a process"
    return {
        **{key: written[key] for key in ("seconds", "relay_cpu_per_million")},
        **{key: waited[key] for key in latency.PERCENTILES},
        "relay_peak_mib": peak / 2**20,
    }
