"""Faults: what it costs to have them armed and idle, and how exact delay and throttle are."""

from __future__ import annotations

import dataclasses
import socket
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tap import Address, Config, LinkConfig
from tap.servers.embedded import free_port
from tests.support import TapThread

from .peers import PEERS, Peer
from .processes import Process, helper
from .relay import ORDINARY, REPLICA, measure
from .results import Figures, Metric, Result, Say, take_turns

NONE = "no fault"
FAR = "cut at=offset:999999999999"
ARMED = {
    NONE: (),
    "cut far away": (FAR,),
    "drop command=NOSUCHCMD": ("drop command=NOSUCHCMD",),
    "drop command=SET key='nosuch:*'": ("drop command=SET key='nosuch:*'",),
    "100 of them": tuple(
        spec
        for number in range(50)
        for spec in (f"cut at=offset:{999999999999 - number}", f"drop command=NOSUCH{number}")
    ),
}

LATENCY = 0.2  # seconds
PROBES = 200
RATE = 2**20  # bytes per second

METRICS = (
    Metric("plain_gb_per_second", "relay, GB/s", 2, compared=True),
    Metric("gb_per_second", "stream, GB/s", 3, compared=True),
    Metric("cpu_seconds_per_gb", "stream, CPU s/GB", 2, compared=True),
    Metric("delay_ms", "delay, median ms", 2),
    Metric("delay_worst_ms", "worst ms", 2),
    Metric("rate_percent", "% of the rate", 2),
)


def run(quick: bool, say: Say) -> Result:
    size = (128 if quick else 1024) * 2**20
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as directory:
        log = Path(directory) / "sink"
        with Process(helper("source", port, size), Path(directory) / "source") as source:
            source.wait_for_listening(port)
            rows: dict[str, Callable[[], Figures]] = {
                name: partial(both, with_faults(*specs), port, size, log) for name, specs in ARMED.items()
            }
            taken = take_turns(rows, 2 if quick else 5, say)
    say("delay 200ms")
    taken["delay 200ms"] = [delayed(20 if quick else PROBES)]
    say("throttle 1mb/s")
    taken["throttle 1mb/s"] = [throttled(5 if quick else 20)]
    return Result(
        group="faults",
        about=f"faults armed that never fire, {size / 2**30:g} GiB a round; delay and throttle as the replica sees them",
        metrics=METRICS,
        rows=taken,
        against=(NONE,),
        notes=[
            "relay: an ordinary client's connection; stream: the same bytes after a partial resync, SET commands only.",
            f"100 of them: half of them as {FAR}, half as drop command=NOSUCHCMD, each with a number of its own.",
            "delay: from the master's send to the replica's receive, for pieces in order, some 10 ms apart; removed "
            "halfway through the last ones, and nothing was lost. throttle: over 20 s, behind the first second.",
        ],
    )


def with_faults(*specs: str) -> Peer:
    """redis-tap with these armed."""
    plain = PEERS["redis-tap"]
    arguments = [word for spec in specs for word in ("--fault", spec)]
    return dataclasses.replace(plain, command=lambda *where: [*plain.command(*where), *arguments])


def both(peer: Peer, port: int, size: int, log: Path) -> Figures:
    plain = measure(peer, port, size, ORDINARY, log)
    return {"plain_gb_per_second": plain["gb_per_second"], **measure(peer, port, size, REPLICA, log)}


# ---- delay and throttle, as the replica sees them ----

PIECE = struct.Struct("!Id")  # number, and when it was sent


class _Ends:
    """A made-up master and replica with a tap between them."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        link = LinkConfig(master=Address("127.0.0.1", self.listener.getsockname()[1]))
        self.tap = TapThread(Config(links=(link,)))

    def __enter__(self) -> _Ends:
        self.tap.__enter__()
        self.replica = socket.create_connection(("127.0.0.1", self.tap.port))
        self.master = self.listener.accept()[0]
        self.master.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    def __exit__(self, *_: object) -> None:
        self.replica.close()
        self.master.close()
        self.listener.close()
        self.tap.__exit__()


def delayed(probes: int) -> Figures:
    with _Ends() as ends:
        faults = ends.tap.tap.faults
        ends.tap.call(lambda: faults.add("delay 200ms from=master name=delay"))
        late: list[float] = []

        def send() -> None:
            for number in range(2 * probes):
                ends.master.sendall(PIECE.pack(number, time.perf_counter()))
                time.sleep(0.01)
                if number == probes + probes // 2:
                    ends.tap.call(lambda: faults.remove("delay"))

        sender = threading.Thread(target=send)
        sender.start()
        for expected in range(2 * probes):
            number, sent = PIECE.unpack(ends.replica.recv(PIECE.size, socket.MSG_WAITALL))
            assert number == expected, f"piece {number} came where {expected} was due"
            if number < probes:
                late.append(time.perf_counter() - sent)
        sender.join()
    return {"delay_ms": 1000 * statistics.median(late), "delay_worst_ms": 1000 * max(late)}


def throttled(seconds: int) -> Figures:
    with _Ends() as ends:
        ends.tap.call(lambda: ends.tap.tap.faults.add("throttle 1mb/s from=master"))

        def send() -> None:
            data = bytes(2**16)
            try:
                while True:
                    ends.master.sendall(data)
            except OSError:
                return

        sender = threading.Thread(target=send)
        sender.start()
        received = 0
        begin = time.perf_counter()
        counted_from, counted = 0.0, 0
        while (now := time.perf_counter() - begin) < seconds + 1:
            received += len(ends.replica.recv(65536))
            if now >= 1 and not counted_from:
                counted_from, counted = time.perf_counter() - begin, received
        spent = time.perf_counter() - begin - counted_from
        ends.replica.close()
        ends.master.shutdown(socket.SHUT_RDWR)
        sender.join()
    return {"rate_percent": 100 * (received - counted) / spent / RATE}
