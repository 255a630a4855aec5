"""tcpdump as a child process: it has the privilege to capture, and writes packets into a pipe.

The filter passes the TCP packets of the given ports and nothing else. The kernel keeps packets for tcpdump in a buffer,
and drops what finds no room there; on a signal tcpdump reports on stderr how many these were. If tcpdump ends, its last
words are the reason. If this process is killed, tcpdump ends with the next packet: nobody reads the pipe any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from tap.capture.content import GoesOn
from tap.capture.files import packets_from_pipe
from tap.capture.pcapng import Packet
from tap.errors import ConfigError, EnvironmentFailure
from tap.operate.watching.pipe import widen

PROGRAM = "tcpdump"
# For packets in the kernel. In immediate mode each of them takes a frame of the largest size, 128 or 256 KiB: these are
# 1024 or 512 packets.
BUFFER_KIB = 131_072
PRIORITY = -10  # where root allows it: on a busy machine, packets are lost while tcpdump waits for a processor
START_SECONDS = 10.0
END_SECONDS = 0.5
LAST_SECONDS = 0.1  # for tcpdump to take what is in the kernel, which is lost with its end
LAST_LINES = 5

_STATISTICS = getattr(signal, "SIGINFO", signal.SIGUSR1)  # SIGINFO where the system has it: BSD and macOS
_DROPPED = re.compile(r"(\d+) packets? dropped by kernel")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]*|::[A-Fa-f0-9:.]*")
_FORBIDDEN = re.compile(r"permission|not permitted|CAP_NET_RAW|root", re.IGNORECASE)


class Tcpdump:
    """name: the interface. ports: those of masters. lost: packets that the kernel has dropped.

    is_pipe: reading waits by itself while nothing comes.
    """

    is_pipe = True

    def __init__(self, interface: str, ports: Sequence[int], hosts: Sequence[str] = ()) -> None:
        """hosts: only packets from or to these; empty: of all. Raises ConfigError for an impossible interface or host."""
        if not interface or interface.startswith("-"):
            raise ConfigError(f"{interface!r} is not a network interface; tcpdump -D lists them, and any stands for all")
        self.name = interface
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ConfigError(f"{host!r} is not a host: give its name or address, without a port")
        self.ports = tuple(dict.fromkeys(ports))
        self._hosts = tuple(dict.fromkeys(hosts))
        self.lost = 0
        self._process: asyncio.subprocess.Process | None = None
        self._pipe: BinaryIO | None = None
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        self._listens = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._is_stopped = False

    @property
    def arguments(self) -> list[str]:
        """The command. Immediate mode and -U: each packet leaves at once; -s 0: whole."""
        options = ["-i", self.name, "-w", "-", "-U", "--immediate-mode", "-s", "0", "-B", str(BUFFER_KIB)]
        return [PROGRAM, *options, self._filter]

    @property
    def _filter(self) -> str:
        """In the language of pcap-filter(7)."""
        ports = " or ".join(f"tcp port {port}" for port in self.ports)
        if not self._hosts:
            return ports
        hosts = " or ".join(f"host {host}" for host in self._hosts)
        return f"({ports}) and ({hosts})"

    async def start(self) -> None:
        """Begin to capture. Raises EnvironmentFailure if that is not possible, with what to do about it."""
        if shutil.which(PROGRAM) is None:
            raise EnvironmentFailure(
                f"{PROGRAM} is not installed, and watch -i captures with it: install it (apt install {PROGRAM}), or pipe "
                f"a capture in from a machine that has it: ssh HOST {self._by_hand} | redis-tap watch -"
            )
        reading, writing = os.pipe()
        try:
            widen(reading)
            # In a session of its own: Ctrl-C is for this process, which ends tcpdump and reads what it still has.
            self._process = await asyncio.create_subprocess_exec(
                *self.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, PRIORITY)
        self._pipe = os.fdopen(reading, "rb", buffering=0)
        self._listener = asyncio.create_task(self._listen(self._process), name=PROGRAM)
        waiting = asyncio.create_task(self._listens.wait(), name=f"{PROGRAM} begins")
        await asyncio.wait({waiting, self._listener}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._listens.is_set():
            said = " ".join(self._said) or "it says nothing"
            await self.stop()
            self._pipe.close()
            raise EnvironmentFailure(self._why_not(said))

    def packets(self, problems: list[str], goes_on: GoesOn) -> Iterator[Packet]:
        """The packets, until it ends."""
        assert self._pipe is not None
        with self._pipe:
            yield from packets_from_pipe(self._pipe, PROGRAM, problems, goes_on)

    def ask(self) -> None:
        """Ask for its statistics; *lost* is right soon afterwards."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self._process.send_signal(_STATISTICS)

    async def failure(self) -> str:
        """Why its packets have ended; "" if stop() has ended them."""
        if self._is_stopped or self._listener is None:
            return ""
        await asyncio.wait({self._listener}, timeout=END_SECONDS)
        return f"{PROGRAM} has ended: {' '.join(self._said) or 'it says nothing'}"

    async def stop(self) -> None:
        """End it. What it has captured by then comes out of packets()."""
        if self._process is None or self._listener is None:
            return
        if self._process.returncode is None:
            self._is_stopped = True
            await asyncio.sleep(LAST_SECONDS)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self._process.terminate()
        done, _ = await asyncio.wait({self._listener}, timeout=END_SECONDS)
        if not done:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self._process.kill()
            self._listener.cancel()
            await asyncio.wait({self._listener}, timeout=END_SECONDS)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Read what it says, to its end."""
        assert process.stderr is not None
        async for line in process.stderr:
            text = line.decode(errors="replace").strip().removeprefix(f"{PROGRAM}: ")
            found = _DROPPED.search(text)
            if found:
                self.lost = max(self.lost, int(found[1]))
            elif text.startswith("listening on"):
                self._listens.set()
            elif text and not re.match(r"\d+ packets|data link type", text):
                self._said.append(text)
        await process.wait()

    @property
    def _by_hand(self) -> str:
        return f"{PROGRAM} -i {shlex.quote(self.name)} -U -w - {shlex.quote(self._filter)}"

    def _why_not(self, said: str) -> str:
        text = f"{PROGRAM} does not capture on {self.name} ({said})"
        if not _FORBIDDEN.search(said):
            return text
        program = shutil.which(PROGRAM)
        return (
            f"{text}: run this with sudo; or allow it for good, sudo setcap cap_net_raw,cap_net_admin=eip {program}; or "
            f"let only {PROGRAM} be privileged: sudo {self._by_hand} | redis-tap watch -"
        )
