"""How the parameters of a fault are read, each with what a person is told of it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from random import Random
from typing import Any

from tap.errors import ConfigError, did_you_mean
from tap.replication.events import Channel, Side
from tap.units import parse_duration, parse_rate, parse_size

SHORTEST = 0.001  # seconds between two occasions: what a timer can keep


def param(
    parse: Callable[[str], Any], takes: str, does: str, *, default: Any = None, name: str = "", positional: bool = False
) -> Any:
    """A field of a dataclass that people can write. name: as they write it, where Python's word is another one."""
    about = {"parse": parse, "takes": takes, "does": does, "name": name, "positional": positional}
    return dataclasses.field(default=default, metadata=about)


def one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ConfigError(f"{text!r}; allowed: {', '.join(words)}.{did_you_mean(text, words)}")
        return text

    return parse


def positive(text: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text) or int(text) == 0:
        raise ConfigError(f"{text!r} is no number from 1 on")
    return int(text)


def some_bytes(text: str) -> int:
    size = parse_size(text)
    if size == 0:
        raise ConfigError(f"{text!r}: at least one byte")
    return size


def port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or not 0 < int(text) < 65536:
        raise ConfigError(f"{text!r} is no port (1 to 65535)")
    return int(text)


def name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        raise ConfigError(f"{text!r} is no name: letters, digits, _ . - and at most 64 of them")
    return text


def link(text: str) -> str:
    """A name, or a master's address: links of redirected connections are named by that."""
    return text if is_address(text) else name(text)


def is_address(text: str) -> bool:
    """Whether it is an address in digits with a port, written as the tap writes it."""
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
        raise ConfigError(f"{text!r} is no probability: above 0 and up to 1, as 0.01, or 1%")
    return chance


def mask(text: str) -> int:
    try:
        bits = int(text, 0)
    except ValueError:
        bits = 0
    if not 0 < bits < 256:
        raise ConfigError(f"{text!r} is no mask of bits to flip: 0x01 to 0xff")
    return bits


def word(text: str) -> bytes:
    """A name of a command or request, in upper case."""
    if not re.fullmatch(r"[A-Za-z0-9_.|-]{1,48}", text):
        raise ConfigError(f"{text!r} is no name of a command")
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


# ---- places ----

PLACES = {
    "connect": "as soon as the replica connects",
    "handshake": "at its first request",
    "ping": "before the first PING",
    "auth": "before AUTH",
    "replconf": "before the first REPLCONF",
    "psync": "before PSYNC",
    "waiting": "behind +FULLRESYNC, or SYNC: the replica waits for the RDB",
    "rdb": "at the first byte of the RDB; rdb:50%, rdb:10mb, rdb:-8b (from its end), rdb:key:1000 for others; "
    "with channel=main, when the other connection of a two-connection sync has come there",
    "loading": "behind the RDB's last byte, while the replica loads it",
    "stream": "before the first byte of the stream; stream:1mb behind so much of it, on this connection",
    "transaction": "behind the next MULTI: inside a transaction",
    "offset": "offset:123456 behind the byte with this replication offset; offset:+1mb so many bytes from now, or "
    "from the stream's beginning",
}
REQUESTS = {"ping": b"PING", "auth": b"AUTH", "replconf": b"REPLCONF", "psync": b"PSYNC"}


@dataclass(frozen=True, slots=True)
class At:
    """A place on a connection.

    unit: "" for the place itself, else what low and high count: "bytes" (below 0: from the end), "percent", "key",
    "absolute", "relative". Where low < high, one between them is drawn.
    """

    place: str
    unit: str = ""
    low: float = 0
    high: float = 0

    @classmethod
    def parse(cls, text: str) -> At:
        place, colon, rest = text.partition(":")
        if place not in PLACES:
            raise ConfigError(f"{place!r} is no place; allowed: {', '.join(PLACES)}.{did_you_mean(place, PLACES)}")
        if not colon:
            if place == "offset":
                raise ConfigError("offset needs a number: offset:123456, or offset:+1mb from now on")
            return cls(place)
        if place not in ("rdb", "stream", "offset"):
            raise ConfigError(f"{place} takes nothing behind a colon; only rdb, stream and offset do")
        unit, rest = ("key", rest.removeprefix("key:")) if rest.startswith("key:") else ("", rest)
        if unit and place != "rdb":
            raise ConfigError(f"{text!r}: keys are counted in the RDB only, as rdb:key:1000")
        low, dots, high = rest.partition("..")
        if low.startswith("+") and dots and not high.startswith("+"):
            high = f"+{high}"  # both are: offset:+1kb..1mb
        first = _amount(place, unit, low, text)
        last = _amount(place, unit, high, text) if dots else first
        if first[0] != last[0] or first[1] > last[1]:
            raise ConfigError(f"{text!r}: a range goes from the lower to the higher, both of one kind, as rdb:10%..90%")
        return cls(place, first[0], first[1], last[1])

    def draw(self, rng: Random) -> float:
        """The number itself, or one out of the range."""
        if self.low == self.high:
            return self.low
        if self.unit == "percent":
            return rng.uniform(self.low, self.high)
        return rng.randint(int(self.low), int(self.high))


def _amount(place: str, unit: str, text: str, whole: str) -> tuple[str, float]:
    if unit == "key":
        return "key", positive(text)
    if place == "offset":
        if text.startswith("+"):
            return "relative", parse_size(text[1:])
        return "absolute", int(text) if re.fullmatch(r"\d{1,19}", text) else parse_size(text)
    if place == "rdb" and text.endswith("%"):
        match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", text)
        if match is None or float(match[1]) > 100:
            raise ConfigError(f"{whole!r}: {text!r} is no percentage")
        return "percent", float(match[1])
    if place == "rdb" and text.startswith("-"):
        return "bytes", -parse_size(text[1:])
    return "bytes", parse_size(text)
