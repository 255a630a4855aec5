"""What clients of the API cost a link: many that watch, and many that change links and faults.

Two starts of one tap differ by more than that, so the clients connect and disconnect while one tap runs.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tap.servers.embedded import free_port
from tests.support import ROOT

from . import api_clients, latency, sink, stream
from .pair import Pair, pair
from .peers import Relay
from .processes import Process, helper
from .relay import sending
from .results import Figures, Metric, Outcome, Result, Say

ALONE, WATCHED, CONTROLLED = "nobody", "watched", "controlled"
SETTLE = 0.5  # seconds until clients that came or went have done so
SECONDS = 2.0  # of round trips: many short turns, because the machine is noisier than what is measured
IDLE_SECONDS = 1.0  # between two scrapes
LOADED = 9  # links beside the measured one
RATE = 100  # commands a second over each of them; more would keep a core busy with the artificial master's threads
VALUE_SIZE = 10_000

METRICS = (
    *latency.METRICS,
    Metric("per_second", "round trips/s", 0, compared=True),
    Metric("seconds", "SETs, wall s", 2, compared=True),
    Metric("idle_cpu_ms", "idle relay CPU, ms/s", 1),
    Metric("requests_per_second", "requests/s", 0),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    starts, turns, count = (1, 2, 100_000) if quick else (2, 8, 500_000)
    with pair() as servers:
        watched: dict[str, list[Figures]] = {ALONE: [], WATCHED: []}
        for number in range(1, starts + 1):
            say(f"start {number} of {starts}, {WATCHED}")
            api = free_port()
            with running({"main": servers.master.port}, api) as relay:
                take(watched, relay, api, servers, "watchers", [], turns, count)
        yield Result(
            group="watched",
            about=f"{SECONDS:g} s of SET and WAIT 1 0 and {count:,} pipelined SETs, with and without clients that watch",
            metrics=METRICS,
            rows=watched,
            against=(ALONE,),
            notes=[
                f"watched: a scrape of /metrics each second, {api_clients.STREAMS} clients of /v1/events, and the "
                "requests of the page, all from one process with nice 19. In both rows a client connects and leaves each "
                "second.",
                f"{starts} starts of the tap, {turns} turns in each. The goal: a p99 of at most 1.1 times, and SETs of "
                "at most 1.03 times those of nobody.",
            ],
        )
        controlled: dict[str, list[Figures]] = {ALONE: [], CONTROLLED: []}
        names = [f"loaded{number}" for number in range(LOADED)]
        for number in range(1, starts + 1):
            say(f"start {number} of {starts}, {CONTROLLED}")
            api = free_port()
            with sending(10**12, VALUE_SIZE, RATE) as source:
                links = {"main": servers.master.port, **dict.fromkeys(names, source.port)}
                with running(links, api) as relay:
                    take(controlled, relay, api, servers, "controllers", names, turns, 0)
    yield Result(
        group="watched",
        about=f"{SECONDS:g} s of SET and WAIT 1 0 over one link of ten, with and without clients that change the tap",
        metrics=tuple(one for one in METRICS if one.key != "seconds"),
        rows=controlled,
        against=(ALONE,),
        notes=[
            f"controlled: {api_clients.CONTROLLERS} clients, each with a request a second, create, change and delete "
            f"proxies and toxics of their own, and faults on the {LOADED} other links, which carry {RATE} SETs of "
            f"{VALUE_SIZE:,} bytes a second each.",
            "No connection of the ten links was closed.",
        ],
    )


def take(
    rows: dict[str, list[Figures]],
    relay: Relay,
    api: int,
    servers: Pair,
    kind: str,
    links: list[str],
    turns: int,
    count: int,
) -> None:
    """Turns without and with clients of that kind, of one start of the tap. count: of pipelined SETs."""
    alone, together = rows
    command = helper("api_clients", kind, api, relay.port, *links)
    pipe = subprocess.PIPE
    with (
        latency.following(relay.port, servers) as client,
        subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as clients,
    ):
        assert clients.stdin is not None
        assert clients.stdout is not None
        before = replicas(api)
        for turn in range(turns):
            is_watched = (turn + 1) // 2 % 2  # 0 1 1 0: neither is always the first
            begin = time.perf_counter()
            _say(clients, is_watched)
            time.sleep(SETTLE)
            spent = relay.cpu_seconds() or 0.0
            time.sleep(IDLE_SECONDS)
            idle = (relay.cpu_seconds() or 0.0) - spent
            found = {**round_trips(relay, client), "idle_cpu_ms": idle / IDLE_SECONDS * 1000}
            if count:
                found["seconds"] = stream.measure(relay, servers, count)["seconds"]
            requests = _say(clients, 0)
            found["requests_per_second"] = requests / (time.perf_counter() - begin)
            assert bool(requests) == bool(is_watched), f"{requests} requests were answered"
            rows[together if is_watched else alone].append(found)
        after = replicas(api)
        assert after == before, f"a connection of a link was closed: {before} became {after}"
        clients.stdin.close()


def _say(clients: subprocess.Popen[str], state: int) -> int:
    """Let clients come or go; how many requests were answered since the last time."""
    assert clients.stdin is not None
    assert clients.stdout is not None
    clients.stdin.write(f"{state}\n")
    clients.stdin.flush()
    said = clients.stdout.readline()
    assert said.startswith(f"{state} "), f"the clients of the API have ended: {said!r}"
    return int(said.split()[1])


def round_trips(relay: Relay, client: Any) -> Figures:
    before = relay.cpu_seconds() or 0.0
    begin = time.perf_counter()
    taken = []
    while time.perf_counter() - begin < SECONDS:
        taken.append(latency.round_trip(client))
    spent = (relay.cpu_seconds() or 0.0) - before
    return {**latency.figures(taken, spent), "per_second": len(taken) / SECONDS}


@contextlib.contextmanager
def running(links: Mapping[str, int], api: int) -> Iterator[Relay]:
    """A tap with an API and these links, of which the first is to be measured. links: the port of the
    master by name."""
    with tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as name:
        file = Path(name) / "links.toml"
        ports = {link: free_port() for link in links}
        file.write_text(
            "".join(
                f'[links.{link}]\nlisten = "127.0.0.1:{ports[link]}"\nmaster = "127.0.0.1:{master}"\n'
                for link, master in links.items()
            )
        )
        command = [sys.executable, "-m", "tap", "run", "--config", str(file), "--ui", "none", "--api", f"127.0.0.1:{api}"]
        with Process(command, Path(name) / "log") as process, contextlib.ExitStack() as opened:
            for port in (*ports.values(), api):
                process.wait_for_listening(port)
            measured, *others = ports.values()
            for port in others:
                for connection in opened.enter_context(sink.connected(port, 1)):
                    connection.sendall(sink.ACK)
                    threading.Thread(target=_drain, args=(connection,), daemon=True).start()
            yield Relay(measured, process)


def _drain(connection: Any) -> None:
    with contextlib.suppress(OSError):
        while connection.recv(sink.BUFFER_SIZE):
            pass


def replicas(api: int) -> list[tuple[str, int]]:
    """Link and number of all connections with a stream; one that only comes and goes has none."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", api, timeout=latency.WITHIN)) as client:
        client.request("GET", "/v1/links")
        links = json.load(client.getresponse())["links"]
    return sorted(
        (one["link"], one["number"]) for link in links for one in link["connections"] if one["phase"] == "stream"
    )
