"""What one link suffers when another link's peer sends the bytes that are most expensive to read.

The same flood passes once through the bystander's own tap and once through a tap beside it: on two cores a flood takes
processor time from everybody, and only the difference between the two is the tap's.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import trustme

from tap.servers.embedded import free_port

from . import latency
from .observers import terminal
from .pair import Pair, pair
from .processes import Process, helper
from .results import Figures, Metric, Outcome, Result, Say, take_turns
from .rude import CROWDS, KINDS

UNDISTURBED = "undisturbed"
SECONDS = 4.0  # of round trips
SLOW = 1_000_000  # bytes a second of the slower flood

METRICS = (
    Metric("p50_us", "SET+WAIT p50 µs", 0, compared=True),
    Metric("p99_ms", "p99 ms", 2),
    Metric("max_ms", "worst ms", 1),
    Metric("per_second", "round trips/s", 0, compared=True),
    Metric("vs_beside", "vs tap beside", 2),
)
FLOODS = (*KINDS, *CROWDS)


def run(quick: bool, say: Say, floods: Sequence[str] = FLOODS) -> Iterator[Outcome]:
    seconds = 1.0 if quick else SECONDS
    with pair() as servers:
        rows = {UNDISTURBED: partial(measure, servers, seconds, "", 0, shared=True)}
        pairs = []
        for kind in floods:
            for rate in (0,) if kind in CROWDS else (0, SLOW):
                speed = "" if kind in CROWDS else " at 1 MB/s" if rate else " at full rate"
                beside, same = f"{kind}{speed}, tap beside", f"{kind}{speed}, same tap"
                pairs.append((beside, same))
                rows[beside] = partial(measure, servers, seconds, kind, rate, shared=False)
                rows[same] = partial(measure, servers, seconds, kind, rate, shared=True)
        taken = take_turns(rows, 1 if quick else 2, say)
    for beside, same in pairs:
        for one, other in zip(taken[same], taken[beside], strict=True):
            one["vs_beside"] = one["per_second"] / other["per_second"]
    yield Result(
        group="bystander",
        about=f"{seconds:g} s of SET and WAIT 1 0 over one link, while a peer of another link floods the tap",
        metrics=METRICS,
        rows=taken,
        against=(UNDISTURBED,),
        notes=["The goal: p99 below 10 ms, and more than half of the round trips through the tap beside the flood's."],
    )


def measure(servers: Pair, seconds: float, kind: str, rate: int, *, shared: bool) -> Figures:
    """Round trips of the pair through a tap. shared: whether the flood passes that one, too."""
    with contextlib.ExitStack() as running:
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="redis-tap-bench-")))
        bystander, rude, master = free_port(), free_port(), free_port()
        links = {"bystander": _link(bystander, servers.master.port), "rude": _link(rude, master)}
        if kind == "half-handshakes":
            links["rude"] += f'listen_cert = "{_certificate(directory)}"\n'
        if shared:
            _run_tap(running, directory / "one.toml", links)
        else:
            _run_tap(running, directory / "one.toml", {"bystander": links["bystander"]})
            _run_tap(running, directory / "other.toml", {"rude": links["rude"]})
        client = running.enter_context(latency.following(bystander, servers))
        if kind:
            flood = running.enter_context(Process(helper("rude", kind, rude, master, rate), directory / "flood"))
            flood.wait_for_listening(master)
        return figures(client, seconds)


def _link(port: int, master: int) -> str:
    return f'listen = "127.0.0.1:{port}"\nmaster = "127.0.0.1:{master}"\n'


def _run_tap(running: contextlib.ExitStack, file: Path, links: dict[str, str]) -> None:
    """With a live view, because that is what a crowd of names costs."""
    file.write_text("".join(f"[links.{name}]\n{lines}" for name, lines in links.items()))
    command = [sys.executable, "-m", "tap", "run", "--config", str(file), "--ui", "live"]
    output = running.enter_context(terminal(is_read=True))
    process = running.enter_context(Process(command, file.with_suffix(".log"), output))
    for lines in links.values():
        process.wait_for_listening(int(lines.split('"')[1].rpartition(":")[2]))


def _certificate(directory: Path) -> Path:
    """Of a CA of its own, with its key in the same file."""
    file = directory / "tap.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(file)
    return file


def figures(client: socket.socket, seconds: float) -> Figures:
    taken = []
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        taken.append(latency.round_trip(client))
    taken.sort()
    return {
        "p50_us": taken[len(taken) // 2] / 1e3,
        "p99_ms": taken[int(0.99 * len(taken))] / 1e6,
        "max_ms": taken[-1] / 1e6,
        "per_second": len(taken) / (time.perf_counter() - begin),
    }
