"""How cost grows: with links, the size of values, commands per second, faults armed and the length of a recording."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.support import wait_until

from . import relay, sink
from .commands import VALUE_SIZE, set_command
from .peers import IDLE_FAULTS, TAP, Peer, RedisTap
from .processes import cost, memory
from .results import Curve, Figures, Outcome, Say, curves, take_turns

GROUP = "growth"
MIB = 2**20
PLAIN = RedisTap(TAP, "--ui", "none")

LINKS = (1, 10, 100, 1000)
OTHER_LINKS = 100
IDLE_SECONDS = 5  # over which idle links are watched

VALUE_SIZES = tuple(10**power for power in range(1, 9))
MIN_VALUES = 4  # of any size
RATES = tuple(10**power for power in range(2, 7))
RATE_SECONDS = 3  # over which commands come at a rate

FAULTS = (0, 1, 10, 100)

RECORDED = (10**7, 10**8, 10**9)
RECORDED_VALUE = 1000
RECORDED_RATE = 50_000  # commands per second: nothing is to be lost
WITHIN = 60.0  # seconds until all of it is in the file


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    rounds = 1 if quick else 3
    total = (64 if quick else 1024) * MIB
    yield from busy_links(total, rounds, say)
    yield from idle_links(rounds, say)
    yield from value_sizes(total, rounds, say)
    yield from rates(rounds, say)
    yield from faults(total, rounds, say)
    yield from recordings(rounds, say)


def busy_links(total: int, rounds: int, say: Say) -> Iterator[Curve]:
    def measure(links: int) -> Figures:
        with relay.sending(total // links) as source:
            return relay.measure(PLAIN, source, links)

    taken = take_turns({links: partial(measure, links) for links in LINKS}, rounds, say)
    about = f"{total // MIB} MiB in all over busy links"
    yield from curves(GROUP, "links", {"cpu_seconds_per_gb": (about, "relay CPU s/GB", True)}, taken)


def idle_links(rounds: int, say: Say) -> Iterator[Curve]:
    """Replicas without a stream that acknowledge once a second."""

    def measure(links: int) -> Figures:
        with (
            relay.sending(0) as source,
            PLAIN.relaying_to(source.port) as tap,
            # They fill what the process had to spare, so that the others are seen to need more.
            sink.connected(tap.port, OTHER_LINKS),
        ):
            assert tap.process is not None, "it is a process"
            before = memory(tap.process.pid)
            with sink.connected(tap.port, links) as replicas:
                spent = tap.cpu_seconds() or 0.0
                begin = time.perf_counter()
                for second in range(1, IDLE_SECONDS + 1):
                    for replica in replicas:
                        replica.sendall(sink.ACK)
                    time.sleep(max(0.0, begin + second - time.perf_counter()))
                seconds = time.perf_counter() - begin
                return {
                    "cpu": 1e6 * ((tap.cpu_seconds() or 0.0) - spent) / seconds / links,
                    "memory": (memory(tap.process.pid) - before) / 1024 / links,
                }

    taken = take_turns({links: partial(measure, links) for links in LINKS}, rounds, say)
    titles = {
        "cpu": (
            f"idle links beside {OTHER_LINKS} silent ones, acknowledged once a second",
            "relay CPU µs per link and second",
            True,
        ),
        "memory": ("memory of the same", "KiB per link", True),
    }
    yield from curves(GROUP, "links", titles, taken)


def value_sizes(total: int, rounds: int, say: Say) -> Iterator[Curve]:
    kinds: dict[str, tuple[Peer, int]] = {
        "inspected": (PLAIN, total),
        "recorded": (RedisTap("recorded", "--ui", "none", "-w", "{directory}/link.pcapng"), total),
        "with faults armed": (RedisTap("armed", "--ui", "none", *IDLE_FAULTS), total),
        "every command told as JSON": (RedisTap("told", "--ui", "json", "--commands"), total // 32),
    }

    def measure(size: int, peer: Peer, usual: int) -> Figures:
        with relay.sending(max(usual, MIN_VALUES * size), size) as source:
            return relay.measure(peer, source)

    for kind, (peer, usual) in kinds.items():
        taken = take_turns({size: partial(measure, size, peer, usual) for size in VALUE_SIZES}, rounds, say)
        about = f"SET commands by the size of their values, {kind}"
        yield from curves(GROUP, "bytes", {"cpu_seconds_per_gb": (about, "relay CPU s/GB", True)}, taken)


def rates(rounds: int, say: Say) -> Iterator[Curve]:
    command = len(set_command(0))

    def measure(rate: int) -> Figures:
        with relay.sending(rate * RATE_SECONDS * command, VALUE_SIZE, rate) as source:
            figures = relay.measure(PLAIN, source)
        return {"cpu": figures["cpu_seconds_per_gb"] * command / 1e9 * 1e6}

    taken = take_turns({rate: partial(measure, rate) for rate in RATES}, rounds, say)
    title = (f"SET commands at a rate, for {RATE_SECONDS} s", "relay CPU µs per command", True)
    yield from curves(GROUP, "commands/s", {"cpu": title}, taken)


def faults(total: int, rounds: int, say: Say) -> Iterator[Curve]:
    """One half waits for an offset, the other looks at every command; none of them fires."""

    def measure(count: int, source: relay.Source) -> Figures:
        half = count // 2
        specs = [f"cut at=offset:{999999999999 - number}" for number in range(half)]
        specs += [f"drop command=NOSUCH{number}" for number in range(count - half)]
        options = [word for spec in specs for word in ("--fault", spec)]
        return relay.measure(RedisTap(f"{count} faults", "--ui", "none", *options), source)

    with relay.sending(total) as source:
        taken = take_turns({count: partial(measure, count, source) for count in FAULTS}, rounds, say)
    title = ("faults armed that never fire", "relay CPU s/GB", False)
    yield from curves(GROUP, "faults", {"cpu_seconds_per_gb": title}, taken)


def recordings(rounds: int, say: Say) -> Iterator[Curve]:
    taken = take_turns({size: partial(recording, size) for size in RECORDED}, rounds, say)
    titles = {
        "cpu": ("a recording grows", "relay CPU s/GB", True),
        "memory": ("a recording grows, the tap's memory", "relay peak MiB", False),
        "show": ("`show --stats` by the recording's length", "CPU s/GB", True),
        "show_memory": ("`show --stats`, its memory", "peak MiB", False),
        "open": ("`tap.recording.open` and its first event, by the recording's length", "CPU s", False),
    }
    yield from curves(GROUP, "bytes", titles, taken)


FIRST_EVENT = "import sys, tap.recording; next(iter(tap.recording.open(sys.argv[1]).events()))"


def recording(size: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as directory:
        file = Path(directory) / "link.pcapng"
        with (
            relay.sending(size, RECORDED_VALUE, RECORDED_RATE) as source,
            RedisTap("recording", "--ui", "none", "-w", str(file), "--sync", "none").relaying_to(source.port) as tap,
            sink.connected(tap.port, 1) as opened,
        ):
            before = tap.cpu_seconds() or 0.0
            sink.read(opened, source.size)
            wait_until(lambda: file.stat().st_size > source.size, WITHIN, "the recording holds all")
            spent, peak = (tap.cpu_seconds() or 0.0) - before, tap.peak_memory() or 0
        shown, shown_peak = cost([sys.executable, "-m", "tap", "show", "--stats", str(file)])
        opening, _ = cost([sys.executable, "-c", FIRST_EVENT, str(file)])
    gigabytes = source.size / 1e9
    return {
        "cpu": spent / gigabytes,
        "memory": peak / MIB,
        "show": shown / gigabytes,
        "show_memory": shown_peak / MIB,
        "open": opening,
    }
