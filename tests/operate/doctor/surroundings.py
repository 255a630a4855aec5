"""What a server stands in: a network of its own, a clock that is wrong, certificates."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.relay.certificates import Certificates

OUTER = "10.0.0.5"  # an address of own_network() that is no loopback
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of sched.h

_SHIFTED = """
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int gettimeofday(struct timeval *at, void *zone) {
    syscall(SYS_gettimeofday, at, zone);
    at->tv_sec += %d;
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int done = syscall(SYS_clock_gettime, clock, at);
    if (done == 0 && clock == CLOCK_REALTIME) at->tv_sec += %d;
    return done;
}
"""


def in_own_network(story: Callable[[], None]) -> None:
    """Call it in a network namespace with the loopback and OUTER. Everything that it starts is there as well.

    Linux gives each thread its namespaces, so a thread of its own leaves that of the tests as it is.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            if shutil.which("ip") is None or ctypes.CDLL(None).unshare(_NEW_NETWORK) != 0:
                pytest.skip("a network namespace needs Linux, root and iproute2")
            for words in ("link set lo up", f"address add {OUTER}/32 dev lo"):
                subprocess.run(["ip", *words.split()], check=True)
            story()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def shifted_clock(directory: Path, seconds: int) -> Path:
    """A library for LD_PRELOAD, with which a program's clock is ahead by that much."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a wrong clock needs a C compiler")
    source, library = directory / "shifted.c", directory / "shifted.so"
    source.write_text(_SHIFTED % (seconds, seconds))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def tls_options(certificates: Certificates) -> tuple[str, ...]:
    """Options of a server that speaks TLS with them, and requires certificates of clients."""
    leaf = str(certificates.leaf)
    return ("tls-ca-cert-file", str(certificates.ca), "tls-cert-file", leaf, "tls-key-file", leaf)
