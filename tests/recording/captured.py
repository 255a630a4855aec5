"""Small captures, compressed as recorders and tcpdump compress them, and their content."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import zstandard

from tap.capture import pcapng
from tap.capture.content import GoesOn
from tap.capture.files import packets
from tests.recording.support import block
from tests.recording.wires import STREAM, streamed


def capture(*times: int) -> bytes:
    """A packet for each time, of some hundred bytes."""
    blocks = [block(time, bytes([time % 256]) * 300) for time in times]
    return pcapng.heading("test") + b"".join(blocks)


def read(path: Path, goes_on: GoesOn | None = None) -> tuple[list[int], list[str]]:
    """The times of the packets, and what could not be read."""
    problems: list[str] = []
    return [packet.time for packet in packets(path, problems, goes_on)], problems


class Zstd:
    """One frame, flushed every 2000 bytes as a recorder does now and then."""

    name, unit, ending = "zstd", "frame", ".zst"

    @staticmethod
    def flushed(data: bytes) -> list[bytes]:
        writer = zstandard.ZstdCompressor().compressobj()
        parts = [
            writer.compress(data[at : at + 2000]) + writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
            for at in range(0, len(data), 2000)
        ]
        return [*parts, writer.flush()]


class Gzip:
    """The same as one member, as from tcpdump -z or a pipe to gzip."""

    name, unit, ending = "gzip", "member", ".gz"

    @staticmethod
    def flushed(data: bytes) -> list[bytes]:
        writer = zlib.compressobj(wbits=31)
        parts = [
            writer.compress(data[at : at + 2000]) + writer.flush(zlib.Z_SYNC_FLUSH) for at in range(0, len(data), 2000)
        ]
        return [*parts, writer.flush()]


both = pytest.mark.parametrize("kind", [Zstd, Gzip])


WHOLE = capture(*range(1000))
PACKETS = streamed(STREAM[:5]).packets
Kind = type[Zstd] | type[Gzip]


def compressed(data: bytes, kind: Kind = Zstd) -> bytes:
    return b"".join(kind.flushed(data))
