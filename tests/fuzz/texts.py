"""Texts that people write: faults, configuration, scenarios, addresses, moments, sizes; and texts of servers."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tap import faults
from tap.cli.choosing import dbs_of, several
from tap.config import config
from tap.config.file import load
from tap.config.link_config import listening
from tap.errors import ConfigError, TapError
from tap.glob import matcher
from tap.recording import moments
from tap.recording.moments import Length
from tap.scenario.load import load as load_scenario
from tap.units import parse_duration, parse_rate, parse_size
from tap.url import Address, Url, without_logins
from tests.fuzz.mutate import DEPTHS, lines, text
from tests.support import ROOT

FAULTS = [
    "cut at=rdb:50% mode=reset",
    "cut at=offset:+100kb edge=byte",
    "stall 10s from=master at=stream",
    "delay 100ms jitter=20ms",
    "throttle 1mb/s for=1m",
    "slice 1b",
    "drop match=REPLCONF:ACK times=3",
    "duplicate match=SET",
    "corrupt bits=0xff at=rdb:10kb times=2 probability=10%",
    "truncate 5b at=stream:100",
    "answer '-LOADING x' to=PSYNC",
    "rewrite psync='? -1'",
    "rewrite ack=+100",
    "refuse times=3 after=1s every=10s",
    "reorder at=stream:5",
    "cut link=main,other name=x",
]
URLS = [
    "redis://user:pass@10.0.0.1:6379/3?ssl_ca_certs=/x",
    "rediss://[::1]:6380/0?cacert=/tmp/a&sni=x&insecure=yes",
    "unix:///tmp/redis.sock?db=2",
    "127.0.0.1:6379",
    "[fd00::5%eth0]:6380",
    ":6379",
    "6379",
    "valkeys://h",
    "tcp://a:1",
    "/tmp/x",
    "redis://:p%40ss@h:1/0?db=1&socket_timeout=5",
    "*:6379",
    "main=127.0.0.1:1->h:2",
]
VALUES = [
    "10mb",
    "1.5kb",
    "100kb/s",
    "30s",
    "2h",
    "7d",
    "500ms",
    "-10m",
    "12:00",
    "2026-01-31T12:00:00",
    "2026-01-31T12:00:00+01:00",
    "123456789",
    "1gb,10m",
    "0,3",
    "user:*",
]
CONFIGS = [
    'ui = "log"\nduration = "10m"\nfaults = ["cut at=rdb:50%"]\nseed = 7\nrecord_rotate = ["1gb", "10m"]\n'
    '[links.orders]\nmaster = "127.0.0.1:6379"\nlisten = "127.0.0.1:0"\n',
    '[links.a]\nmaster = "rediss://h:1"\ncacert = "/x"\nmask = ["capa:eof"]\n'
    '[links.b]\ntransparent = true\nlisten = "*:1"\n',
    'links = {a = {master = "h:1"}}\nmask = ["capa:psync2"]\nconnect_timeout = "3s"\nstatsd = "127.0.0.1"\n',
]


@cache
def _scenarios() -> list[str]:
    return [path.read_text() for path in sorted((ROOT / "tap/scenario/library").glob("*.toml"))]


def fault(rng: random.Random) -> str:
    return text(rng.choice(FAULTS), rng, FAULTS)


def url(rng: random.Random) -> str:
    return text(rng.choice(URLS), rng, URLS)


def value(rng: random.Random) -> str:
    return text(rng.choice(VALUES), rng, VALUES)


def _nested(rng: random.Random) -> str:
    depth = rng.choice(DEPTHS)
    return rng.choice(
        [
            f"x = {'[' * depth}",
            f"x = {'[' * depth}{']' * depth}\n",
            "x = " + "{a=" * depth,
            "a." * depth + "b = 1\n",
            f"[{'a.' * depth}b]\n",
            f"[[{'a.' * depth}b]]\n",
            f"x = {'9' * depth}\n",
        ]
    )


def toml(seeds: Callable[[], list[str]]) -> Callable[[random.Random], str]:
    def make(rng: random.Random) -> str:
        made = lines(rng.choice(seeds()), rng, seeds())
        return rng.choice([_nested(rng) + made, made + _nested(rng)]) if rng.random() < 0.1 else made

    return make


config_file = toml(lambda: CONFIGS)
scenario_file = toml(_scenarios)


def _said(read: Callable[[], Any], given: str) -> Iterator[str]:
    """A TapError of one line, not much longer than the input; or nothing."""
    try:
        read()
    except TapError as error:
        said = str(error)
        if not said or ("\n" in said and "\n" not in given):  # what is quoted, the console escapes
            yield f"not one line: {said[:300]!r}"
        if len(said) > 5000 + 10 * len(given):  # what is quoted has up to ten characters for one
            yield f"{len(said)} characters in an error: {said[:300]!r}"


def fault_complaints(given: str, rng: random.Random) -> Iterator[str]:
    def read() -> None:
        found = faults.parse(given)
        if faults.parse(found.spec) != found:
            raise AssertionError(f"{found.spec!r} is another fault")

    yield from _said(read, given)


def url_complaints(given: str, rng: random.Random) -> Iterator[str]:
    yield from _said(lambda: str(Url.parse(given)), given)
    yield from _said(lambda: str(Address.parse(given)), given)
    yield from _said(lambda: listening(given), given)
    yield from _said(lambda: config.statsd_address(given), given)
    yield from _said(lambda: config.Config(links=given), given)
    without_logins(given, given.split())


def value_complaints(given: str, rng: random.Random) -> Iterator[str]:
    whole = Length(10**18, 10**18 + 10**13)
    for read in (parse_size, parse_rate, parse_duration):
        yield from _said(lambda read=read: read(given), given)  # type: ignore[misc]
    yield from _said(lambda: moments.parse(given, lambda: whole), given)
    yield from _said(lambda: dbs_of([given]), given)
    yield from _said(lambda: several("--link", [given]), given)
    yield from _said(lambda: config.Config(links="h:1", record_rotate=given, record_to="/tmp/x.pcapng"), given)
    yield from _said(lambda: config.Config(links="h:1", duration=given), given)
    yield from _said(lambda: config.Config(links="h:1", mask=given), given)
    matcher(given.encode("utf-8", "surrogateescape"))(b"user:" + b"a" * 50)


def file_complaints(load: Callable[[Path], Any]) -> Callable[[str, random.Random], Iterator[str]]:
    def complaints(given: str, rng: random.Random) -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
            path = Path(directory) / "in.toml"
            path.write_bytes(given.encode("utf-8", "surrogateescape"))
            yield from _said(lambda: load(path), given)

    return complaints


config_complaints = file_complaints(load)
scenario_complaints = file_complaints(load_scenario)
__all__ = ["ConfigError"]
