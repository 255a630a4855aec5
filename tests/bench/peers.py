"""Programs that can stand between a replica and its master, each a process of its own and set up to be fast."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tap.servers.embedded import free_port
from tests.support import ROOT

from .processes import Process, cpu_seconds, peak_memory

DIRECT = "direct"
HAPROXY = "haproxy"
TAP = "redis-tap"
AGAINST = (DIRECT, HAPROXY)  # what all others are compared with
ADMIN_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin")  # HAProxy lives there; a user's PATH often lacks them
ATTEMPTS = 3  # at a port that no other process takes first


@dataclass(frozen=True)
class Relay:
    """The port to connect to, and the process that relays what comes there; None if it is the target itself."""

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

    @property
    def missing(self) -> str:
        """Why it cannot run here; "" if it can."""
        return "" if self.find() else f"there is no {self.program} on PATH"

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
    def relaying_to(self, target: int, terminal: int | None = None) -> Iterator[Relay]:
        """Run it in front of the loopback port *target*. terminal: as of Process."""
        program = self.find()
        assert program is not None, f"{self.program} was there a moment ago"
        with tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as name, contextlib.ExitStack() as running:
            directory = Path(name)
            for attempt in range(1, ATTEMPTS + 1):
                port = free_port()
                command = self.command(program, port, target, directory)
                process = running.enter_context(Process(command, directory / "log", terminal))
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

    @property
    def missing(self) -> str:
        return ""

    @contextlib.contextmanager
    def relaying_to(self, target: int, terminal: int | None = None) -> Iterator[Relay]:
        yield Relay(target, None)


class RedisTap(Peer):
    """redis-tap run with these options; "{directory}" in them is one that goes with the process."""

    def __init__(self, name: str, *options: str) -> None:
        def command(program: str, port: int, target: int, directory: Path) -> list[str]:
            where = ["--listen", f"127.0.0.1:{port}", "--master", f"127.0.0.1:{target}"]
            placed = [option.replace("{directory}", str(directory)) for option in options]
            return [program, "-m", "tap", "run", *where, *placed]

        setup = " ".join(option.replace("{directory}/", "") for option in options)
        super().__init__(name, sys.executable, ("-m", "tap", "--version"), command, setup)
        self.options = options

    @property
    def missing(self) -> str:
        unknown = [option for option in self.options if option.startswith("--") and option not in run_options()]
        return f"this redis-tap has no {' '.join(unknown)}" if unknown else ""


@functools.cache
def run_options() -> frozenset[str]:
    """The options that `redis-tap run` knows."""
    command = [sys.executable, "-m", "tap", "run", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return frozenset(re.findall(r"--[a-z][a-z-]*", said))


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


# What armed faults cost that never fire: one that waits for an offset, and one that looks at every command.
IDLE_FAULTS = ("--fault", "cut at=offset:999999999999", "--fault", "drop command=NOSUCHCMD")

# The rows of the groups relay, latency, stream and fullsync.
MATRIX = (
    Direct(),
    RedisTap("redis-tap --opaque", "--ui", "none", "--opaque"),
    RedisTap(TAP, "--ui", "none"),
    RedisTap("redis-tap -w", "--ui", "none", "-w", "{directory}/link.pcapng"),
    RedisTap("redis-tap --fault, idle", "--ui", "none", *IDLE_FAULTS),
    Peer(HAPROXY, "haproxy", ("-v",), _haproxy, "mode tcp, nbthread 1"),
    Peer("socat", "socat", ("-V",), _socat, "nodelay, its default buffer of 8 KiB"),
    Peer("toxiproxy", "toxiproxy-server", ("-version",), _toxiproxy, "no toxics"),
)


def present(peers: Iterable[Peer] = MATRIX) -> list[Peer]:
    """The peers that can run here."""
    return [peer for peer in peers if not peer.missing]


def notes(peers: Iterable[Peer]) -> list[str]:
    """How each peer runs, or why it cannot."""
    return [f"{peer.name}: {'left out, ' + peer.missing if peer.missing else peer.setup}." for peer in peers]
