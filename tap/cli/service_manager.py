"""What a service manager such as systemd hears of the process: that it is ready, reloads, stops, and still runs.

sd_notify(3): a datagram of KEY=VALUE lines to the Unix socket that NOTIFY_SOCKET names; "@" stands for the zero byte with
which an abstract address begins. Without the variable nothing is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import MutableMapping


class ServiceManager:
    """The service manager that started this process, if one did."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        """Takes the variables out of the environment: they are for this process, not for those that it starts."""
        path = environment.pop("NOTIFY_SOCKET", "")
        pid = environment.pop("WATCHDOG_PID", str(os.getpid()))
        period = environment.pop("WATCHDOG_USEC", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        is_asked = bool(path) and pid == str(os.getpid()) and period.isdecimal()
        self._beat_seconds = int(period) / 2e6 if is_asked else 0.0  # twice as often as asked
        self._beating: asyncio.TimerHandle | None = None

    def ready(self) -> None:
        """The tap listens. To be called in the event loop, whose life the watchdog's beats show from now on."""
        self._tell("READY=1")
        if self._beat_seconds and self._beating is None:
            self._beat()

    def reloading(self) -> None:
        """The configuration is read again; ready() is to follow."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def end(self) -> None:
        if self._beating is not None:
            self._beating.cancel()

    def _beat(self) -> None:
        self._tell("WATCHDOG=1")
        self._beating = asyncio.get_running_loop().call_later(self._beat_seconds, self._beat)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self._address)
