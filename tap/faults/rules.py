"""The rules of a link: what it changes in the handshake of every replica, without any fault."""

from __future__ import annotations

from collections.abc import Sequence

from tap.faults.request_words import capable, replaced
from tap.replication.requests import COMPRESSIONS, Request

# A replica that offers a second connection but not eof gets a disk-based RDB on that connection. Valkey's replicas do not
# accept it there and retry forever (Valkey 8.1, 9.1; Redis 8.0 accepts it). So masking eof masks the second connection.
_TOGETHER = {"eof": ("eof", "rdb-channel-repl", "dual-channel"), "compression": tuple(sorted(COMPRESSIONS))}


class Rules:
    """What a link changes in the handshake of every replica, whichever faults are armed.

    Words are removed from a request or added to it, never whole requests: a replica and its master match replies to
    requests by counting.
    """

    def __init__(self, masked: Sequence[str] = (), host: str = "") -> None:
        """masked: capabilities to remove, along with those that make no sense without them. host: announced on behalf of
        replicas that announce none; "" for no host.
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
        # If the replica announces an address, it does so in a later request than its port, which then overrides ours.
        if self.host and b"ip-address" not in (option.lower() for option in args[1::2]):
            added = replaced(args, b"ip-address", self.host.encode(), after=b"listening-port")
            if added is not None:
                args = added[0]
        return tuple(args)
