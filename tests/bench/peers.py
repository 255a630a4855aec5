"""What can stand between a replica and its master, each as a process of its own and set up to be fast."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tap.servers.embedded import free_port

from .processes import Process, cpu_seconds, peak_memory

DIRECT = "direct"
ADMIN_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin")  # HAProxy lives there; a user's PATH often lacks them
ATTEMPTS = 3  # at a port that nobody else takes first


@dataclass(frozen=True)
class Relay:
    """The port to connect to, and the process that passes on what comes there: None when that is the target itself."""

    port: int
    process: Process | None

    def cpu_seconds(self) -> float | None:
        return None if self.process is None else cpu_seconds(self.process.pid)

    def peak_memory(self) -> int | None:
        return None if self.process is None else peak_memory(self.process.pid)


@dataclass(frozen=True)
class Peer:
    """A relay program. command: takes program, port to listen on, target port and a directory for its files.

    setup: what one should know of how it runs here.
    """

    name: str
    program: str
    show_version: tuple[str, ...]
    command: Callable[[str, int, int, Path], list[str]]
    setup: str

    def find(self) -> str | None:
        """The program's path; None if it is not there."""
        found = (shutil.which(self.program, path=path) for path in (None, *ADMIN_DIRECTORIES))
        return next(filter(None, found), None)

    def version(self) -> str:
        """As the program says it; "" if it is not there."""
        program = self.find()
        if program is None:
            return ""
        said = subprocess.run([program, *self.show_version], capture_output=True, text=True, check=True).stdout
        return next((line.strip() for line in said.splitlines() if "version" in line or "redis-tap" in line), "")

    @contextlib.contextmanager
    def relaying_to(self, target: int) -> Iterator[Relay]:
        """Run it in front of the loopback port *target*."""
        program = self.find()
        assert program is not None, f"{self.program} was there a moment ago"
        with tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as name, contextlib.ExitStack() as running:
            directory = Path(name)
            for attempt in range(1, ATTEMPTS + 1):
                port = free_port()
                command = self.command(program, port, target, directory)
                process = running.enter_context(Process(command, directory / "log"))
                try:
                    process.wait_for_listening(port)
                    break
                except AssertionError:
                    if attempt == ATTEMPTS:
                        raise
            yield Relay(port, process)


class Direct(Peer):
    """No relay at all."""

    def __init__(self) -> None:
        super().__init__(DIRECT, "", (), lambda *_: [], "no relay")

    def find(self) -> str | None:
        return ""

    def version(self) -> str:
        return ""

    @contextlib.contextmanager
    def relaying_to(self, target: int) -> Iterator[Relay]:
        yield Relay(target, None)


def _redis_tap(program: str, port: int, target: int, directory: Path) -> list[str]:
    where = ["--listen", f"127.0.0.1:{port}", "--master", f"127.0.0.1:{target}"]
    return [program, "-m", "tap", "run", "--ui", "none", *where]


HAPROXY_CONFIGURATION = """
global
    maxconn 4096
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen bench
    bind 127.0.0.1:{port}
    server target 127.0.0.1:{target}
"""


def _haproxy(program: str, port: int, target: int, directory: Path) -> list[str]:
    configuration = directory / "haproxy.cfg"
    configuration.write_text(HAPROXY_CONFIGURATION.format(port=port, target=target))
    return [program, "-db", "-f", str(configuration)]


def _socat(program: str, port: int, target: int, directory: Path) -> list[str]:
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay"
    return [program, listen, f"TCP:127.0.0.1:{target},nodelay"]


def _toxiproxy(program: str, port: int, target: int, directory: Path) -> list[str]:
    proxy = {"name": "bench", "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{target}", "enabled": True}
    configuration = directory / "toxiproxy.json"
    configuration.write_text(json.dumps([proxy]))
    return [program, "-host", "127.0.0.1", "-port", str(free_port()), "-config", str(configuration)]


PEERS = {
    peer.name: peer
    for peer in (
        Direct(),
        Peer("redis-tap", sys.executable, ("-m", "tap", "--version"), _redis_tap, "--ui none"),
        Peer("haproxy", "haproxy", ("-v",), _haproxy, "mode tcp, nbthread 1"),
        Peer("socat", "socat", ("-V",), _socat, "nodelay, its default buffer of 8 KiB"),
        Peer("toxiproxy", "toxiproxy-server", ("-version",), _toxiproxy, "no toxics"),
    )
}


def present(*names: str) -> dict[str, Peer]:
    """Those of the peers whose programs are there, in that order."""
    return {name: PEERS[name] for name in names if PEERS[name].find() is not None}


def absent(*names: str) -> list[str]:
    """A sentence about each of the others."""
    missing = [PEERS[name] for name in names if PEERS[name].find() is None]
    return [f"{peer.name} is left out: there is no {peer.program} on PATH" for peer in missing]


def setups(*names: str) -> str:
    """How the peers that are there run."""
    return "; ".join(f"{peer.name}: {peer.setup}" for peer in present(*names).values() if peer.name != DIRECT)
