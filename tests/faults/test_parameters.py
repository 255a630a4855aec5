"""The values of a fault's parameters: the first and the last that is allowed, and draws between them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tap.errors import ConfigError
from tap.faults import parameters
from tap.replication.events import Channel, Side


@pytest.mark.parametrize(
    ("parse", "allowed", "refused"),
    [
        (parameters.positive, {"1": 1, "9" * 18: 10**18 - 1}, ["0", "-1", "", "1.5", "1" * 19, "x"]),
        (parameters.some_bytes, {"1b": 1, "2kb": 2048}, ["0b", "0"]),
        (parameters.port, {"1": 1, "65535": 65535}, ["0", "65536", "-1", "", "100000", "x"]),
        (parameters.name, {"a": "a", "A-z_0.9": "A-z_0.9", "x" * 64: "x" * 64}, ["", "x" * 65, "a b", "a/b"]),
        (parameters.times, {"all": None, "3": 3}, ["0", "al"]),
        (parameters.probability, {"1": 1.0, "0.01": 0.01, "1%": 0.01, "100%": 1.0, "50%": 0.5},
         ["0", "0%", "1.01", "101%", "-1", "x", ""]),
        (parameters.mask, {"1": 1, "0x01": 1, "0xff": 255, "255": 255}, ["0", "256", "0x100", "-1", "x"]),
        (parameters.word, {"set": b"SET", "x" * 48: b"X" * 48, "json.set": b"JSON.SET"}, ["", "x" * 49, "a b"]),
        (parameters.line, {"+OK": b"+OK", "-ERR a b": b"-ERR a b"}, ["", " +OK", "+OK ", "a\nb", "a\rb"]),
        (parameters.psync, {"? -1": "? -1", "abc 12": "abc 12", "x" * 64 + " 1": "x" * 64 + " 1"},
         ["", "?", "? x", "x" * 65 + " 1", "? " + "1" * 20]),
        (parameters.side, {"master": Side.MASTER, "replica": Side.REPLICA, "both": None}, ["neither", ""]),
        (parameters.channel, {"main": Channel.MAIN, "rdb": Channel.RDB}, ["both"]),
        (parameters.period, {"1ms": 0.001, "2s": 2.0}, ["0", "0.9ms"]),
        (parameters.raw, {"a": b"a", "\udcff": b"\xff"}, []),
        (parameters.edge, {one: one for one in ("start", "inside", "end", "byte", "command", "transaction")}, ["middle"]),
        (parameters.phase, {one: one for one in ("handshake", "waiting", "rdb", "loading", "stream")}, ["connect"]),
        (parameters.link, {"eu": "eu", "10.0.0.5:6379": "10.0.0.5:6379"}, ["a b", "10.0.0.5:x"]),
    ],
)  # fmt: skip
def test_the_first_and_the_last_value_are_accepted(
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
def test_an_address_is_spelled_as_the_tap_spells_it(text: str, is_one: bool) -> None:
    assert parameters.is_address(text) == is_one
