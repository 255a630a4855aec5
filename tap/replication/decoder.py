"""What may stand between the wire and a stream: a dialect's compression, undone.

Masters of some dialects encode the stream, in frames of their own; their replication offsets count what was encoded, and
the bytes on the wire are others. Everything after the decoder, from the scanner to offsets and lag, then works as on a
plain stream; everything before it (relay, recorder, positions of events) works on the wire. Stream alone asks a decoder
where one place is in terms of the other.
"""

from __future__ import annotations

from typing import Protocol


class Decoder(Protocol):
    """Decodes one stream, from its first byte. Counts bytes from there: of the wire, and of the decoded stream."""

    def feed(self, data: bytes) -> bytes:
        """The stream's bytes that these wire bytes complete; none while a frame is unfinished."""

    def wire_bytes(self, count: int) -> int:
        """The fewest wire bytes that decode to *count* bytes of the stream."""

    def stream_bytes(self, wire: int) -> int:
        """How many bytes of the stream the first *wire* bytes decode to."""
