"""Declaring and parsing the parameters of a fault."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from tap.errors import ConfigError, did_you_mean
from tap.replication.events import Channel, Side
from tap.units import parse_duration, parse_rate, parse_size

SHORTEST = 0.001  # seconds between two firings: the resolution of the event loop's timers


def param(
    parse: Callable[[str], Any], takes: str, does: str, *, default: Any = None, name: str = "", positional: bool = False
) -> Any:
    """A dataclass field that is a parameter of a spec. name: in the spec, where it differs from the field's name."""
    about = {"parse": parse, "takes": takes, "does": does, "name": name, "positional": positional}
    return dataclasses.field(default=default, metadata=about)


def parameters(declared: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a class by their names in a spec."""
    return {field.metadata["name"] or field.name: field for field in dataclasses.fields(declared)}


def one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ConfigError(f"{text!r}; allowed: {', '.join(words)}.{did_you_mean(text, words)}")
        return text

    return parse


def positive(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text) or int(text) == 0:
        raise ConfigError(f"{text!r} is not a number from 1 upwards")
    return int(text)


def some_bytes(text: str) -> int:
    size = parse_size(text)
    if size == 0:
        raise ConfigError(f"{text!r}: at least one byte")
    return size


def port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or not 0 < int(text) < 65536:
        raise ConfigError(f"{text!r} is not a port (1 to 65535)")
    return int(text)


def name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        raise ConfigError(f"{text!r} is not a name: letters, digits, _ . - and at most 64 of them")
    return text


def link(text: str) -> str:
    """A name, or a master's address, which names the links of redirected connections."""
    return text if is_address(text) else name(text)


def is_address(text: str) -> bool:
    """Whether *text* is a numeric address with a port, spelled as the tap spells it."""
    host, _, number = text.rpartition(":")
    try:
        canonical = str(ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return False
    written = f"[{canonical}]" if ":" in canonical else canonical
    return host == written and re.fullmatch(r"\d{1,5}", number) is not None


def line(text: str) -> bytes:
    if not text or text.strip() != text or "\n" in text or "\r" in text:
        raise ConfigError(f"{text!r}: one line, without its end, as '-LOADING Redis is loading the dataset in memory'")
    return raw(text)


def psync(text: str) -> str:
    if not re.fullmatch(r"(\?|\S{1,64}) -?\d{1,19}", text):
        raise ConfigError(f"{text!r}; allowed: a replication ID and an offset, as '? -1'")
    return text


def times(text: str) -> int | None:
    return None if text == "all" else positive(text)


def probability(text: str) -> float:
    try:
        chance = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        chance = -1.0
    if not 0 < chance <= 1:
        raise ConfigError(f"{text!r} is not a probability: above 0 and up to 1, as 0.01, or 1%")
    return chance


def mask(text: str) -> int:
    try:
        bits = int(text, 0)
    except ValueError:
        bits = 0
    if not 0 < bits < 256:
        raise ConfigError(f"{text!r} is not a mask of bits to flip: 0x01 to 0xff")
    return bits


def word(text: str) -> bytes:
    """The name of a command or request, in upper case."""
    if not re.fullmatch(r"[A-Za-z0-9_.|-]{1,48}", text):
        raise ConfigError(f"{text!r} is not the name of a command")
    return text.upper().encode()


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def side(text: str) -> Side | None:
    return {"master": Side.MASTER, "replica": Side.REPLICA, "both": None}[one_of("master", "replica", "both")(text)]


def channel(text: str) -> Channel:
    return Channel(one_of("main", "rdb")(text))


edge = one_of("start", "inside", "end", "byte", "command", "transaction")
phase = one_of("handshake", "waiting", "rdb", "loading", "stream")
duration = parse_duration


def period(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < SHORTEST:
        raise ConfigError(f"{text!r} is too often: {SHORTEST * 1000:g}ms at the least")
    return seconds


size = parse_size
rate = parse_rate
