"""The values of a fault's parameters: the first and the last that is allowed, and what is drawn between them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tap.errors import ConfigError
from tap.faults import values
from tap.faults.values import At
from tap.replication.events import Channel, Side


@pytest.mark.parametrize(
    ("parse", "allowed", "refused"),
    [
        (values.positive, {"1": 1, "9" * 18: 10**18 - 1}, ["0", "-1", "", "1.5", "1" * 19, "x"]),
        (values.some_bytes, {"1b": 1, "2kb": 2048}, ["0b", "0"]),
        (values.port, {"1": 1, "65535": 65535}, ["0", "65536", "-1", "", "100000", "x"]),
        (values.name, {"a": "a", "A-z_0.9": "A-z_0.9", "x" * 64: "x" * 64}, ["", "x" * 65, "a b", "a/b"]),
        (values.times, {"all": None, "3": 3}, ["0", "al"]),
        (values.probability, {"1": 1.0, "0.01": 0.01, "1%": 0.01, "100%": 1.0, "50%": 0.5},
         ["0", "0%", "1.01", "101%", "-1", "x", ""]),
        (values.mask, {"1": 1, "0x01": 1, "0xff": 255, "255": 255}, ["0", "256", "0x100", "-1", "x"]),
        (values.word, {"set": b"SET", "x" * 48: b"X" * 48, "json.set": b"JSON.SET"}, ["", "x" * 49, "a b"]),
        (values.line, {"+OK": b"+OK", "-ERR a b": b"-ERR a b"}, ["", " +OK", "+OK ", "a\nb", "a\rb"]),
        (values.psync, {"? -1": "? -1", "abc 12": "abc 12", "x" * 64 + " 1": "x" * 64 + " 1"},
         ["", "?", "? x", "x" * 65 + " 1", "? " + "1" * 20]),
        (values.side, {"master": Side.MASTER, "replica": Side.REPLICA, "both": None}, ["neither", ""]),
        (values.channel, {"main": Channel.MAIN, "rdb": Channel.RDB}, ["both"]),
        (values.period, {"1ms": 0.001, "2s": 2.0}, ["0", "0.9ms"]),
        (values.raw, {"a": b"a", "\udcff": b"\xff"}, []),
        (values.edge, {one: one for one in ("start", "inside", "end", "byte", "command", "transaction")}, ["middle"]),
        (values.phase, {one: one for one in ("handshake", "waiting", "rdb", "loading", "stream")}, ["connect"]),
        (values.link, {"eu": "eu", "10.0.0.5:6379": "10.0.0.5:6379"}, ["a b", "10.0.0.5:x"]),
    ],
)  # fmt: skip
def test_the_first_and_the_last_that_is_allowed(
    parse: Callable[[str], object], allowed: dict[str, object], refused: list[str]
) -> None:
    assert {text: parse(text) for text in allowed} == allowed
    for text in refused:
        with pytest.raises(ConfigError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("10.0.0.5:6379", True),
        ("[fd00::5]:6379", True),
        ("fd00::5:6379", False),
        ("[10.0.0.5]:6379", False),
        ("10.0.0.5:", False),
        ("10.0.0.5:123456", False),
        ("10.0.0.5", False),
        ("010.0.0.5:1", False),
        ("[FD00::5]:6379", False),  # the tap writes it in lower case
        ("eu:6379", False),
    ],
)
def test_an_address_is_one_as_the_tap_writes_it(text: str, is_one: bool) -> None:
    assert values.is_address(text) == is_one


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("rdb", At("rdb")),
        ("rdb:10b", At("rdb", "bytes", 10, 10)),
        ("rdb:-8b", At("rdb", "bytes", -8, -8)),
        ("rdb:-8b..-2b", At("rdb", "bytes", -8, -2)),
        ("rdb:50%", At("rdb", "percent", 50, 50)),
        ("rdb:0%..100%", At("rdb", "percent", 0, 100)),
        ("rdb:key:3", At("rdb", "key", 3, 3)),
        ("rdb:key:3..9", At("rdb", "key", 3, 9)),
        ("stream:1kb", At("stream", "bytes", 1024, 1024)),
        ("offset:123", At("offset", "absolute", 123, 123)),
        ("offset:1kb", At("offset", "absolute", 1024, 1024)),
        ("offset:+1kb", At("offset", "relative", 1024, 1024)),
        ("offset:+1b..9b", At("offset", "relative", 1, 9)),
        ("offset:+1b..+9b", At("offset", "relative", 1, 9)),
        ("offset:1..9", At("offset", "absolute", 1, 9)),
    ],
)
def test_places(text: str, at: At) -> None:
    assert At.parse(text) == at


@pytest.mark.parametrize(
    "text",
    [
        "", "rbd", "rdb:", "rdb:x", "rdb:100.1%", "rdb:1000%", "rdb:%", "rdb:9b..1b", "rdb:1b..50%", "rdb:key:0",
        "stream:key:1", "stream:-1b", "stream:50%", "offset", "offset:-1", "offset:" + "1" * 20, "ping:1b",
        "offset:1..+9b",
    ],
)  # fmt: skip
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(ConfigError):
        At.parse(text)


def test_a_place_is_drawn_from_all_of_its_range_and_only_from_it() -> None:
    rng = Random(1)
    assert {At.parse("rdb:1b..4b").draw(rng) for _ in range(100)} == {1, 2, 3, 4}
    assert {At.parse("rdb:-3b..-1b").draw(rng) for _ in range(100)} == {-3, -2, -1}
    shares = [At.parse("rdb:10%..20%").draw(rng) for _ in range(200)]
    assert 10 <= min(shares) < 11
    assert 19 < max(shares) <= 20
    assert At.parse("rdb:50%").draw(rng) == 50
