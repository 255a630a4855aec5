"""Faults: how exact delay and throttle are, as the replica sees them. peers.py has what idle ones cost."""

from __future__ import annotations

import socket
import statistics
import struct
import threading
import time
from collections.abc import Iterator

from tap import Address, Config, LinkConfig
from tests.support import TapThread

from .results import Figures, Metric, Outcome, Result, Say

PROBES = 200
RATE = 2**20  # bytes per second
PIECE = struct.Struct("!Id")  # number, and when it was sent

METRICS = (
    Metric("delay_ms", "delay, median ms", 2),
    Metric("delay_worst_ms", "worst ms", 2),
    Metric("rate_percent", "% of the rate", 2),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    seconds = 5 if quick else 10
    say("delay 200ms")
    taken = {"delay 200ms": [delayed(20 if quick else PROBES)]}
    say("throttle 1mb/s")
    taken["throttle 1mb/s"] = [throttled(seconds)]
    yield Result(
        group="faults",
        about="delay and throttle as the replica sees them",
        metrics=METRICS,
        rows=taken,
        against=(),
        notes=[
            "delay: from the master's send to the replica's receive, for pieces in order, some 10 ms apart; removed "
            f"halfway through the last ones, and nothing was lost. throttle: over {seconds} s, behind the first second.",
        ],
    )


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
