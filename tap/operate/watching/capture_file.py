"""A file or pipe into which another program writes a capture, as it grows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tap.capture.content import STDIN, GoesOn, is_pipe
from tap.capture.files import packets
from tap.capture.pcapng import Packet
from tap.errors import ConfigError
from tap.operate.watching.pipe import widen
from tap.recording.comments import check_format


class CaptureFile:
    """name: of the file. ports, lost: as in tcpdump.py; nothing is known of them here."""

    ports: tuple[int, ...] = ()
    lost = 0
    can_wait = True  # its writer waits, too, or counts what it drops

    def __init__(self, path: Path) -> None:
        """Raises ConfigError if there is no such file."""
        if path != STDIN and not path.exists():
            raise ConfigError(f"{path}: no such file; watch reads a capture while another program writes it")
        self.path = path
        self.name = "stdin" if path == STDIN else str(path)

    @property
    def is_pipe(self) -> bool:
        return is_pipe(self.path)

    async def start(self) -> None:
        """Nothing has to begin: the other program has. A larger pipe lets it write while packets are looked at."""
        if self.path == STDIN:
            widen(0)

    def packets(self, problems: list[str], goes_on: GoesOn) -> Iterator[Packet]:
        """The packets, until a pipe ends or goes_on() says so."""
        return packets(self.path, problems, goes_on, check_format)

    async def failure(self) -> str:
        """What cannot be read is a problem of packets()."""
        return ""

    def ask(self) -> None:
        """The writer is not known."""

    async def stop(self) -> None:
        """The writer goes on, if it likes."""
