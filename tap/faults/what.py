"""What can go wrong on purpose: each class is one fault as a person can write it, with its parameters.

`redis-tap faults` prints them. What they do to the bytes stands in link.py and flow.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tap.errors import ConfigError, did_you_mean
from tap.faults.values import duration, line, mask, one_of, param, port, positive, psync, rate, size, some_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """kind: its name. once: fires once unless told otherwise. takes: the triggers that make sense with it."""

    kind: ClassVar[str]
    once: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset({"at", "command", "key", "request", "reply", "edge", "nth", "every"})
    example: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(What):
    """Close the link, in the middle of whatever flows."""

    kind: ClassVar[str] = "cut"
    example: ClassVar[str] = "cut at=rdb:50% mode=reset"
    mode: str = param(
        one_of("fin", "reset"), "fin|reset", "FIN, or RST; in both cases behind the bytes before it", default="fin"
    )
    legs: str = param(
        one_of("both", "master", "replica"),
        "both|master|replica",
        "whose connection; the other one stays open and hears nothing",
        default="both",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(What):
    """Let no replica in."""

    kind: ClassVar[str] = "refuse"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset()
    example: ClassVar[str] = "refuse close for=5s"
    mode: str = param(
        one_of("refuse", "close", "blackhole"),
        "refuse|close|blackhole",
        "refuse the connection; accept and close it; accept and say nothing until the fault is over",
        default="refuse",
        positional=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(What):
    """Keep the connection open and move no byte, until `for` is over or the fault is removed."""

    kind: ClassVar[str] = "stall"
    example: ClassVar[str] = "stall at=waiting for=5s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(What):
    """Pass every byte on later, in order. Holds up to 16 MB a direction, then it pauses reading."""

    kind: ClassVar[str] = "delay"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at", "during"})
    example: ClassVar[str] = "delay 200ms jitter=50ms from=master"
    latency: float | None = param(duration, "TIME", "how much later", positional=True)
    jitter: float = param(duration, "TIME", "how much that varies, up and down; normal: standard deviation", default=0.0)
    distribution: str = param(one_of("uniform", "normal"), "uniform|normal", "of the jitter", default="uniform")


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(What):
    """Limit the bandwidth. Holds one read of up to 256 KB a direction, and pauses reading."""

    kind: ClassVar[str] = "throttle"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at", "during"})
    example: ClassVar[str] = "throttle 1mb/s during=rdb"
    rate: int | None = param(rate, "SIZE/s", "bytes per second, each direction", positional=True)
    burst: int = param(size, "SIZE", "so much passes at once after a pause", default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(What):
    """Pass bytes on in small segments."""

    kind: ClassVar[str] = "slice"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"at", "during"})
    example: ClassVar[str] = "slice 1b during=handshake"
    size: int = param(some_bytes, "SIZE", "of a segment", default=1, positional=True)
    gap: float = param(duration, "TIME", "between two segments", default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(What):
    """Swallow bytes: acknowledgements, pings, keepalives, commands that match, or so many bytes at a place."""

    kind: ClassVar[str] = "drop"
    once: ClassVar[bool] = False
    example: ClassVar[str] = "drop command=SET key='user:*' times=1"
    target: str | int = param(
        lambda text: text if text in ("acks", "pings", "keepalives") else _dropped(text),
        "acks|pings|keepalives|SIZE",
        "what; not given with command, key, request or reply",
        default="",
        positional=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(What):
    """Pass a command of the stream on twice. One above 16 MB is left alone."""

    kind: ClassVar[str] = "duplicate"
    takes: ClassVar[frozenset[str]] = frozenset({"command", "key", "nth"})
    example: ClassVar[str] = "duplicate command=INCR nth=10"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder(What):
    """Pass a command of the stream on behind the one that follows it. One above 16 MB is left alone."""

    kind: ClassVar[str] = "reorder"
    takes: ClassVar[frozenset[str]] = frozenset({"command", "key", "nth"})
    example: ClassVar[str] = "reorder command=SET key=counter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrupt(What):
    """Flip bits."""

    kind: ClassVar[str] = "corrupt"
    example: ClassVar[str] = "corrupt command=SET edge=start mask=0xff"
    mask: int | None = param(mask, "0x01..0xff", "the bits to flip; drawn if not given")
    bytes: int = param(positive, "N", "in so many bytes on end", default=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate(What):
    """End early: an RDB as if it were whole (at=rdb:...), or the connection after so many bytes of one side."""

    kind: ClassVar[str] = "truncate"
    takes: ClassVar[frozenset[str]] = frozenset({"at"})
    example: ClassVar[str] = "truncate at=rdb:50%"
    size: int | None = param(some_bytes, "SIZE", "bytes of the connection that pass; it is then closed", positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(What):
    """Reply in the master's place. With request=, the master never hears of it; with reply=, its own line is replaced."""

    kind: ClassVar[str] = "answer"
    takes: ClassVar[frozenset[str]] = frozenset({"request", "reply", "nth"})
    example: ClassVar[str] = "answer '-LOADING Redis is loading the dataset in memory' request=PSYNC"
    line: bytes | None = param(line, "LINE", "the reply, without its line end", positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite(What):
    """Change what the replica says of itself."""

    kind: ClassVar[str] = "rewrite"
    once: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset({"nth"})
    example: ClassVar[str] = "rewrite psync='? -1' times=1"
    psync: str | None = param(psync, "'REPLID OFFSET'", "what PSYNC asks for; '? -1' forces a full resync")
    capa: str | None = param(str, "-NAME|+NAME", "take a capability away, or add one")
    ip: str | None = param(str, "ADDRESS", "announce this address", name="ip-address")
    port: int | None = param(port, "PORT", "announce this port", name="listening-port")
    ack: str | None = param(
        lambda text: _ack(text),
        "-SIZE|+SIZE|freeze",
        "lower or raise acknowledged offsets, or repeat the first one for ever",
    )


def _dropped(text: str) -> int:
    words = ("acks", "pings", "keepalives")
    if not text[:1].isdigit():
        raise ConfigError(f"{text!r}; allowed: {', '.join(words)} or a size, as 100b.{did_you_mean(text, words)}")
    return some_bytes(text)


def _ack(text: str) -> str:
    if text != "freeze":
        if text[:1] not in ("+", "-"):
            raise ConfigError(f"{text!r}; allowed: freeze, or + or - and a size, as -100b")
        size(text[1:])
    return text


KINDS: dict[str, type[What]] = {
    what.kind: what
    for what in (
        Cut,
        Refuse,
        Stall,
        Delay,
        Throttle,
        Slice,
        Drop,
        Duplicate,
        Reorder,
        Corrupt,
        Truncate,
        Answer,
        Rewrite,
    )
}
