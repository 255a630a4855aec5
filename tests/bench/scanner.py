"""Scanner: how many commands of a stream one process can split and count in a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import hiredis

from tap.replication import scanner
from tests.support import uncompiled_scanner

from .commands import VALUE, packed, set_command
from .results import Figures, Metric, Outcome, Result, Say, take_turns

CHUNK = 64 * 1024

METRICS = (
    Metric("sets", "SET only, million/s", 2, compared=True),
    Metric("mix", "SET INCR HSET ZADD, million/s", 2, compared=True),
)


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    count = 100_000 if quick else 500_000
    streams = {"sets": only_sets(count), "mix": mix(count)}
    rows: dict[str, Callable[[], Figures]] = {"hiredis": partial(measure, parse, streams, count)}
    if scanner.COMPILED:
        rows["scanner, compiled"] = partial(measure, partial(scan, scanner.StreamScanner), streams, count)
    rows["scanner, not compiled"] = partial(measure, partial(scan, uncompiled_scanner()), streams, count)
    sizes = " and ".join(f"{len(stream) / count:.0f}" for stream in streams.values())
    yield Result(
        group="scanner",
        about=f"commands told apart and counted, {count} a round, fed in chunks of {CHUNK // 1024} KiB",
        metrics=METRICS,
        rows=take_turns(rows, 2 if quick else 5, say),
        against=("hiredis",),
        notes=[
            f"A command has {sizes} bytes on average. hiredis: Reader.feed and gets, which make objects of all "
            "arguments; the scanner keeps counts and bytes by name.",
            *([] if scanner.COMPILED else ["The compiled scanner is left out: there was no C compiler when installing."]),
        ],
    )


def only_sets(count: int) -> bytes:
    return b"".join(map(set_command, range(count)))


def mix(count: int) -> bytes:
    """As an application might write: values, counters, hashes and sorted sets in turn."""

    def four(number: int) -> bytes:
        return b"".join(
            (
                packed("SET", f"key:{number:012}", VALUE),
                packed("INCR", f"hits:{number % 1000}"),
                packed("HSET", f"user:{number}", "name", f"name of {number}", "seen", str(number)),
                packed("ZADD", "ranking", str(number), f"user:{number}"),
            )
        )

    return b"".join(map(four, range(count // 4)))


def measure(read: Callable[[list[memoryview]], int], streams: dict[str, bytes], count: int) -> Figures:
    figures = {}
    for key, stream in streams.items():
        view = memoryview(stream)
        chunks = [view[at : at + CHUNK] for at in range(0, len(view), CHUNK)]
        begin = time.perf_counter()
        found = read(chunks)
        seconds = time.perf_counter() - begin
        assert found == count, f"{found} commands found where {count} are"
        figures[key] = count / 1e6 / seconds
    return figures


def scan(kind: type[scanner.StreamScanner], chunks: list[memoryview]) -> int:
    reader = kind()
    for chunk in chunks:
        reader.feed(chunk)
    return sum(commands for commands, _ in reader.take().values())


def parse(chunks: list[memoryview]) -> int:
    reader = hiredis.Reader()
    found = 0
    for chunk in chunks:
        reader.feed(chunk)  # type: ignore[arg-type]  # takes any buffer, its stub does not say so
        while reader.gets() is not False:
            found += 1
    return found
