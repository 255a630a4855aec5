"""Places on a connection, as people write them: `rdb:50%`, `offset:+1mb`, `stream:1kb..1mb`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from tap.errors import ConfigError, did_you_mean
from tap.faults.parameters import positive
from tap.units import parse_size

PLACES = {
    "connect": "as soon as the replica connects",
    "handshake": "at the replica's first request",
    "ping": "before the first PING",
    "auth": "before AUTH",
    "replconf": "before the first REPLCONF",
    "psync": "before PSYNC",
    "waiting": "after +FULLRESYNC or SYNC, while the replica waits for the RDB",
    "rdb": "at the first byte of the RDB; elsewhere in it: rdb:50%, rdb:10mb, rdb:-8b (from its end), rdb:key:1000 "
    "(after that many keys); with channel=main, when the other connection of a two-connection sync gets there",
    "loading": "after the last byte of the RDB, while the replica loads it",
    "stream": "before the first byte of the stream; stream:1mb after that much of the stream on this connection",
    "transaction": "after the next MULTI, inside the transaction",
    "offset": "offset:123456 after the byte with this replication offset; offset:+1mb that many bytes from now, or from "
    "the beginning of the stream",
}
REQUESTS = {"ping": b"PING", "auth": b"AUTH", "replconf": b"REPLCONF", "psync": b"PSYNC"}


@dataclass(frozen=True, slots=True)
class At:
    """A place on a connection.

    unit: "" for the place itself, else what low and high count: "bytes" (negative: from the end), "percent", "key",
    "absolute", "relative". If low < high, a number in this range is drawn.
    """

    place: str
    unit: str = ""
    low: float = 0
    high: float = 0

    @classmethod
    def parse(cls, text: str) -> At:
        place, colon, rest = text.partition(":")
        if place not in PLACES:
            raise ConfigError(f"{place!r} is not a place; allowed: {', '.join(PLACES)}.{did_you_mean(place, PLACES)}")
        if not colon:
            if place == "offset":
                raise ConfigError("offset needs a number: offset:123456, or offset:+1mb from now on")
            return cls(place)
        if place not in ("rdb", "stream", "offset"):
            raise ConfigError(f"{place} takes nothing after a colon; only rdb, stream and offset do")
        unit, rest = ("key", rest.removeprefix("key:")) if rest.startswith("key:") else ("", rest)
        if unit and place != "rdb":
            raise ConfigError(f"{text!r}: keys are counted in the RDB only, as rdb:key:1000")
        low, dots, high = rest.partition("..")
        if low.startswith("+") and dots and not high.startswith("+"):
            high = f"+{high}"  # offset:+1kb..1mb means both are relative
        first = _amount(place, unit, low, text)
        last = _amount(place, unit, high, text) if dots else first
        if first[0] != last[0] or first[1] > last[1]:
            raise ConfigError(f"{text!r}: a range goes from low to high, both in the same unit, as rdb:10%..90%")
        return cls(place, first[0], first[1], last[1])

    def draw(self, rng: Random) -> float:
        """The number itself, or one drawn from the range."""
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
            raise ConfigError(f"{whole!r}: {text!r} is not a percentage")
        return "percent", float(match[1])
    if place == "rdb" and text.startswith("-"):
        return "bytes", -parse_size(text[1:])
    return "bytes", parse_size(text)
