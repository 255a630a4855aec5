"""The values of a fault's parameters: the first and the last that is allowed, and what is drawn between them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tap.errors import ConfigError
from tap.faults import values
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
