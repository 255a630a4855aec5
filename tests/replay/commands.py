"""Recordings of commands that a test chooses, and what a server executed of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tap.servers.embedded import Server
from tests.recording.wires import file, streamed
from tests.relay.wire import BASE, command
from tests.support import (
    client,
)

SELECT = command("SELECT", "0")


def url(server: Server | int) -> str:
    return f"redis://127.0.0.1:{server if isinstance(server, int) else server.port}"


def recorded(tmp_path: Path, *pieces: bytes) -> Path:
    """A recording of these bytes after offset BASE, a few milliseconds apart."""
    return file(tmp_path / "recording.pcapng", streamed(list(pieces)).packets, "pcapng")


def counted(count: int) -> list[bytes]:
    return [SELECT, *(command("INCR", f"key:{number % 10}") for number in range(count))]


def offset(pieces: list[bytes], count: int) -> int:
    """The offset after that many commands."""
    return BASE + sum(len(piece) for piece in pieces[:count])


def executed(target: Server) -> int:
    """How many of the commands of counted()."""
    values: list[Any] = client(target).mget([f"key:{number}" for number in range(10)])
    return sum(int(value or 0) for value in values)
