"""The processes of a measurement: started, read out of /proc, and ended with their children whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from tests.support import ROOT, wait_until

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
LISTENING = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h


class Process:
    """A program in a session of its own, by which its children are found. Killed where the with-block ends."""

    def __init__(self, command: list[str], log: Path, terminal: int | None = None) -> None:
        """log: where its output goes, to quote from when it fails. terminal: a file descriptor for stdout instead."""
        self.command = command
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "TERM": "xterm-256color"},
                stdin=subprocess.DEVNULL,
                stdout=output if terminal is None else terminal,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for_listening(self, port: int) -> None:
        """Wait until it listens there, without connecting: a relay would dial its master for that."""
        wait_until(lambda: self._must_run() and is_listening(port), what=f"{self.command[0]} listens on {port}")

    def finish(self, within: float) -> str:
        """Wait for its end; its output. Fails if it fails."""
        if self._process.wait(within) != 0:
            raise AssertionError(f"{' '.join(self.command)} failed:\n{self.output}")
        return self.output

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # no process of it is left
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def _must_run(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"{' '.join(self.command)} ended:\n{self.output}")
        return True

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def helper(module: str, *arguments: object) -> list[str]:
    """The command that runs a program of this package."""
    return [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]


def cpu_seconds(leader: int) -> float:
    """User and system time so far of all processes in the session that *leader* began, ended children included."""
    seconds = 0.0
    for directory, fields in _processes():
        if int(fields[3]) == leader:
            user, system, children_user, children_system = map(int, fields[11:15])
            seconds += (children_user + children_system) / TICKS_PER_SECOND
            exact = _scheduled_seconds(directory)
            seconds += (user + system) / TICKS_PER_SECOND if exact is None else exact
    return seconds


def peak_memory(leader: int) -> int:
    """The most bytes of memory that were ever resident in each living process of the session, summed."""
    return _memory(leader, "VmHWM:")


def memory(leader: int) -> int:
    """Bytes of memory that are resident in the processes of the session."""
    return _memory(leader, "VmRSS:")


def _memory(leader: int, name: str) -> int:
    kilobytes = 0
    for directory, fields in _processes():
        if int(fields[3]) == leader:
            for line in (directory / "status").read_text().splitlines():
                if line.startswith(name):
                    kilobytes += int(line.split()[1])
    return kilobytes * 1024


# In a process of its own: a forked process counts the memory of its parent.
COST = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def cost(command: list[str]) -> tuple[float, int]:
    """Run it to its end: CPU seconds, and the most bytes of memory. Fails if it fails."""
    said = subprocess.run(
        [sys.executable, "-c", COST, *command], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    seconds, kilobytes = said.split()
    return float(seconds), int(kilobytes) * 1024


def is_listening(port: int) -> bool:
    """Whether any process listens on the TCP port, on whatever address."""
    for table in (PROC / "net/tcp", PROC / "net/tcp6"):
        if table.exists():
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == LISTENING and int(local.rpartition(":")[2], 16) == port:
                    return True
    return False


def _processes() -> Iterator[tuple[Path, list[str]]]:
    """Directory and stat of each process; the fields begin at the third of proc(5), the state."""
    for directory in PROC.iterdir():
        if directory.name.isdigit():
            try:
                stat = (directory / "stat").read_text()
            except OSError:  # it has ended
                continue
            yield directory, stat.rpartition(")")[2].split()  # a program's name may contain anything


def _scheduled_seconds(directory: Path) -> float | None:
    """Time on a CPU of the living threads, in the scheduler's nanoseconds: stat counts hundredths, too coarse here.

    None where the kernel keeps no such statistics, or the process has just ended.
    """
    try:
        threads = [(thread / "schedstat").read_text().split() for thread in (directory / "task").iterdir()]
    except OSError:
        return None
    return sum(int(fields[0]) for fields in threads) / 1e9 if threads else None
