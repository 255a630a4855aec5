"""Whether a connection of a capture is TLS, of which nothing can be read: by its records (RFC 8446, 5.1).

A connection that is seen to begin says so with its first bytes. One that is met in the middle may be anywhere in a
record; where a segment begins with the head of one, the heads of those behind it have to stand where the lengths say.
"""

from __future__ import annotations

from tap.capture.assembly import Connection

MAX_PLACES = 3  # that a sentence names
PROOF = 3  # heads, one behind the other, are no accident
MAX_SEGMENTS = 64  # of a connection that is met in the middle, in which a head is looked for

_HEAD = 5
_TYPES = range(20, 24)  # change_cipher_spec, alert, handshake, application_data
_MAX_RECORD = 2**14 + 2048
_HANDSHAKE = 22
_HELLOS = (1, 2)


class TlsFinder:
    """Bytes of both sides in, as they come; is_tls: None until it is known."""

    def __init__(self, from_start: bool) -> None:
        self.is_tls: bool | None = None
        self._from_start = from_start
        self._segments = 0
        self._rest = [b"", b""]  # of each side: the beginning of a head
        self._until_head = [0, 0]  # bytes of a record that are still to come
        self._heads = [0, 0]  # one behind the other

    def see(self, side: int, data: bytes) -> bool | None:
        """The next bytes of a side. Returns is_tls."""
        self._segments += 1
        follows = self._follow(side, data)
        if max(self._heads) >= PROOF:
            self.is_tls = True
        elif self._segments >= MAX_SEGMENTS or (self._from_start and not follows):
            self.is_tls = False
        return self.is_tls

    def missing(self, side: int) -> None:
        """Bytes of a side are not in the capture."""
        self._forget(side)
        self._from_start = False

    def _follow(self, side: int, data: bytes) -> bool:
        """Whether heads stand where they have to."""
        data = self._rest[side] + data
        at = self._until_head[side]
        while len(data) - at >= _HEAD:
            length = data[at + 3] << 8 | data[at + 4]
            if data[at] not in _TYPES or data[at + 1] != 3 or data[at + 2] > 4 or not 0 < length <= _MAX_RECORD:
                self._forget(side)
                return False
            if self._from_start and not self._heads[side]:
                if len(data) - at == _HEAD:
                    break
                if data[at] != _HANDSHAKE or data[at + _HEAD] not in _HELLOS:
                    return False
                self._heads[side] = PROOF
                return True
            self._heads[side] += 1
            at += _HEAD + length
        self._until_head[side] = max(0, at - len(data))
        self._rest[side] = data[at:]
        return True

    def _forget(self, side: int) -> None:
        self._rest[side], self._until_head[side], self._heads[side] = b"", 0, 0


class TlsConnections:
    """True when there are any; as a string, a sentence for people."""

    def __init__(self) -> None:
        self._count = 0
        self._places: dict[str, None] = {}  # the first ones, and one more

    def __bool__(self) -> bool:
        return bool(self._count)

    def add(self, connection: Connection) -> None:
        self._count += 1
        if len(self._places) <= MAX_PLACES:
            opener, other = connection.ends
            self._places[f"to {other}" if connection.from_start else f"between {opener} and {other}"] = None

    def __str__(self) -> str:
        places = list(self._places)
        if len(places) > MAX_PLACES:
            places[MAX_PLACES:] = ["and others"]
        what = "1 connection is TLS" if self._count == 1 else f"{self._count} connections are TLS"
        return (
            f"{what} ({', '.join(places)}), of which nothing can be read here: of a replication link let redis-tap run, "
            "with --tls or --listen-cert, record the plain bytes with -w; its --keylog lets Wireshark read a capture"
        )
