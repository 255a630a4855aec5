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
from collections.abc import Callable, Iterator, Sequence
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
MAX_LINE = 1000  # bytes of what it says; the rest of a longer line is passed over

_STATISTICS = getattr(signal, "SIGINFO", signal.SIGUSR1)  # SIGINFO where the system has it: BSD and macOS
_DROPPED = re.compile(r"(\d+) packets? dropped by kernel")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]*|::[A-Fa-f0-9:.]*")
_FORBIDDEN = re.compile(r"permission|not permitted|CAP_NET_RAW|are you root", re.IGNORECASE)


class Tcpdump:
    """name: the interface. ports: those of masters. lost: packets that the kernel has dropped.

    is_pipe: reading waits by itself while nothing comes. can_wait: packets may wait until a recording has taken others.
    """

    is_pipe = True
    can_wait = False  # figures and events are worth more than a whole recording

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
        words, saying = os.pipe()
        try:
            widen(reading)
            # In a session of its own: Ctrl-C is for this process, which ends tcpdump and reads what it still has.
            self._process = await asyncio.create_subprocess_exec(
                *self.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=saying,
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            os.close(words)
            raise
        finally:
            os.close(writing)
            os.close(saying)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, PRIORITY)
        self._pipe = os.fdopen(reading, "rb", buffering=0)
        said = _Said(self._take)
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: said, os.fdopen(words, "rb", buffering=0))
        self._listener = asyncio.create_task(self._listen(self._process, pipe, said), name=PROGRAM)
        waiting = asyncio.create_task(self._listens.wait(), name=f"{PROGRAM} begins")
        await asyncio.wait({waiting, self._listener}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not self._listens.is_set():
            why = self._last_words
            await self.stop()
            self._pipe.close()
            raise EnvironmentFailure(self._why_not(why))

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
        return f"{PROGRAM} has ended: {self._last_words}"

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

    async def _listen(self, process: asyncio.subprocess.Process, pipe: asyncio.ReadTransport, said: _Said) -> None:
        """Wait for its end, and for the end of what it says: a child of its own may keep the pipe open."""
        try:
            await process.wait()
            await asyncio.wait({said.ended}, timeout=END_SECONDS / 2)
        finally:
            pipe.close()

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip().removeprefix(f"{PROGRAM}: ")
        found = _DROPPED.search(text)
        if found:
            self.lost = max(self.lost, int(found[1]))
        elif text.startswith("listening on"):
            self._listens.set()
        elif text and not re.match(r"\d+ packets|data link type", text):
            self._said.append(text)

    @property
    def _last_words(self) -> str:
        if self._said:
            return " ".join(self._said)
        number = 0 if self._process is None or self._process.returncode is None else -self._process.returncode
        return f"it was killed by {signal.Signals(number).name}" if number > 0 else "it says nothing"

    @property
    def _by_hand(self) -> str:
        return f"{PROGRAM} -i {shlex.quote(self.name)} -U -w - {shlex.quote(self._filter)}"

    def _why_not(self, said: str) -> str:
        # Some versions say: nope: No such device exists (No such device exists).
        reason = re.sub(r"^(.+) \(\1\)$", r"\1", said.removeprefix(f"{self.name}: "))
        text = f"{PROGRAM} does not capture on {self.name} ({reason})"
        if not _FORBIDDEN.search(said):
            return text
        program = shutil.which(PROGRAM)
        return (
            f"{text}: run this with sudo; or allow it for good, sudo setcap cap_net_raw,cap_net_admin=eip {program}; or "
            f"let only {PROGRAM} be privileged: sudo {self._by_hand} | redis-tap watch -"
        )


class _Said(asyncio.Protocol):
    """The lines that come out of a pipe, cut to MAX_LINE. ended: done once there are no more."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._line = b""
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        *lines, begun = data.split(b"\n")
        for line in lines:
            self._take((self._line + line)[:MAX_LINE])
            self._line = b""
        self._line = (self._line + begun)[:MAX_LINE]

    def connection_lost(self, error: Exception | None) -> None:
        if self._line:
            self._take(self._line)
        if not self.ended.done():
            self.ended.set_result(None)
