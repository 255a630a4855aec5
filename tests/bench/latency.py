"""Latency: how long a client of the master waits until a write has reached the replica."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from functools import partial

from .commands import VALUE, packed
from .pair import Pair, pair
from .peers import AGAINST, Peer, Relay, present
from .results import Figures, Metric, Outcome, Result, Say, take_turns

WARM_UP = 200  # round trips that do not count
WITHIN = 30.0  # seconds for anything that should be immediate

# In one write, so that a round trip of the client costs nothing beside that of the replica.
REQUEST = packed("SET", "latency", VALUE) + packed("WAIT", "1", "0")
REPLY = b"+OK\r\n:1\r\n"

PERCENTILES = {"p50_us": 0.5, "p99_us": 0.99, "p99.9_us": 0.999}
METRICS = (
    *(Metric(key, key.replace("_us", " µs"), 0, compared=key != "p99.9_us") for key in PERCENTILES),
    Metric("relay_cpu_us", "relay CPU µs each", 1, compared=True),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    count = 1_000 if quick else 2_000
    with pair() as servers:

        def through(peer: Peer) -> Figures:
            with peer.relaying_to(servers.master.port) as relay:
                return measure(relay, servers, count)

        rows = {peer.name: partial(through, peer) for peer in present()}
        # many short rounds: which processes share a core changes with each start, and the times with it
        taken = take_turns(rows, 2 if quick else 12, say)
    yield Result(
        group="latency",
        about=f"SET and WAIT 1 0 in one round trip, {count} of them a round",
        metrics=METRICS,
        rows=taken,
        against=AGAINST,
    )


def measure(relay: Relay, servers: Pair, count: int) -> Figures:
    with following(relay.port, servers) as client:
        before = relay.cpu_seconds()
        taken = [round_trip(client) for _ in range(count)]
        after = relay.cpu_seconds()
    return figures(taken, None if before is None or after is None else after - before)


@contextlib.contextmanager
def following(port: int, servers: Pair) -> Iterator[socket.socket]:
    """A client of the master whose replica is level through the relay on that port, both warm."""
    servers.follow(port)
    servers.level(WITHIN)
    with socket.create_connection(("127.0.0.1", servers.master.port), WITHIN) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(WARM_UP):
            round_trip(client)
        yield client


def figures(taken: list[int], cpu_seconds: float | None) -> Figures:
    """Of round trips, in nanoseconds, and of what the relay spent on all of them."""
    ordered = sorted(taken)
    found = {key: ordered[int(share * len(ordered))] / 1000 for key, share in PERCENTILES.items()}
    if cpu_seconds is not None:
        found["relay_cpu_us"] = cpu_seconds * 1e6 / len(taken)
    return found


def round_trip(client: socket.socket) -> int:
    """Nanoseconds."""
    begin = time.perf_counter_ns()
    client.sendall(REQUEST)
    reply = client.recv(1024)
    while len(reply) < len(REPLY):
        reply += client.recv(1024)
    end = time.perf_counter_ns()
    assert reply == REPLY, reply
    return end - begin
