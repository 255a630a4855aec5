"""Requests of a replica, changed: by the fault `rewrite`, or as the link's rules want it."""

from __future__ import annotations

from collections.abc import Sequence

from tap.faults.what import Rewrite
from tap.replication.requests import COMPRESSIONS, Request
from tap.units import parse_size

# Without eof a master that has been offered a second connection sends a disk-based RDB there, which Valkey's replicas
# do not take: they try again for ever (Valkey 8.1, 9.1; Redis 8.0 takes it).
_TOGETHER = {"eof": ("eof", "rdb-channel-repl", "dual-channel"), "compression": tuple(sorted(COMPRESSIONS))}


class Rules:
    """What a link changes of what every replica says of itself before the stream, whatever is armed.

    Words are taken out of a request, or added to it, so that one reply answers one request as ever: a replica and its
    master match them by count.
    """

    def __init__(self, masked: Sequence[str] = (), host: str = "") -> None:
        """masked: capabilities that are taken away, with those that make no sense without them. host: announced for a
        replica that announces none; "" for no host.
        """
        self._masked = [one.encode() for name in masked for one in _TOGETHER.get(name, (name,))]
        self.host = host

    def applied(self, request: Request) -> tuple[bytes, ...]:
        """The request's words as they are passed on."""
        args = list(request.args)
        if request.name != b"REPLCONF" or len(args) % 2 == 0:  # an option without a value is an error, and remains one
            return request.args
        for name in self._masked:
            left = _capable(args, "-", name)
            if left is not None:
                args = left[0]
        # A replica's own address comes behind its port, as a request of its own, and then counts.
        if self.host and b"ip-address" not in (option.lower() for option in args[1::2]):
            added = _replaced(args, b"ip-address", self.host.encode(), behind=b"listening-port")
            if added is not None:
                args = added[0]
        return tuple(args)


class Rewriter:
    """Changes the requests of one connection. frozen: the offset that is repeated, None before the first ACK."""

    def __init__(self, what: Rewrite) -> None:
        self._what = what
        self._frozen: int | None = None

    def rewritten(self, request: Request) -> tuple[list[bytes], str] | None:
        """The request's new words, and what was changed; None if it is not about what this changes."""
        what, args = self._what, list(request.args)
        if what.psync is not None:
            if request.name != b"PSYNC":
                return None
            words = [b"PSYNC", *what.psync.encode().split()]
            return None if words == args[:3] else (words, f"{_text(words)} instead of {_text(args)}")
        if request.name != b"REPLCONF":
            return None
        if what.ack is not None:
            return self._acknowledged(args)
        if what.capa is not None:
            return _capable(args, what.capa[0], what.capa[1:].encode())
        if what.port is not None:
            return _replaced(args, b"listening-port", str(what.port).encode())
        assert what.ip is not None
        return _replaced(args, b"ip-address", what.ip.encode(), behind=b"listening-port")

    def _acknowledged(self, args: list[bytes]) -> tuple[list[bytes], str] | None:
        if len(args) < 3 or args[1].upper() != b"ACK" or not args[2].isdigit() or len(args[2]) > 19:
            return None
        assert self._what.ack is not None
        offset = int(args[2])
        if self._what.ack == "freeze":
            if self._frozen is None:
                self._frozen = offset
            changed = self._frozen
        else:
            by = parse_size(self._what.ack[1:])
            changed = max(0, offset + by if self._what.ack[0] == "+" else offset - by)
        return [*args[:2], str(changed).encode(), *args[3:]], f"ACK {changed} instead of {offset}"


def _capable(args: list[bytes], sign: str, name: bytes) -> tuple[list[bytes], str] | None:
    pairs = list(zip(args[1::2], args[2::2], strict=False))
    if all(option.lower() != b"capa" for option, _ in pairs):
        return None
    if sign == "+":
        if (b"capa", name) in pairs:
            return None
        return [*args, b"capa", name], f"capa {name.decode()} added"
    # Nothing may be left: masters take a bare REPLCONF, and reply +OK (Redis 6.2 to 8.0, Valkey 8.1 to 9.1).
    left = [pair for pair in pairs if pair[0].lower() != b"capa" or pair[1].lower() != name.lower()]
    if len(left) == len(pairs):
        return None
    return [args[0], *(word for pair in left for word in pair)], f"capa {name.decode()} taken away"


def _replaced(args: list[bytes], option: bytes, value: bytes, behind: bytes = b"") -> tuple[list[bytes], str] | None:
    """behind: the option that the pair is appended to where it is missing, in the same request."""
    names = [word.lower() for word in args[1::2]]
    if option in names:
        at = 2 + 2 * names.index(option)
        if at >= len(args) or args[at] == value:
            return None
        words = [*args[:at], value, *args[at + 1 :]]
        return words, f"{option.decode()} {value.decode()} instead of {_text(args[at : at + 1])}"
    if behind and behind in names:
        return [*args, option, value], f"{option.decode()} {value.decode()} added"
    return None


def encoded(words: Sequence[bytes]) -> bytes:
    """As a RESP array."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def _text(words: list[bytes]) -> str:
    return " ".join(repr(word)[2:-1] for word in words)
