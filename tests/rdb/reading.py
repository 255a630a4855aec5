"""Helpers of the RDB tests: the fixtures with their truth, and each reader over a whole RDB."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any
from zlib import crc32

import pytest
from _pytest.mark import ParameterSet

from tap.rdb.jsonl import JsonLines
from tap.rdb.keys import Key, KeyReader
from tap.rdb.parser import Parser
from tap.rdb.problem import Problem
from tests.support import FIXTURES

RDB = FIXTURES / "rdb"

Record = dict[str, Any]


@dataclass(frozen=True)
class Fixture:
    """An RDB and what is known about it, see README.md beside them. raw: the full resync that carried it, or b""."""

    name: str
    data: bytes
    truth: dict[str, Any]
    raw: bytes

    def __repr__(self) -> str:
        return self.name


@cache
def fixtures(origin: str) -> list[Fixture]:
    """The fixtures of one origin: "server", "crafted" or "corrupt"."""
    found = []
    for path in sorted(RDB.glob("*.json")):
        truth = json.loads(path.read_text())
        if truth["origin"] == origin:
            raw = path.with_suffix(".raw")
            data = path.with_suffix(".rdb").read_bytes()
            found.append(Fixture(path.stem, data, truth, raw.read_bytes() if raw.exists() else b""))
    return found


# Eight servers wrote the same data. Those of the first line, the oldest and the newest of their kind, are always read; of
# the second line, one for each kind of data, for its bytes seldom differ from those of its neighbours.
ALWAYS = ("redis-6.2.14", "redis-8.0.6", "valkey-9.1.2")
IN_TURN = ("redis-7.0.15", "redis-7.9", "redis-8.0.2", "valkey-8.0.1", "valkey-8.1.1")


def is_enough(name: str) -> bool:
    """Whether `make test` reads this fixture where every one is read with -m slow."""
    for number, server in enumerate(IN_TURN):
        if name.startswith(f"{server}-"):
            return crc32(name.removeprefix(server).encode()) % len(IN_TURN) == number
    return True


def enough(found: Iterable[Any], name: Callable[[Any], str] = repr, *, every: int = 1) -> list[Any]:
    """As parameters: all of them, marked slow but for one in *every* of those that are enough."""
    numbers = itertools.count()
    return [
        one if is_enough(name(one)) and next(numbers) % every == 0 else pytest.param(one, marks=pytest.mark.slow)
        for one in found
    ]


AT_ONCE = 20  # fixtures of one test: pytest's own work for a test costs as much as reading a small RDB


def for_each(found: Iterable[Any], name: Callable[[Any], str] = repr) -> Callable[[Callable[[Any], None]], Any]:
    """As parametrize() with one parameter, but a test of pytest takes AT_ONCE values.

    Of a batch every value is tried, and each one that fails is in the ExceptionGroup with its name.
    """
    quick, slow = [], []
    for one in found:
        if isinstance(one, ParameterSet):
            slow.append(one.values[0])
        else:
            quick.append(one)

    def decorated(test: Callable[[Any], None]) -> Any:
        @wraps(test)
        def of_batch(batch: list[Any]) -> None:
            failed = []
            for value in batch:
                try:
                    test(value)
                except Exception as error:
                    error.add_note(f"with {name(value)}")
                    failed.append(error)
            if failed:
                raise ExceptionGroup(f"{len(failed)} of {len(batch)} fixtures fail", failed)

        del of_batch.__wrapped__  # pytest would take its parameters for fixtures
        batches = [pytest.param(one, id=f"from {name(one[0])} on") for one in batched(quick)]
        batches += [
            pytest.param(one, id=f"from {name(one[0])} on, slow", marks=pytest.mark.slow) for one in batched(slow)
        ]
        return pytest.mark.parametrize("batch", batches)(of_batch)

    return decorated


def batched(values: list[Any]) -> list[list[Any]]:
    return [values[begin : begin + AT_ONCE] for begin in range(0, len(values), AT_ONCE)]


def fed(parser: Parser, data: bytes, step: int = 0) -> Problem | None:
    """Feed all of it, this many bytes at a time or, for 0, at once. Returns what is wrong."""
    for begin in range(0, len(data), step or len(data) or 1):
        parser.feed(data[begin : begin + (step or len(data))])
    return parser.close()


def json_bytes(data: bytes, step: int = 0) -> bytes:
    """The lines of a sound RDB, as they are written."""
    out = bytearray()
    reader = JsonLines(out.extend)
    assert fed(Parser(reader, values=True), data, step) is None
    reader.close()
    assert out.count(b"\n") == reader.records
    return bytes(out)


def json_lines(data: bytes, step: int = 0) -> list[Record]:
    """The lines of a sound RDB."""
    return [json.loads(line) for line in json_bytes(data, step).splitlines()]


def keys(data: bytes, step: int = 0) -> list[Key]:
    """The records of a sound RDB."""
    found: list[Key] = []
    assert fed(Parser(KeyReader(found.extend)), data, step) is None
    return found


def as_bytes(value: Any) -> bytes:
    """A byte string from JSON."""
    return value.encode() if isinstance(value, str) else base64.b64decode(value["b64"])


def expanded(value: Any) -> Any:
    """The truth with its short forms for long runs expanded."""
    if isinstance(value, list):
        return [expanded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "repeat" in value:
        return value["repeat"] * value["count"]
    if "rle" in value:
        return [expanded(item) for item, count in value["rle"] for _ in range(count)]
    if "int_range" in value:
        first, last = value["int_range"]
        return [str(number) for number in range(first, last + 1)]
    return {name: expanded(item) for name, item in value.items()}


def in_order(logical: str, value: Any) -> Any:
    """In the order of the truth: unordered values sorted; of a sorted set, an RDB may begin at either end."""
    return sorted(value, key=json.dumps) if logical in ("set", "hash", "zset") else value
