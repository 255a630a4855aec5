"""The rules of a link: what it changes of what every replica says of itself, without any fault."""

from __future__ import annotations

from collections.abc import Sequence

from tap.faults.words import capable, replaced
from tap.replication.requests import COMPRESSIONS, Request

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
            left = capable(args, "-", name)
            if left is not None:
                args = left[0]
        # A replica's own address comes after its port, as a request of its own, and then counts.
        if self.host and b"ip-address" not in (option.lower() for option in args[1::2]):
            added = replaced(args, b"ip-address", self.host.encode(), after=b"listening-port")
            if added is not None:
                args = added[0]
        return tuple(args)
