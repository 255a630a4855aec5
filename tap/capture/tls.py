"""Detection of TLS connections, which cannot be read, by the headers of their records (RFC 8446, 5.1).

If the beginning of a connection was captured, its first bytes decide. Otherwise the capture may start anywhere within a
record; if a segment begins with what looks like a header, the headers after it must stand where the lengths say.
"""

from __future__ import annotations

from tap.capture.tcp_connection import TcpConnection

MAX_PLACES = 3  # connections that the sentence names
PROOF = 3  # consecutive headers: not a coincidence
MAX_SEGMENTS = 64  # searched for a header if the beginning of the connection was not captured

_HEAD = 5
_TYPES = range(20, 24)  # change_cipher_spec, alert, handshake, application_data
_MAX_RECORD = 2**14 + 2048
_HANDSHAKE = 22
_HELLOS = (1, 2)


class TlsFinder:
    """Decides from the bytes of both sides whether a connection is TLS. is_tls: None until that is known."""

    def __init__(self, from_start: bool) -> None:
        self.is_tls: bool | None = None
        self._from_start = from_start
        self._segments = 0
        # For each side:
        self._rest = [b"", b""]  # the beginning of an incomplete header
        self._until_head = [0, 0]  # bytes still to come of the current record
        self._heads = [0, 0]  # consecutive headers found

    def see(self, side: int, data: bytes) -> bool | None:
        """Take the next bytes of a side. Returns is_tls."""
        self._segments += 1
        follows = self._follow(side, data)
        if max(self._heads) >= PROOF:
            self.is_tls = True
        elif self._segments >= MAX_SEGMENTS or (self._from_start and not follows):
            self.is_tls = False
        return self.is_tls

    def missing(self, side: int) -> None:
        """Note that bytes of a side are missing from the capture."""
        self._forget(side)
        self._from_start = False

    def _follow(self, side: int, data: bytes) -> bool:
        """Follow the records of a side. Returns whether headers stand where they must."""
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
    """A count of TLS connections. True if there are any; str() gives a sentence for people."""

    def __init__(self) -> None:
        self._count = 0
        self._places: dict[str, None] = {}  # at most one more than are named, which shows that there are others

    def __bool__(self) -> bool:
        return bool(self._count)

    def add(self, connection: TcpConnection) -> None:
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
            f"{what} ({', '.join(places)}), and cannot be read from a capture: for a replication link, let redis-tap run "
            "record the decrypted bytes (--tls or --listen-cert, with -w); its --keylog lets Wireshark read a capture"
        )
