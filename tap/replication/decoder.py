"""The interface of a decoder, which undoes a dialect's compression between the wire and a stream.

Masters of some dialects encode the stream in frames; their replication offsets count the bytes before encoding, not the
bytes on the wire. Everything after the decoder, from the scanner to offsets and lag, works as on a plain stream;
everything before it (relay, recorder, positions of events) works on wire bytes. Only Stream asks a decoder to convert
one count into the other.
"""

from __future__ import annotations

from typing import Protocol


class Decoder(Protocol):
    """Decodes one stream, from its first byte. Both counts, of wire bytes and of decoded bytes, start there."""

    def feed(self, data: bytes) -> bytes:
        """The bytes of the stream that these wire bytes complete; b"" while a frame is unfinished."""

    def wire_bytes(self, count: int) -> int:
        """The fewest wire bytes that decode to *count* bytes of the stream."""

    def stream_bytes(self, wire: int) -> int:
        """The number of stream bytes that the first *wire* bytes decode to."""
